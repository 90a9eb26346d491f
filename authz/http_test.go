package authz

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestEveryMethodAndPathIsACheck(t *testing.T) {
	g := newGate(t, nil)
	key, secret := g.key("acme", nil)
	lines := []string{
		"GET / HTTP/1.1", "GET /metrics HTTP/1.1", "GET /healthz HTTP/1.1", "GET /readyz HTTP/1.1", "GET /livez HTTP/1.1", "GET /v1/workspaces HTTP/1.1", "GET /favicon.ico HTTP/1.1",
		"GET /verify/../healthz HTTP/1.1", "GET /..%2fhealthz HTTP/1.1", "GET /%2e%2e/healthz HTTP/1.1", "GET //healthz HTTP/1.1", "GET /healthz%00 HTTP/1.1", "GET /% HTTP/1.1", "GET /%zz?%zz HTTP/1.1",
		"GET /a?api_key=" + secret + " HTTP/1.1", "GET http://127.0.0.1:8081/v1/keys HTTP/1.1", "GET /?" + strings.Repeat("x", 8000) + " HTTP/1.1", "GET /\xff HTTP/1.1",
		"POST / HTTP/1.1", "PUT / HTTP/1.1", "PATCH / HTTP/1.1", "DELETE / HTTP/1.1", "OPTIONS / HTTP/1.1", "TRACE / HTTP/1.1", "PROPFIND / HTTP/1.1", "get / HTTP/1.1",
		"QUERY / HTTP/1.1", "M-SEARCH / HTTP/1.1", "X / HTTP/1.1", "OPTIONS * HTTP/1.1", "CONNECT h:443 HTTP/1.1",
	}
	for _, line := range lines {
		start := line + "\r\nHost: h\r\n"
		if got := g.ask(start + "\r\n"); got.status != 401 || got.body != bodyMissing {
			t.Errorf("%.60q without a key: %+v", line, got)
		}
		got := g.ask(start + "X-Forwarded-Uri: /public\r\nX-Original-URL: /public\r\nX-Workspace-Id: evil\r\nCookie: api_key=" + secret + "\r\nX-Api-Key: " + secret + "\r\nProxy-" + bearerLine(secret) + "\r\n\r\n")
		if got.status != 401 || got.body != bodyMissing {
			t.Errorf("%.60q with keys elsewhere: %+v", line, got)
		}
		got = g.ask(start + "X-Workspace-Id: evil\r\nx-api-key-id: evil\r\nUpgrade: h2c\r\n" + bearerLine(secret) + "\r\n\r\n")
		workspace, n := got.header("X-Workspace-Id")
		id, m := got.header("X-Api-Key-Id")
		if got.status != 200 || workspace != "acme" || n != 1 || id != key.ID || m != 1 {
			t.Errorf("%.60q with a key: %+v", line, got)
		}
	}
}

func TestHead(t *testing.T) {
	g := newGate(t, nil)
	_, secret := g.key("acme", nil)
	c := g.dial()
	for _, lines := range [][]string{nil, {bearerLine(secret)}, {bearerLine("x")}} {
		want := g.ask(get("/nginx", lines...))
		c.send(request("HEAD", "/nginx", lines...))
		got := c.receive(false)
		if got.status != want.status || fmt.Sprint(got.headers) != fmt.Sprint(want.headers) {
			t.Errorf("HEAD: %+v, GET: %+v", got, want)
		}
	}
	// Had there been a body, it would stand here.
	c.send(get("/"))
	if got := c.receive(true); got.status != 401 {
		t.Errorf("%+v", got)
	}
}

// TestBodiesAreNotWaitedFor announces bodies that never come, or come at once: the answer is there immediately, and the connection is closed, so that no body is taken for a request.
func TestBodiesAreNotWaitedFor(t *testing.T) {
	g := newGate(t, nil)
	_, secret := g.key("acme", nil)
	for name, test := range map[string]struct {
		method, lines, body string
	}{
		"POST, announced":         {"POST", "Content-Length: 5000000\r\n", ""},
		"GET, announced":          {"GET", "Content-Length: 10\r\n", ""},
		"HEAD, announced":         {"HEAD", "Content-Length: 10\r\n", ""},
		"chunked, announced":      {"POST", "Transfer-Encoding: chunked\r\n", ""},
		"chunked, begun":          {"PUT", "Transfer-Encoding: chunked\r\n", "5\r\nhe"},
		"Expect":                  {"POST", "Content-Length: 5\r\nExpect: 100-continue\r\n", ""},
		"Expect, unknown":         {"POST", "Content-Length: 5\r\nExpect: 200-maybe\r\n", ""},
		"Expect, chunked":         {"POST", "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n", ""},
		"sent":                    {"POST", "Content-Length: 5\r\n", "hello"},
		"sent, multipart":         {"POST", "Content-Length: 5\r\nContent-Type: multipart/form-data; boundary=x\r\n", "hello"},
		"a request inside a body": {"POST", "Content-Length: 37\r\n", "GET / HTTP/1.1\r\nHost: h\r\n" + "X: 12345\r\n\r\n"},
	} {
		for _, credential := range []struct {
			line   string
			status int
		}{{"", 401}, {bearerLine(secret) + "\r\n", 200}} {
			t.Run(fmt.Sprint(name, " ", credential.status), func(t *testing.T) {
				c := g.dial()
				c.t = t
				start := time.Now()
				c.send(test.method + " / HTTP/1.1\r\nHost: h\r\n" + credential.line + test.lines + "\r\n" + test.body)
				got := c.receive(test.method != "HEAD")
				if took := time.Since(start); took > readTimeout/2 {
					t.Errorf("answered after %s", took)
				}
				if value, n := got.header("Connection"); got.status != credential.status || value != "close" || n != 1 {
					t.Errorf("%+v", got)
				}
				if test.body == "" && !c.closed() { // with bytes unread the system resets instead
					t.Error("the connection is open")
				}
			})
		}
	}
}

func TestNoBodyKeepsTheConnection(t *testing.T) {
	g := newGate(t, nil)
	key, secret := g.key("acme", nil)
	c := g.dial()
	for i, lines := range []string{"", "Content-Length: 0\r\n", "Connection: keep-alive\r\n", "Expect: 100-continue\r\n", "Connection: X-Workspace-Id\r\n"} {
		for _, method := range []string{"GET", "POST", "DELETE", "OPTIONS"} {
			c.send(method + " / HTTP/1.1\r\nHost: h\r\n" + bearerLine(secret) + "\r\n" + lines + "\r\n")
			got := c.receive(true)
			if id, _ := got.header("X-Api-Key-Id"); got.status != 200 || id != key.ID {
				t.Fatalf("%d %s: %+v", i, method, got)
			}
			if _, n := got.header("Connection"); n != 0 {
				t.Errorf("%d %s: %+v", i, method, got)
			}
		}
	}
	c.send(get("/", "Connection: close", bearerLine(secret)))
	if got := c.receive(true); got.status != 200 || !c.closed() {
		t.Errorf("%+v", got)
	}
}

// TestPipelinedKeysKeepTheirOwners sends a thousand requests at once on one connection: each answer carries the identity of its own request's key.
func TestPipelinedKeysKeepTheirOwners(t *testing.T) {
	g := newGate(t, nil)
	type owner struct{ workspace, id, secret string }
	var owners []owner
	for i := range 7 {
		workspace := strings.Repeat(string(rune('a'+i)), 1+9*i) // of different lengths: nothing of a longer one may stay
		key, secret := g.key(workspace, nil)
		owners = append(owners, owner{workspace, key.ID, secret})
	}
	const n = 1000
	c := g.dial()
	go func() {
		var all strings.Builder
		for i := range n {
			if i%5 == 4 {
				all.WriteString(get("/nginx"))
				continue
			}
			all.WriteString(get("/nginx", bearerLine(owners[i%len(owners)].secret)))
		}
		_, _ = c.Write([]byte(all.String())) // the reader below fails if it was not written
	}()
	for i := range n {
		got := c.receive(true)
		workspace, w := got.header("X-Workspace-Id")
		id, k := got.header("X-Api-Key-Id")
		want := owners[i%len(owners)]
		if i%5 == 4 {
			if got.status != 401 || w+k != 0 || got.body != bodyMissing {
				t.Fatalf("request %d without a key: %+v", i, got)
			}
			continue
		}
		if got.status != 200 || workspace != want.workspace || id != want.id || w != 1 || k != 1 || got.body != "" {
			t.Fatalf("request %d: %+v, want %+v", i, got, want)
		}
	}
}

func TestLargeHeaders(t *testing.T) {
	g := newGate(t, nil)
	key, secret := g.key("acme", nil)
	for _, test := range []struct {
		name   string
		lines  []string
		status int
	}{
		{"60 KiB", []string{"X: " + strings.Repeat("x", 60<<10), bearerLine(secret)}, 200},
		{"64 KiB and more", []string{"X: " + strings.Repeat("x", 64<<10), bearerLine(secret)}, 431},
		{"the key is what is beyond", []string{"X: " + strings.Repeat("x", maxHeaderSize-80), bearerLine(secret)}, 431},
		{"a key of 70 KB", []string{bearerLine("tp_" + strings.Repeat("A", 70_000))}, 431},
		{"200 headers", append(strings.Split(strings.Repeat("X: y\r\n", 199)+"X: y", "\r\n"), bearerLine(secret)), 200},
		{"a long path", nil, 431},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := "/"
			if test.lines == nil {
				path += strings.Repeat("x", 70_000)
			}
			c := g.dial()
			c.t = t
			go func() { _, _ = c.Write([]byte(get(path, test.lines...))) }() // the server may close before it has read all
			got := c.receive(true)
			if got.status != test.status {
				t.Fatalf("%+v, want %d", got, test.status)
			}
			if id, _ := got.header("X-Api-Key-Id"); test.status == 200 && id != key.ID {
				t.Errorf("%+v", got)
			}
			want := []string{"Cache-Control: no-store", "Connection: close", "Content-Length: 0"}
			if test.status == 431 && (got.body != "" || fmt.Sprint(got.headers) != fmt.Sprint(want)) {
				t.Errorf("%+v, want %q", got, want)
			}
		})
	}
}

func TestNotHTTP(t *testing.T) {
	g := newGate(t, nil)
	_, secret := g.key("acme", nil)
	for name, raw := range map[string]string{
		"TLS hello":        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
		"PROXY protocol":   "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n" + get("/", bearerLine(secret)),
		"bare CR":          get("/", bearerLine(secret)+"\rX: y"),
		"NUL":              get("/", bearerLine(secret)+"\x00"),
		"space before :":   get("/", "Authorization : Bearer "+secret),
		"lengths disagree": get("/", bearerLine(secret), "Content-Length: 3", "Content-Length: 5"),
		"negative length":  get("/", bearerLine(secret), "Content-Length: -1"),
	} {
		t.Run(name, func(t *testing.T) {
			c := g.dial()
			c.t = t
			c.send(raw)
			if got := c.receive(true); got.status != 400 || got.body != "" || fmt.Sprint(got.headers) != "[Cache-Control: no-store Connection: close Content-Length: 0]" {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestSlowHeadersAreCutOff(t *testing.T) {
	t.Parallel() // it waits for real time
	g := newGate(t, nil)
	c := g.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Bea")
	start := time.Now()
	if got := c.receive(true); got.status != 408 || !c.closed() || time.Since(start) > 2*readTimeout {
		t.Errorf("%+v after %s", got, time.Since(start))
	}
}
