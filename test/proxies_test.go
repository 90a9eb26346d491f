package test

import (
	"fmt"
	"net/http"
	"time"
)

// proxies are those that deploy/ has a configuration for.
var proxies = []*proxy{
	{
		name:  "nginx",
		files: []string{"nginx/tpgate.conf"},
		replace: func(at addresses) replacements {
			return replacements{{"listen 8000", "listen " + at.web}, {"127.0.0.1:8080", at.gate}, {"127.0.0.1:3000", at.backend}}
		},
		h2: func(at addresses) replacements {
			return replacements{{"listen " + at.web, "listen " + at.web + " http2"}} // nginx 1.22 then speaks nothing else without TLS
		},
		start: startNginx,
		deviations: map[string]deviation{
			"37": {"nginx passes the path on as the client wrote it; all but exactly /public is checked", asWritten},
		},
	},
	{
		name:    "Traefik",
		files:   []string{"traefik/traefik.yml", "traefik/dynamic/tpgate.yml"},
		replace: replaceTraefik,
		start:   startTraefik,
		deviations: map[string]deviation{
			"23": {"ForwardAuth answers 500 without a body if nobody answers the check", refusedWith(http.StatusInternalServerError)},
			"24": {"ForwardAuth waits 30 s for the check, which cannot be changed; then 500", neverAdmitted},
			"33": {"ForwardAuth passes no headers of an allowing answer to the client", noRateLimitHeaders},
		},
	},
	{
		name:  "Traefik+loop",
		files: []string{"traefik/traefik.yml", "traefik/dynamic/tpgate.yml", "traefik/dynamic/loopback.yml"},
		replace: func(at addresses) replacements {
			asLoopbackSays := replacements{{"# loop:", "loop:"}, {"address: http://127.0.0.1:8080/", "address: http://127.0.0.1:8009/"}, {"127.0.0.1:8009", at.loop}}
			return append(asLoopbackSays, replaceTraefik(at)...)
		},
		start: startTraefik,
		deviations: map[string]deviation{
			"23": {"503 with Retry-After, but Traefik has no way to write the JSON", refusedWith(http.StatusServiceUnavailable)},
			"24": {"503 with Retry-After, but Traefik has no way to write the JSON", refusedWith(http.StatusServiceUnavailable)},
			"33": {"ForwardAuth passes no headers of an allowing answer to the client", noRateLimitHeaders},
		},
	},
	{
		name:  "Envoy",
		files: []string{"envoy/envoy.yaml"},
		replace: func(at addresses) replacements {
			return replacements{
				{"address: 0.0.0.0, port_value: 8000", "address: 127.0.0.1, port_value: " + port(at.web)},
				{"port_value: 8080", "port_value: " + port(at.gate)},
				{"port_value: 3000", "port_value: " + port(at.backend)},
			}
		},
		start: startEnvoy,
	},
}

func replaceTraefik(at addresses) replacements {
	return replacements{{`":8000"`, `"` + at.web + `"`}, {"/etc/traefik", at.dir}, {"127.0.0.1:8080", at.gate}, {"127.0.0.1:3000", at.backend}}
}

// refusedWith is a refusal, in bearable time, whose body is not the service's.
func refusedWith(status int) func(s *stack) error {
	return func(s *stack) error {
		q := withKey(s.good.Secret)
		q.within = 3 * time.Second
		o := s.ask(q)
		if o.err != nil || o.status != status || len(o.seen) != 0 {
			return fmt.Errorf("want %d and nothing at the backend, got %s", status, o)
		}
		if status == http.StatusServiceUnavailable && o.header.Get("Retry-After") != "1" {
			return fmt.Errorf("no Retry-After: %s", o)
		}
		return nil
	}
}

// neverAdmitted waits longer than Traefik does.
func neverAdmitted(s *stack) error {
	q := withKey(s.good.Secret)
	q.within = 70 * time.Second
	o := s.ask(q)
	if o.status != http.StatusInternalServerError || len(o.seen) != 0 {
		return fmt.Errorf("want 500 and nothing at the backend, got %s", o)
	}
	return nil
}

// asWritten is a path that arrives unchanged, but never without a key.
func asWritten(s *stack) error {
	const path = "/public/..%2fv1"
	if err := s.ask(question{path: path}).denied(missingKey); err != nil {
		return err
	}
	o := s.ask(question{path: path, key: s.good.Secret})
	if err := o.allowed(s.good); err != nil {
		return err
	}
	if got := o.seen[0].URI; got != path {
		return fmt.Errorf("%s reached the backend as %s", path, got)
	}
	return nil
}

func noRateLimitHeaders(s *stack) error {
	key := s.gate.mustKey(workspace, nil)
	o := s.ask(withKey(key.Secret))
	if o.header.Get("RateLimit") != "" {
		return fmt.Errorf("there is %q", o.header.Get("RateLimit"))
	}
	return o.allowed(key)
}
