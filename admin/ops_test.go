package admin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"tpgate/limiter"
	"tpgate/store"
)

func TestProbes(t *testing.T) {
	var broken atomic.Bool
	ops := &Ops{Gatherer: prometheus.NewRegistry(), Ready: func(context.Context) error {
		if broken.Load() {
			return errors.New("redis at 10.0.0.7: no route")
		}
		return nil
	}}
	server := httptest.NewServer(NewServer(ops.Handler(), slog.New(slog.DiscardHandler)).Handler)
	defer server.Close()
	get := func(method, path string) (int, string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := server.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		if (strings.HasPrefix(path, "/livez") || path == "/readyz") && response.StatusCode != 405 && (response.Header.Get("Cache-Control") != "no-store" || response.Header.Get("Content-Type") != "text/plain; charset=utf-8") {
			t.Errorf("%s: %q", path, response.Header)
		}
		return response.StatusCode, string(body)
	}
	expect := func(state string, want map[string]string) {
		t.Helper()
		for path, text := range want {
			status := map[bool]int{true: 200, false: 503}[text == "ok"]
			if got, body := get("GET", path); got != status || body != text+"\n" {
				t.Errorf("%s: %s: %d %q, want %d %q", state, path, got, body, status, text)
			}
			if got, body := get("HEAD", path); got != status || body != "" {
				t.Errorf("%s: HEAD %s: %d %q", state, path, got, body)
			}
			for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
				if got, _ := get(method, path); got != 405 {
					t.Errorf("%s %s: %d", method, path, got)
				}
			}
		}
	}
	expect("healthy", map[string]string{"/livez": "ok", "/readyz": "ok", "/readyz?store=ignore": "ok", "/readyz?store=x": "ok"})
	broken.Store(true)
	expect("store away", map[string]string{"/livez": "ok", "/readyz": "the store cannot answer", "/readyz?store=ignore": "ok", "/readyz?store=x": "the store cannot answer"})
	broken.Store(false)
	expect("store back", map[string]string{"/livez": "ok", "/readyz": "ok"})
	ops.Drain()
	expect("draining", map[string]string{"/livez": "ok", "/readyz": "draining", "/readyz?store=ignore": "draining"})
	for _, path := range []string{"/", "/v1/workspaces", "/readyz/", "/healthz", "/debug/pprof/", "/debug/vars", "/metrics/x"} {
		if got, _ := get("GET", path); got != 404 {
			t.Errorf("%s: %d", path, got)
		}
	}
}

// TestManagementMetricsNameNobody: what management leaves in /metrics has labels of closed sets alone.
func TestManagementMetricsNameNobody(t *testing.T) {
	registry := prometheus.NewRegistry()
	keys, err := store.OpenEmbedded(store.EmbeddedConfig{
		Dir: t.TempDir(), Defaults: store.Defaults{KeyLimit: limiter.Off, WorkspaceLimit: limiter.Off}, Metrics: store.NewMetrics(registry), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := keys.Close(); err != nil {
			t.Error(err)
		}
	}()
	b := newBench(t)
	b.config.Store = keys
	b.serve()
	server := httptest.NewServer((&Ops{Gatherer: registry, Ready: keys.Ready}).Handler())
	defer server.Close()
	scrape := func() string {
		t.Helper()
		response, err := server.Client().Get(server.URL + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != 200 {
			t.Fatalf("%d %s %v", response.StatusCode, text, err)
		}
		return string(text)
	}
	calls := func(workspace string) NewKey {
		made := b.create(workspace, `{"name":"a-name-of-a-key"}`)
		for _, call := range [][2]string{{"PATCH", "/keys/" + made.Token.ID}, {"POST", "/keys/" + made.Token.ID + "/rotate"}, {"PATCH", ""}, {"GET", "/keys"}, {"DELETE", "/keys/" + made.Token.ID}, {"DELETE", "/keys"}, {"GET", "/keys/" + made.Token.ID}} {
			b.send(call[0], "/v1/workspaces/"+workspace+call[1], "")
		}
		return made
	}
	calls("a-workspace")
	before := scrape()
	made := calls("another-workspace")
	after := scrape()
	if b, a := strings.Count(before, "\n"), strings.Count(after, "\n"); b != a || !strings.Contains(after, "tpgate_store_duration_seconds_count") {
		t.Errorf("%d lines became %d with another workspace", b, a)
	}
	for _, secret := range []string{"a-workspace", "another", "a-name", made.Token.ID, (*made.Secret)[3:], "tp_", "/v1"} {
		if strings.Contains(after, secret) {
			t.Errorf("/metrics contains %q", secret)
		}
	}
	for _, label := range regexp.MustCompile(`[{,]([a-z_]+)="`).FindAllStringSubmatch(after, -1) {
		if !slices.Contains([]string{"operation", "kind", "le"}, label[1]) {
			t.Errorf("there is a label %s", label[1])
		}
	}
}
