package test

import (
	"fmt"
	"strings"
)

// denial is what a client must see of a verdict.
type denial struct {
	status    int
	challenge string // WWW-Authenticate
	body      string // N stands for the seconds of Retry-After
}

// The denials of the service. Clients match on their words.
var (
	missingKey  = denial{401, `Bearer realm="api"`, `{"name":"missing_api_key","message":"Missing API key."}`}
	invalidKey  = denial{401, `Bearer realm="api", error="invalid_token"`, `{"name":"invalid_api_key","message":"Invalid API key."}`}
	expiredKey  = denial{401, `Bearer realm="api", error="invalid_token"`, `{"name":"expired_api_key","message":"API key has expired."}`}
	suspended   = denial{403, "", `{"name":"workspace_suspended","message":"This workspace is suspended."}`}
	overQuota   = denial{429, "", `{"name":"rate_limit_exceeded","message":"Rate limit exceeded. Please retry after N seconds.","retry_after_seconds":N}`}
	unavailable = denial{503, "", `{"name":"auth_unavailable","message":"Authentication is temporarily unavailable."}`}
)

// denied returns an error unless the client got exactly this denial, word for word, and the backend nothing.
func (o outcome) denied(want denial) error {
	if err := o.deniedHeaders(want); err != nil {
		return err
	}
	if got := o.header.Get("Content-Type"); got != "application/json" {
		return fmt.Errorf("Content-Type of the %d is %q", o.status, got)
	}
	if body := strings.ReplaceAll(want.body, "N", o.header.Get("Retry-After")); o.body != body {
		return fmt.Errorf("the body of the %d is %q, want %q", o.status, o.body, body)
	}
	return nil
}

// deniedHeaders is denied without the body, which the answer to a HEAD does not have.
func (o outcome) deniedHeaders(want denial) error {
	if o.err != nil || o.status != want.status {
		return fmt.Errorf("want %d, got %s", want.status, o)
	}
	if len(o.seen) != 0 {
		return fmt.Errorf("%d, but the backend got the request", o.status)
	}
	if got := strings.Join(o.header.Values("WWW-Authenticate"), "|"); got != want.challenge {
		return fmt.Errorf("WWW-Authenticate of the %d is %q, want %q", o.status, got, want.challenge)
	}
	exact := map[string]string{"Cache-Control": "no-store", "X-Auth-Body": "", "X-Workspace-Id": "", "X-Api-Key-Id": ""}
	for name, value := range exact {
		if got := strings.Join(o.header.Values(name), "|"); got != value {
			return fmt.Errorf("%s of the %d is %q, want %q", name, o.status, got, value)
		}
	}
	retryable := want.status == 429 || want.status == 503
	if n := len(o.header.Values("Retry-After")); retryable && n != 1 || !retryable && n != 0 {
		return fmt.Errorf("Retry-After of the %d is %q", o.status, o.header.Values("Retry-After"))
	}
	return nil
}

// rateLimited returns an error unless all rate-limit headers are there, once each, for a quota of limit a minute.
func (o outcome) rateLimited(limit, remaining string) error {
	want := map[string]string{
		"X-RateLimit-Limit": limit, "X-RateLimit-Remaining": remaining, "X-RateLimit-Reset": "1",
		"RateLimit-Policy": `"key";q=` + limit + ";w=60", "RateLimit": `"key";r=` + remaining + ";t=",
	}
	for name, value := range want {
		got := o.header.Values(name)
		if len(got) != 1 || !strings.HasPrefix(got[0], value) {
			return fmt.Errorf("%s is %q, want %q", name, got, value)
		}
	}
	return nil
}
