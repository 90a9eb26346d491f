package test

import (
	"fmt"
	"net/http"
	"strings"
)

// identityCases: nobody but tpgate says who a request comes from, and no path leads around the check.
var identityCases = []acceptance{
	{"16", "client's own X-Workspace-Id never arrives", nil, func(s *stack) error {
		return s.claims("X-Workspace-Id: evil", "X-Api-Key-Id: evil")
	}},
	{"17", "nor under any alias of the name", nil, func(s *stack) error { return s.claims(aliases()...) }},
	{"18", "nor twice, nor in other letters", nil, func(s *stack) error {
		return s.claims("X-Workspace-Id: evil", "x-workspace-id: evil", "X-WORKSPACE-ID: evil", "X-Api-Key-Id: evil", "x-api-key-id:")
	}},
	{"19", "Connection: X-Workspace-Id removes nothing", nil, connectionTrick},
	{"36", "client's own identity in trailers never arrives", nil, trailers},
	{"20", "public route: no identity, no key", nil, publicRoute},
	{"29", "no lie about path or host reaches tpgate", nil, lies},
	{"30", "no path leads around the check", nil, pathGames},
	{"37", "no path that can be read in two ways gets through", nil, ambiguousPaths},
}

// aliases are header lines in all spellings that some backend takes for X-Workspace-Id or X-Api-Key-Id.
func aliases() []string {
	var lines []string
	for _, name := range append(spellings("X", "Workspace", "Id"), spellings("X", "Api", "Key", "Id")...) {
		lines = append(lines, name+": evil")
	}
	return lines
}

// spellings joins words by each character that a backend may take for a dash.
func spellings(words ...string) []string {
	names := words[:1]
	for _, word := range words[1:] {
		var longer []string
		for _, name := range names {
			longer = append(longer, name+"-"+word, name+"_"+word, name+"."+word)
		}
		names = longer
	}
	return names
}

// claims asks with a good key, a wrong one and on the public route, with header lines that claim an identity.
func (s *stack) claims(lines ...string) error {
	if err := s.ask(withKey(s.good.Secret, lines...)).allowed(s.good); err != nil {
		return err
	}
	if err := s.ask(withKey(unknown, lines...)).denied(invalidKey); err != nil {
		return err
	}
	return s.public(lines...)
}

// public asks on the public route: the backend must get the request, but no identity.
func (s *stack) public(lines ...string) error {
	o := s.ask(question{path: "/public?a=b", lines: lines})
	if o.status != http.StatusOK || len(o.seen) != 1 {
		return fmt.Errorf("public route: want 200, got %s", o)
	}
	if got := o.seen[0].URI; got != "/public?a=b" {
		return fmt.Errorf("public route: the backend got the path %q", got)
	}
	if err := o.asked(0); err != nil {
		return fmt.Errorf("public route: %w", err)
	}
	if err := o.seen[0].identified(apiKey{}); err != nil {
		return fmt.Errorf("public route: %w", err)
	}
	return nil
}

// trailers claims an identity after the body, announced and not.
func trailers(s *stack) error {
	q := question{method: "POST", key: s.good.Secret, body: "5\r\nhello\r\n0\r\n" + strings.Join(append(aliases(), "Authorization: Bearer "+unknown), "\r\n") + "\r\n\r\n"}
	for _, announced := range []string{"X-Workspace-Id, X-Api-Key-Id, X_Workspace_Id, Authorization", "X-Other"} {
		q.path, q.lines = "", []string{"Transfer-Encoding: chunked", "TE: trailers", "Trailer: " + announced}
		if err := s.ask(q).allowed(s.good); err != nil {
			return fmt.Errorf("announcing %s: %w", announced, err)
		}
		q.path = "/public"
		o := s.ask(q)
		if len(o.seen) != 1 {
			return fmt.Errorf("announcing %s: public route: want 200, got %s", announced, o)
		}
		if err := o.seen[0].identified(apiKey{}); err != nil {
			return fmt.Errorf("announcing %s: public route: %w", announced, err)
		}
	}
	return nil
}

func connectionTrick(s *stack) error {
	for _, line := range []string{"Connection: X-Workspace-Id", "Connection: close, X-Workspace-Id, X-Api-Key-Id", "Connection: keep-alive, x-workspace-id", "Connection: X_Workspace_Id", "Keep-Alive: X-Workspace-Id"} {
		o := s.ask(withKey(s.good.Secret, line, "X-Workspace-Id: evil"))
		if err := o.allowed(s.good); err != nil {
			return fmt.Errorf("%s: %w", line, err)
		}
		if strings.Contains(strings.ToLower(strings.Join(o.seen[0].Header["Connection"], ",")), "workspace") {
			return fmt.Errorf("%s: passed on, so that the next hop removes the header", line)
		}
	}
	o := s.ask(withKey(s.good.Secret, "Connection: Authorization")) // with the key, or without: both are right
	if o.status == http.StatusUnauthorized {
		return o.denied(missingKey)
	}
	return o.allowed(s.good)
}

func publicRoute(s *stack) error {
	if err := s.public("Authorization: Bearer " + s.good.Secret); err != nil {
		return err
	}
	for _, path := range []string{"/public/../v1/x", "/public/..%2fv1/x", "/public%2f..%2fv1/x", "/v1/x/../../public", "//public", "/PUBLIC", "/public;/v1", "/public/", "/public/x", "/publicx", "/public%3f/v1", "/%70ublic", "/public%00", "/public\\..\\v1"} {
		o := s.ask(question{path: path})
		if len(o.seen) > 0 && o.seen[0].URI != "/public" {
			return fmt.Errorf("%s without a key reached the backend as %s", path, o.seen[0].URI)
		}
	}
	return nil
}

// lies sends what other systems trust, each with the word "sham" in it.
func lies(s *stack) error {
	lines := []string{
		"X-Forwarded-Uri: /sham", "X-Forwarded-Method: SHAM", "X-Forwarded-Host: sham", "X-Forwarded-Prefix: /sham", "X-Forwarded-Proto: sham", "X-Forwarded-For: sham", "X-Forwarded-Port: sham",
		"X-Forwarded-Server: sham", "X-Real-Ip: sham", "X-Original-Url: /sham", "X-Original-Uri: /sham", "X-Original-Method: SHAM", "X-Rewrite-Url: /sham", "Forwarded: host=sham", "X-Auth-Mode: sham",
		"X-Auth-Request-Redirect: /sham", "X-Envoy-Original-Path: /sham", "X-Request-Id: sham", "Cookie: sham=1", "User-Agent: sham", "Proxy-Authorization: sham", "X-Http-Method-Override: SHAM",
	}
	if err := s.ask(question{lines: lines}).denied(missingKey); err != nil {
		return err
	}
	o := s.ask(withKey(s.good.Secret, lines...))
	if err := o.allowed(s.good); err != nil {
		return err
	}
	if err := o.asked(1); err != nil {
		return err
	}
	for name, values := range o.calls[0].Header {
		if strings.Contains(strings.ToLower(strings.Join(values, ",")), "sham") {
			return fmt.Errorf("tpgate was sent %s: %q", name, values)
		}
	}
	return nil
}

func pathGames(s *stack) error {
	for _, path := range []string{
		"/healthz", "/metrics", "/livez", "/readyz", "/check", "/nginx", "/", "//healthz", "/../healthz", "/../../healthz", "/..%2fhealthz", "/%2e%2e/healthz", "/%2e%2e%2fhealthz",
		"/..%5chealthz", "/.%2e/readyz", "/v1/../healthz", "/v1//x", "/v1/./x", "/v1/x%00", "/v1/x;a=b", "/?", "/healthz?x=/public", "/v1/%2570ublic", "http://127.0.0.1/healthz", "http://" + s.gate.ops + "/metrics",
	} {
		if err := s.ask(question{path: path}).refused(); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	for _, path := range []string{"/_tpgate", "/@tpgate_denied", "/unavailable", "*"} { // the configurations' own, and no path at all
		o := s.ask(question{path: path})
		if len(o.seen) > 0 || o.status < 400 {
			return fmt.Errorf("%s: want a denial, got %s", path, o)
		}
		if o := s.ask(question{path: path, key: s.good.Secret}); o.header.Get("X-Workspace-Id") != "" {
			return fmt.Errorf("%s: the client got tpgate's own answer: %s", path, o)
		}
	}
	return nil
}

// ambiguousPaths sends paths that a proxy and a backend may take for different ones, with a good key: refused, or made plain before they arrive.
func ambiguousPaths(s *stack) error {
	for _, path := range []string{"/public/..%2fv1", "/public%2f..%2fv1", "/v1/..%5cpublic", "/public/../v1/x", "/v1/%2e%2e/public/x", "/v1/./x", "/v1//x"} {
		o := s.ask(question{path: path, key: s.good.Secret})
		if o.status == http.StatusBadRequest && len(o.seen) == 0 {
			continue
		}
		if err := o.allowed(s.good); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		got := strings.ToLower(o.seen[0].URI)
		for _, sign := range []string{"..", "/./", "//", "%2f", "%5c", "%2e"} {
			if strings.Contains(got, sign) {
				return fmt.Errorf("%s reached the backend as %s", path, o.seen[0].URI)
			}
		}
	}
	return nil
}
