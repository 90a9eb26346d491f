package admin

import (
	"bufio"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"tpgate/limiter"
	"tpgate/store"
)

const testToken = "tpa_a-token-for-tests-only"

// bench is the API on a real store behind a real listener.
type bench struct {
	t      *testing.T
	config Config
	url    string
	client *http.Client

	closeStore func()
}

func newBench(t *testing.T) *bench {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	keys, err := store.OpenEmbedded(store.EmbeddedConfig{
		Dir: t.TempDir(), Defaults: store.Defaults{KeyLimit: limiter.Off, WorkspaceLimit: limiter.Off},
		Metrics: store.NewMetrics(prometheus.NewRegistry()), Logger: logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	closeStore := sync.OnceFunc(func() {
		if err := keys.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(closeStore)
	tokens, err := store.NewTokens("tp_")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, closeStore: closeStore, config: Config{Store: keys, Tokens: tokens, AdminToken: testToken, Pacer: keys.Pacer(), Logger: logger}}
	b.serve()
	return b
}

// serve starts the API anew, with the configuration as it is now and on the same store. more are callers beside the admin.
func (b *bench) serve(more ...caller) {
	b.t.Helper()
	api := New(b.config)
	api.callers = append(api.callers, more...)
	server := httptest.NewServer(api.Handler())
	b.t.Cleanup(server.Close)
	b.url, b.client = server.URL, server.Client()
	b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
}

// on returns the bench for a subtest.
func (b *bench) on(t *testing.T) *bench {
	c := *b
	c.t = t
	return &c
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// send sends a request with the admin token. headers are pairs of name and value; an empty value takes the header away.
func (b *bench) send(method, path, body string, headers ...string) answer {
	b.t.Helper()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	request, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, content)
	if err != nil {
		b.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+testToken)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Del(headers[i])
		if headers[i] == "Host" {
			request.Host = headers[i+1]
		} else if headers[i+1] != "" {
			request.Header.Set(headers[i], headers[i+1])
		}
	}
	return b.do(request)
}

// do sends a request and checks what must hold for every answer.
func (b *bench) do(request *http.Request) answer {
	b.t.Helper()
	response, err := b.client.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	var text []byte
	if response.Header.Get("Content-Type") == "text/event-stream" { // which does not end: the first event
		text = []byte(nextEvent(bufio.NewReader(response.Body)))
	} else if text, err = io.ReadAll(response.Body); err != nil {
		b.t.Fatal(err)
	}
	got := answer{response.StatusCode, response.Header, string(text)}
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Location": "", "Access-Control-Allow-Origin": "", "Server": "",
	} {
		if have := got.header.Get(name); have != want {
			b.t.Errorf("%s %s: %s is %q, want %q", request.Method, request.URL, name, have, want)
		}
	}
	if kind := got.header.Get("Content-Type"); kind == "application/x-ndjson" {
		for line := range strings.Lines(string(text)) {
			if !json.Valid([]byte(line)) {
				b.t.Errorf("%s %s: %q is not a line of JSON", request.Method, request.URL, line)
			}
		}
	} else if len(text) > 0 && kind != "text/event-stream" && (kind != "application/json" || !json.Valid(text)) {
		b.t.Errorf("%s %s: %s %q is not JSON", request.Method, request.URL, got.header.Get("Content-Type"), text)
	}
	if strings.Contains(got.body, testToken) {
		b.t.Errorf("%s %s: the answer contains the admin token", request.Method, request.URL)
	}
	return got
}

// nextEvent reads one server-sent event; "" when the stream has ended.
func nextEvent(stream *bufio.Reader) string {
	var event strings.Builder
	for {
		line, err := stream.ReadString('\n')
		if err != nil {
			return ""
		}
		if line == "\n" {
			return event.String()
		}
		event.WriteString(line)
	}
}

// create makes a key with these fields and returns it with its secret.
func (b *bench) create(workspace, fields string) NewKey {
	b.t.Helper()
	got := b.send("POST", "/v1/workspaces/"+workspace+"/keys", fields)
	if got.status != http.StatusCreated {
		b.t.Fatalf("creating %s: %d %s", fields, got.status, got.body)
	}
	return decode[NewKey](b.t, got)
}

func decode[T any](t *testing.T, a answer) T {
	t.Helper()
	var value T
	if err := json.Unmarshal([]byte(a.body), &value); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return value
}

// verify asks the store what a secret is worth.
func (b *bench) verify(secret string) store.Verdict {
	b.t.Helper()
	digest, ok := b.config.Tokens.Digest([]byte(secret))
	if !ok {
		b.t.Fatal("not a key by its form")
	}
	return b.config.Store.Verify(digest, farAway).Verdict
}
