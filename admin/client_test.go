package admin

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestClient(t *testing.T) {
	b := newBench(t)
	client := &Client{Server: b.url + "/", Token: testToken, HTTP: b.client}
	var made NewKey
	if _, err := client.Call(t.Context(), "POST", "/v1/workspaces/acme/keys", map[string]any{"name": "ci"}, &made); err != nil || made.Secret == nil || made.Token.Name != "ci" {
		t.Fatalf("%+v, %v", made, err)
	}
	for range 4 {
		b.create("acme", `{"name":"ci"}`)
	}
	var keys []Key
	pages := 0
	for path := "/v1/workspaces/acme/keys?limit=2"; path != ""; pages++ {
		var page []Key
		next, err := client.Call(t.Context(), "GET", path, nil, &page)
		if err != nil {
			t.Fatal(err)
		}
		keys, path = append(keys, page...), next
	}
	if len(keys) != 5 || pages != 3 {
		t.Errorf("%d keys on %d pages", len(keys), pages)
	}
	if _, err := client.Call(t.Context(), "DELETE", "/v1/workspaces/acme/keys", nil, nil); err != nil {
		t.Error(err)
	}
}

func TestClientErrors(t *testing.T) {
	b := newBench(t)
	for _, test := range []struct {
		token, method, path string
		in                  any
		status              int
		want                string
	}{
		{testToken, "GET", "/v1/workspaces/acme/keys/x", nil, 404, "Not found."},
		{"wrong", "GET", "/v1/workspaces", nil, 401, "Unauthenticated."},
		{testToken, "POST", "/v1/workspaces/acme/keys", map[string]any{}, 422, "The name field is required."},
		{testToken, "POST", "/v1/workspaces/acme/keys", map[string]any{"limit": 1, "expires_at": "2020-01-01"}, 422,
			"The name field is required. (and 2 more errors)\nThe expires at field must be a date after now.\nThe limit field must be a string."},
		{testToken, "POST", "/v1/workspaces/acme/keys", map[string]any{"colour": 1}, 400, `The request is malformed: the field "colour" is unknown here: possible are ["name" "expires_at" "limit"].`},
	} {
		client := &Client{Server: b.url, Token: test.token, HTTP: b.client}
		_, err := client.Call(t.Context(), test.method, test.path, test.in, nil)
		answered, ok := errors.AsType[*Error](err)
		if !ok || answered.Status != test.status || err.Error() != test.want {
			t.Errorf("%s %s: %v, want %d %s", test.method, test.path, err, test.status, test.want)
		}
	}
}

// TestClientAtTheWrongDoor calls what is not the management API: the error says what to look at, and never the token.
func TestClientAtTheWrongDoor(t *testing.T) {
	answering := func(status int, body string) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	redirecting := httptest.NewServer(http.RedirectHandler(answering(200, "<html>log in</html>"), http.StatusFound))
	t.Cleanup(redirecting.Close)
	for name, test := range map[string]struct{ server, want string }{
		"nobody listens": {"http://127.0.0.1:1", "connection refused): is the service running (tpgate serve), and is --server right?"},
		"no such host":   {"http://tpgate.invalid:8081", "cannot reach the management API at http://tpgate.invalid:8081 ("},
		"no scheme":      {"127.0.0.1:8081", "the server's address \"127.0.0.1:8081\" is not usable: write one such as http://127.0.0.1:8081"},
		"no host":        {"localhost", "cannot reach the management API at localhost ("},
		"another scheme": {"ftp://localhost", "cannot reach the management API at ftp://localhost ("},
		"a web site":     {answering(200, "<html>hello</html>"), " did not answer as the management API of tpgate does: is --server right?"},
		"empty":          {answering(200, ""), " did not answer as the management API of tpgate does: is --server right?"},
		"another shape":  {answering(200, `{"id":1}`), " did not answer as the management API of tpgate does: is --server right?"},
		"its 404 page":   {answering(404, "<html>not found</html>"), "the server answered 404 Not Found"},
		"its 502 page":   {answering(502, "null"), "the server answered 502 Bad Gateway"},
		"its log-in":     {redirecting.URL, " did not answer as the management API of tpgate does: is --server right?"},
	} {
		t.Run(name, func(t *testing.T) {
			client := &Client{Server: test.server, Token: testToken, HTTP: &http.Client{Timeout: 10 * time.Second}}
			var keys []Key
			_, err := client.Call(t.Context(), "GET", "/v1/workspaces/acme/keys", nil, &keys)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), testToken) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

func TestClientStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	defer server.Close()
	client := &Client{Server: server.URL, Token: testToken, HTTP: server.Client()}
	if _, err := client.Call(ctx, "GET", "/v1/workspaces", nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestNextLink(t *testing.T) {
	for header, want := range map[string]string{
		"": "", `</v1/workspaces?cursor=a&limit=1>; rel="next"`: "/v1/workspaces?cursor=a&limit=1", `</v1/x>; rel="prev"`: "", `/v1/x; rel="next"`: "", `</v1/x>`: "",
	} {
		if got := nextLink(header); got != want {
			t.Errorf("%q: %q, want %q", header, got, want)
		}
	}
}
