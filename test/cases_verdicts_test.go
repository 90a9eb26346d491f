package test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
)

// verdictCases: what the service says reaches the client through the proxy, word for word.
var verdictCases = []acceptance{
	{"01", "good key: 200, identity at the backend", nil, goodKey},
	{"02", "no key: 401", nil, func(s *stack) error { return s.deniedOnce(question{}, missingKey) }},
	{"03", "unknown key: 401", nil, func(s *stack) error { return s.deniedOnce(withKey(unknown), invalidKey) }},
	{"04", "expired key: 401", nil, expiredIsTold},
	{"05", "Basic credentials: 401", nil, func(s *stack) error {
		basic := base64.StdEncoding.EncodeToString([]byte(s.good.Secret + ":"))
		return s.deniedOnce(question{lines: []string{"Authorization: Basic " + basic}}, invalidKey)
	}},
	{"06", "over quota: 429, Retry-After, rate-limit headers", nil, func(s *stack) error { return s.overQuota(question{}) }},
	{"07", "HEAD over quota: 429", nil, func(s *stack) error { return s.overQuota(question{method: "HEAD"}) }},
	{"08", "POST over quota: 429", nil, func(s *stack) error {
		return s.overQuota(question{method: "POST", lines: []string{"Content-Length: 5"}, body: "hello"})
	}},
	{"26", "two Authorization headers: refused", nil, twoCredentials},
	{"27", "keys of 8, 31 and 64 kB: refused", nil, longKeys},
	{"28", "odd bytes in the key: refused", nil, oddBytes},
	{"33", "rate-limit headers on a 200", nil, rateLimitHeaders},
	{"35", "suspended workspace: 403", nil, suspendedWorkspace},
}

// deniedOnce asks, and wants a denial for which the service was asked once.
func (s *stack) deniedOnce(q question, want denial) error {
	o := s.ask(q)
	if err := o.denied(want); err != nil {
		return err
	}
	return o.asked(1)
}

// asked returns an error unless tpgate was asked so often.
func (o outcome) asked(times int) error {
	if len(o.calls) != times {
		return fmt.Errorf("tpgate was asked %d times, want %d", len(o.calls), times)
	}
	return nil
}

// refused returns an error unless the request was turned away as malformed or without a valid key, by the proxy or by tpgate.
func (o outcome) refused() error {
	if len(o.seen) != 0 {
		return fmt.Errorf("the backend got the request: %s", o)
	}
	if o.header.Get("Retry-After") != "" {
		return fmt.Errorf("trying again will not help, but there is a Retry-After: %s", o)
	}
	switch o.status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusRequestHeaderFieldsTooLarge:
		return nil
	}
	return fmt.Errorf("want 400, 401 or 431, got %s", o)
}

func goodKey(s *stack) error {
	o := s.ask(withKey(s.good.Secret))
	if err := o.allowed(s.good); err != nil {
		return err
	}
	if got := o.seen[0].URI; got != "/v1/things?a=b" {
		return fmt.Errorf("the backend got the path %q", got)
	}
	for name := range o.header {
		if strings.Contains(strings.ToLower(name), "workspace") || strings.Contains(strings.ToLower(name), "key-id") {
			return fmt.Errorf("the client got %s", name)
		}
	}
	return o.asked(1)
}

func expiredIsTold(s *stack) error {
	key := s.gate.mustKey(workspace, nil)
	if err := s.gate.manage("PATCH", key.path(), fields{"expires_at": "2020-01-31"}, nil); err != nil {
		return err
	}
	return s.deniedOnce(withKey(key.Secret), expiredKey)
}

func suspendedWorkspace(s *stack) error {
	key := s.gate.mustKey("suspended", nil)
	if err := s.gate.manage("PATCH", "/v1/workspaces/suspended", fields{"suspended": true}, nil); err != nil {
		return err
	}
	return s.deniedOnce(withKey(key.Secret), suspended)
}

// overQuota uses up a quota and asks once more.
func (s *stack) overQuota(q question) error {
	key := s.gate.mustKey(workspace, fields{"limit": "2/1m"})
	q.key = key.Secret
	for range 2 {
		if err := s.ask(withKey(key.Secret)).allowed(key); err != nil {
			return err
		}
	}
	o := s.ask(q)
	denied := o.denied
	if q.method == "HEAD" {
		denied = o.deniedHeaders
	}
	if err := denied(overQuota); err != nil {
		return err
	}
	if err := o.rateLimited("2", "0"); err != nil {
		return err
	}
	return o.asked(1)
}

func twoCredentials(s *stack) error {
	other := "Authorization: Bearer " + s.gate.mustKey("other", nil).Secret
	good := "Authorization: Bearer " + s.good.Secret
	for _, lines := range [][]string{{good, other}, {other, good}, {good, good}, {good, "authorization: Bearer x"}, {"AUTHORIZATION: Basic eDp4", good}} {
		if err := s.ask(question{lines: lines}).refused(); err != nil {
			return fmt.Errorf("%q: %w", lines, err)
		}
	}
	return nil
}

func longKeys(s *stack) error {
	for _, size := range []int{8_000, 31_000, 64_000} {
		if err := s.ask(withKey("tp_" + strings.Repeat("a", size))).refused(); err != nil {
			return fmt.Errorf("%d bytes: %w", size, err)
		}
	}
	return s.ask(withKey(s.good.Secret, "Cookie: c="+strings.Repeat("a", 6000))).allowed(s.good)
}

func oddBytes(s *stack) error {
	good := s.good.Secret
	for _, key := range []string{good + "\xe9\xff", good[:50] + "\xe9", good + "\x00", good[:30] + "\x00" + good[30:], good + "\rX: y", good + "\x7f", good + " x", good + ",x", good[:50] + "%41", good + "="} {
		if err := s.ask(withKey(key)).refused(); err != nil {
			return fmt.Errorf("%q: %w", strings.Replace(key, good[3:30], "…", 1), err)
		}
	}
	return nil
}

func rateLimitHeaders(s *stack) error {
	key := s.gate.mustKey(workspace, fields{"limit": "5/1m"})
	o := s.ask(withKey(key.Secret))
	if err := o.allowed(key); err != nil {
		return err
	}
	return o.rateLimited("5", "4")
}
