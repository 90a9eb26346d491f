package main

import (
	"log/slog"
	"net/http/httptest"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tpgate/admin"
	"tpgate/limiter"
	"tpgate/store"
)

// TestAllPages walks a list of several pages, as the lists of the commands do.
func TestAllPages(t *testing.T) {
	logger := slog.New(slog.DiscardHandler)
	keys, err := store.OpenEmbedded(store.EmbeddedConfig{
		Dir: t.TempDir(), Defaults: store.Defaults{KeyLimit: limiter.Off, WorkspaceLimit: limiter.Off}, Metrics: store.NewMetrics(prometheus.NewRegistry()), Logger: logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Close()
	tokens, err := store.NewTokens("tp_")
	if err != nil {
		t.Fatal(err)
	}
	const token = "tpa_a-token-for-tests-only"
	server := httptest.NewServer(admin.New(admin.Config{Store: keys, Tokens: tokens, AdminToken: token, Pacer: keys.Pacer(), Logger: logger}).Handler())
	defer server.Close()
	var want []string
	for i := range 5 {
		name := strconv.Itoa(i)
		key := store.Key{ID: store.NewID(), Workspace: "acme", Name: name, Digest: tokens.DigestOf(name), Hint: "tp_", CreatedAt: time.UnixMilli(int64(i + 1)).UTC()}
		if _, err := keys.Create(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		want = append([]string{name}, want...)
	}
	c := newClient(world{}, "keys list", "")
	c.api = &admin.Client{Server: server.URL, Token: token, HTTP: server.Client()}
	for _, size := range []string{"1", "2", "5", "6"} {
		list, err := all[admin.Key](t.Context(), c, "/v1/workspaces/acme/keys?limit="+size)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, key := range list {
			names = append(names, key.Name)
		}
		if !slices.Equal(names, want) {
			t.Errorf("in pages of %s: %q, want %q", size, names, want)
		}
	}
}
