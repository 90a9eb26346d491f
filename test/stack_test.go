package test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// stack is a proxy in front of a backend, with tpgate and Redis at its side.
type stack struct {
	t       *testing.T
	proxy   *proxy
	address string // of the proxy
	redis   *redisServer
	gate    *gate
	tap     *tap // between proxy and tpgate
	backend *backend
	good    apiKey // without a limit
}

// workspace is the one of most keys in the tests.
const workspace = "WS-one_1"

func newStack(t *testing.T, p *proxy) *stack {
	t.Helper()
	s := &stack{t: t, proxy: p, redis: startRedis(t), backend: startBackend(t)}
	s.gate = startGate(t, "--redis-url", s.redis.url())
	s.tap = startTap(t, s.gate.data)
	s.address = freeAddress(t)
	s.good = s.gate.mustKey(workspace, fields{"limit": "off"})
	p.launch(t, s.addresses(s.address), nil)
	if err := eventually(patience, func() error { return s.ask(withKey(s.good.Secret)).allowed(s.good) }); err != nil {
		t.Fatalf("%s does not admit a good key: %v", p.name, err)
	}
	return s
}

func (s *stack) addresses(web string) addresses {
	return addresses{web: web, loop: freeAddress(s.t), gate: s.tap.address, backend: s.backend.address}
}

// question is a request as a client writes it.
type question struct {
	method, path string
	key          string   // sent as a bearer token, if not empty
	lines        []string // further header lines
	body         string
	within       time.Duration // 10 s if zero
}

// withKey is a GET with a key.
func withKey(secret string, lines ...string) question { return question{key: secret, lines: lines} }

// text is the request's bytes.
func (q question) text() string {
	var b strings.Builder
	method, path := q.method, q.path
	if method == "" {
		method = "GET"
	}
	if path == "" {
		path = "/v1/things?a=b"
	}
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: api.example.com\r\n", method, path)
	if q.key != "" {
		fmt.Fprintf(&b, "Authorization: Bearer %s\r\n", q.key)
	}
	for _, line := range q.lines {
		b.WriteString(line + "\r\n")
	}
	b.WriteString("\r\n" + q.body)
	return b.String()
}

// outcome is what a question led to, at the client, at tpgate and at the backend.
type outcome struct {
	err    error // no answer
	status int
	header http.Header
	body   string
	calls  []*call
	seen   []echo
}

// ask sends a question through the proxy.
func (s *stack) ask(q question) outcome { return s.askAt(s.address, q) }

func (s *stack) askAt(address string, q question) outcome {
	s.tap.take()
	s.backend.take()
	o := ask(address, q)
	o.calls, o.seen = s.tap.take(), s.backend.take()
	return o
}

// ask sends a question on a connection of its own.
func ask(address string, q question) outcome {
	conn, err := net.DialTimeout("tcp", address, 2*time.Second)
	if err != nil {
		return outcome{err: err}
	}
	defer conn.Close()
	within := q.within
	if within == 0 {
		within = 10 * time.Second
	}
	_ = conn.SetDeadline(time.Now().Add(within))
	go func() { _, _ = io.WriteString(conn, q.text()) }() // an early answer must not wait for a long body
	return read(bufio.NewReader(conn), q.method)
}

// read reads an answer, after any 100 Continue.
func read(r *bufio.Reader, method string) outcome {
	for {
		response, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			return outcome{err: err}
		}
		if response.StatusCode == http.StatusContinue {
			continue
		}
		o := outcome{status: response.StatusCode, header: response.Header}
		if o.status != http.StatusSwitchingProtocols {
			body, err := io.ReadAll(response.Body)
			o.body, o.err = string(body), err
		}
		return o
	}
}

// allowed returns an error unless the backend got the request once, as of this key and with no trace of the client's own identity.
func (o outcome) allowed(key apiKey) error {
	if o.err != nil || o.status != http.StatusOK {
		return fmt.Errorf("want 200, got %s", o)
	}
	if len(o.seen) != 1 {
		return fmt.Errorf("the backend got %d requests instead of 1", len(o.seen))
	}
	return o.seen[0].identified(key)
}

// identified returns an error unless the request carries exactly the identity of a key. Every spelling that a backend might take for an identity counts.
func (e echo) identified(key apiKey) error {
	want := map[string]string{"X-Workspace-Id": key.Workspace, "X-Api-Key-Id": key.ID}
	for name, values := range e.Header {
		plain := strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name))
		switch {
		case plain == "authorization":
			return fmt.Errorf("the backend got Authorization")
		case plain != "x-workspace-id" && plain != "x-api-key-id":
		case want[name] == "" || len(values) != 1 || values[0] != want[name]:
			return fmt.Errorf("the backend got %s: %q, want exactly %q", name, values, want)
		default:
			delete(want, name)
		}
	}
	if key.ID != "" && len(want) != 0 {
		return fmt.Errorf("the backend did not get %v", want)
	}
	return nil
}

// String is the outcome for a person.
func (o outcome) String() string {
	if o.err != nil {
		return "no whole answer: " + o.err.Error()
	}
	var b bytes.Buffer
	_ = o.header.Write(&b)
	return fmt.Sprintf("%d, body %q, header %q", o.status, o.body[:min(200, len(o.body))], b.String())
}
