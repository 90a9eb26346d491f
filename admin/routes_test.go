package admin

import (
	"bufio"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"tpgate/limiter"
)

// farAway is a deadline that no test meets.
var farAway = time.Now().Add(time.Hour)

// samples has for each route a body with which it succeeds, and the status of that.
var samples = map[string]struct {
	body   string
	status int
}{
	"GET /v1/workspaces":                               {"", 200},
	"GET /v1/workspaces/{workspace}":                   {"", 200},
	"PATCH /v1/workspaces/{workspace}":                 {`{"limit":"600/1m"}`, 200},
	"GET /v1/workspaces/{workspace}/keys":              {"", 200},
	"POST /v1/workspaces/{workspace}/keys":             {`{"name":"ci"}`, 201},
	"DELETE /v1/workspaces/{workspace}/keys":           {"", 204},
	"GET /v1/workspaces/{workspace}/keys/{id}":         {"", 200},
	"PATCH /v1/workspaces/{workspace}/keys/{id}":       {`{"name":"new"}`, 200},
	"DELETE /v1/workspaces/{workspace}/keys/{id}":      {"", 204},
	"GET /v1/workspaces/{workspace}/keys/{id}/usage":   {"", 200},
	"POST /v1/workspaces/{workspace}/keys/{id}/rotate": {`{"overlap":"24h"}`, 200},
	"GET /v1/revocations":                              {"", 200},
	"GET /v1/audit":                                    {"", 200},
	"POST /v1/import":                                  {"", 200},
	"GET /v1/export":                                   {"", 200},
}

func TestRoutesAndCredentials(t *testing.T) {
	b := newBench(t)
	live := *b.create("other", `{"name":"live"}`).Secret
	credentials := []struct {
		name, header string
		right        bool
	}{
		{"none", "", false},
		{"wrong", "Bearer tpa_another-token-for-tests-only", false},
		{"prefix of the right one", "Bearer " + testToken[:len(testToken)-1], false},
		{"right one and more", "Bearer " + testToken + "x", false},
		{"garbage scheme", "Token " + testToken, false},
		{"basic", "Basic YWRtaW46YWRtaW4=", false},
		{"no scheme", testToken, false},
		{"empty", "Bearer ", false},
		{"two spaces", "Bearer  " + testToken, false},
		{"joined", "Bearer " + testToken + ", Bearer " + testToken, false},
		{"a live key of the data plane", "Bearer " + live, false},
		{"right", "Bearer " + testToken, true},
		{"right, small scheme", "bearer " + testToken, true},
	}
	if len(samples) != len(routes) {
		t.Fatalf("%d samples for %d routes", len(samples), len(routes))
	}
	for _, credential := range credentials {
		for _, r := range routes {
			t.Run(credential.name+"/"+r.method+r.pattern, func(t *testing.T) {
				b := b.on(t)
				b.config.Pacer = limiter.NewLocalPacer() // more failures than a minute allows
				b.serve()
				id := b.create("acme", `{"name":"ci"}`).Token.ID
				sample := samples[r.method+" "+r.pattern]
				target := strings.NewReplacer("{workspace}", "acme", "{id}", id).Replace(r.pattern)
				got := b.send(r.method, target, sample.body, "Authorization", credential.header)
				if credential.right && got.status != sample.status {
					t.Errorf("%d %s, want %d", got.status, got.body, sample.status)
				}
				if !credential.right && (got.status != 401 || got.body != "{\"message\":\"Unauthenticated.\"}\n" || got.header.Get("WWW-Authenticate") != `Bearer realm="tpgate"`) {
					t.Errorf("%d %q %q", got.status, got.body, got.header)
				}
			})
		}
	}
}

func TestTwoAuthorizationHeadersAreRefused(t *testing.T) {
	b := newBench(t)
	request, err := http.NewRequestWithContext(t.Context(), "GET", b.url+"/v1/workspaces", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header["Authorization"] = []string{"Bearer " + testToken, "Bearer " + testToken}
	if got := b.do(request); got.status != 401 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestMethods(t *testing.T) {
	b := newBench(t)
	id := b.create("acme", `{"name":"ci"}`).Token.ID
	allowed := map[string][]string{}
	for _, r := range routes {
		allowed[r.pattern] = append(allowed[r.pattern], r.method)
	}
	for _, pattern := range slices.Sorted(maps.Keys(allowed)) {
		target := strings.NewReplacer("{workspace}", "acme", "{id}", id).Replace(pattern)
		slices.Sort(allowed[pattern])
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get"} {
			if slices.Contains(allowed[pattern], method) {
				continue
			}
			got := b.send(method, target, "")
			if got.status != 405 || got.header.Get("Allow") != strings.Join(allowed[pattern], ", ") || got.body != "{\"message\":\"Method not allowed.\"}\n" {
				t.Errorf("%s %s: %d, Allow %q, %s", method, target, got.status, got.header.Get("Allow"), got.body)
			}
		}
	}
}

func TestHead(t *testing.T) {
	b := newBench(t)
	get, head := b.send("GET", "/v1/workspaces/acme", ""), b.send("HEAD", "/v1/workspaces/acme", "")
	if head.status != 200 || head.body != "" || head.header.Get("Content-Length") != get.header.Get("Content-Length") || head.header.Get("Content-Length") == "" {
		t.Errorf("HEAD: %d %q %q", head.status, head.body, head.header)
	}
	if got := b.send("HEAD", "/v1/workspaces/acme", "", "Authorization", ""); got.status != 401 {
		t.Errorf("HEAD without a token: %d", got.status)
	}
	if got := b.send("HEAD", "/v1/workspaces/acme/keys/1/rotate", ""); got.status != 405 {
		t.Errorf("HEAD where only POST is: %d", got.status)
	}
}

func TestOddPathsAreNotFound(t *testing.T) {
	b := newBench(t)
	for _, target := range []string{
		"/", "//", "/v1", "/v1/", "/v1/workspaces/", "//v1/workspaces", "/v1//workspaces", "/v1/./workspaces", "/v1/../v1/workspaces", "/../v1/workspaces",
		"/v1/workspaces/acme/", "/v1/workspaces//keys", "/v1/workspaces/acme/keys/", "/v1/workspaces/acme//keys", "/v1/workspaces/acme/../other/keys",
		"/v1/workspaces/..", "/v1/workspaces/.", "/v1/workspaces/%2e%2e", "/v1/workspaces/acme%2fkeys", "/v1/workspaces/acme%2Fkeys", "/v1%2fworkspaces", "/%76%31/workspaces",
		"/v1/workspaces/%61cme", "/v1/workspaces/a%20b", "/v1/workspaces/acme%00", "/v1/workspaces/%C3%A9", "/v1/workspaces/a.b", "/v1/workspaces/a,b", "/v1/workspaces/%7Btag%7D",
		"/v1/workspaces/" + strings.Repeat("a", 65), "/v1/workspaces/acme%0d%0aX:1", "/V1/workspaces", "/v1/workspaces/acme/keys/a.b", "/v1/workspaces/acme/keys/..%2f..",
		"/v1/workspaces/acme/keys/" + strings.Repeat("a", 65), "/v1/workspaces/acme/keys/1/rotate/", "/v1/workspaces/acme/keys/1/2", "/metrics", "/livez", "/debug/pprof/", "/favicon.ico",
	} {
		if got := b.send("GET", target, ""); got.status != 404 || got.body != "{\"message\":\"Not found.\"}\n" {
			t.Errorf("%s: %d %s", target, got.status, got.body)
		}
	}
}

func TestHosts(t *testing.T) {
	b := newBench(t)
	b.config.Hosts = []string{"127.0.0.1", "::1", "localhost"}
	b.serve()
	for host, status := range map[string]int{
		"127.0.0.1": 200, "127.0.0.1:8081": 200, "localhost": 200, "LOCALHOST:1": 200, "[::1]:8081": 200, "[::1]": 200,
		"evil.example": 421, "evil.example:8081": 421, "127.0.0.1.evil.example": 421, "localhost.evil.example": 421, "127.0.0.2": 421, "10.0.0.1": 421, "localhost.": 421, "0": 421,
	} {
		if got := b.send("GET", "/v1/workspaces", "", "Host", host); got.status != status {
			t.Errorf("Host %s: %d %s, want %d", host, got.status, got.body, status)
		}
	}
	if got := b.send("GET", "/v1/workspaces", "", "Host", "evil.example", "Authorization", ""); got.status != 421 {
		t.Errorf("the host is asked before the token: %d", got.status)
	}
	b.config.Hosts = nil
	b.serve()
	if got := b.send("GET", "/v1/workspaces", "", "Host", "keys.example.com"); got.status != 200 {
		t.Errorf("beyond loopback any host is right: %d", got.status)
	}
}

func TestFailedLogins(t *testing.T) {
	b := newBench(t)
	for i := range 14 {
		got := b.send("GET", "/v1/workspaces", "", "Authorization", "Bearer wrong")
		if i < 10 && got.status != 401 {
			t.Fatalf("failure %d: %d", i+1, got.status)
		}
		// One comes back every six seconds.
		if i >= 10 && (got.status != 429 || !slices.Contains([]string{"1", "2", "3", "4", "5", "6"}, got.header.Get("Retry-After")) || got.body != "{\"message\":\"Too many requests.\"}\n") {
			t.Errorf("failure %d: %d, Retry-After %q, %s", i+1, got.status, got.header.Get("Retry-After"), got.body)
		}
		if got := b.send("GET", "/v1/workspaces", ""); got.status != 200 {
			t.Errorf("the right token after %d failures of its address: %d", i+1, got.status)
		}
	}
}

func TestTooManyRequestsOfAToken(t *testing.T) {
	b := newBench(t)
	// A pacer keeps the pace that it was first asked for: with this one the token has used up an hour.
	if _, err := b.config.Pacer.Allow(t.Context(), "token:admin", limiter.Pace{Count: 1, Per: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if got := b.send("GET", "/v1/workspaces", ""); got.status != 429 || got.header.Get("Retry-After") != "3600" {
		t.Errorf("%d, Retry-After %q", got.status, got.header.Get("Retry-After"))
	}
}

// TestServer speaks to NewServer's own limits.
func TestServer(t *testing.T) {
	b := newBench(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := NewServer(New(b.config).Handler(), b.config.Logger)
	go func() { _ = server.Serve(ln) }() // ends with Close
	defer server.Close()
	for name, test := range map[string]struct{ request, want string }{
		"star":            {"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 404 "},
		"connect":         {"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", "HTTP/1.1 404 "},
		"absolute form":   {"GET http://h/v1/workspaces HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + testToken + "\r\n\r\n", "HTTP/1.1 200 "},
		"large headers":   {"GET / HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("x", 32<<10) + "\r\n\r\n", "HTTP/1.1 431 "},
		"two hosts":       {"GET / HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n", "HTTP/1.1 400 "},
		"both lengths":    {"POST /v1/workspaces/a/keys HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n", "HTTP/1.1 400 "},
		"short body":      {"POST /v1/workspaces/a/keys HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + testToken + "\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 400 "},
		"not HTTP at all": {"\x16\x03\x01\x02\x00\x01\r\n\r\n", "HTTP/1.1 400 "},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
			if _, err := io.WriteString(conn, test.request); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(conn).ReadString('\n')
			if err != nil || !strings.HasPrefix(line, test.want) {
				t.Errorf("%q, %v, want %q", line, err, test.want)
			}
		})
	}
}
