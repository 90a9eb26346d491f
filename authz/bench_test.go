package authz

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"tpgate/limiter"
	"tpgate/store"
)

// benchTokens is the format of keys.
func benchTokens(t testing.TB) store.Tokens {
	t.Helper()
	tokens, err := store.NewTokens("tp_")
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

// benchServer is a server that nothing listens for, in front of this store.
func benchServer(t testing.TB, verifier store.Verifier) *Server {
	t.Helper()
	s, err := NewServer(Config{
		Verifier: verifier, Upgrader: nothingToUpgrade{}, Tokens: benchTokens(t), WorkspaceHeader: "X-Workspace-Id", Timeout: time.Second,
		Metrics: NewMetrics(prometheus.NewRegistry()), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// checkOf is a request with this credential, ready for Server.check.
func checkOf(secret string) *fasthttp.RequestCtx {
	var request fasthttp.Request
	request.SetRequestURI("/nginx")
	if secret != "" {
		request.Header.Set("Authorization", "Bearer "+secret)
	}
	ctx := new(fasthttp.RequestCtx)
	ctx.Init(&request, nil, quiet{})
	return ctx
}

// answerTo runs one check as fasthttp does on a connection, whose memory it uses again.
func answerTo(s *Server, ctx *fasthttp.RequestCtx) {
	ctx.Response.Reset()
	s.check(ctx)
}

func BenchmarkParseAuthorization(b *testing.B) {
	values := [][]byte{[]byte("Bearer tp_" + strings.Repeat("A", 48))}
	b.ReportAllocs()
	for b.Loop() {
		if _, found := parseAuthorization(values); found != bearerPresent {
			b.Fatal(found)
		}
	}
}

// decisionCases are decisions of all kinds, as stores give them.
func decisionCases() map[string]store.Decision {
	quota := store.Standing{Scope: store.ScopeKey, Window: limiter.Window{Permits: 60, Length: time.Minute}, Remaining: 59, Reset: time.Now(), Wait: time.Minute}
	return map[string]store.Decision{
		"allowed":     {Verdict: store.Allowed, Workspace: "acme", KeyID: "0123456789abcdef"},
		"with quota":  {Verdict: store.Allowed, Workspace: "acme", KeyID: "0123456789abcdef", Standing: quota},
		"limited":     {Verdict: store.Limited, Workspace: "acme", KeyID: "0123456789abcdef", Standing: quota},
		"invalid":     {Verdict: store.Unknown},
		"suspended":   {Verdict: store.Suspended},
		"unavailable": {},
	}
}

// BenchmarkAnswer writes verdicts: no store, no network.
func BenchmarkAnswer(b *testing.B) {
	secret := benchTokens(b).New()
	for name, decision := range decisionCases() {
		b.Run(strings.ReplaceAll(name, " ", "_"), func(b *testing.B) {
			s, ctx := benchServer(b, deciding(decision)), checkOf(secret)
			b.ReportAllocs()
			for b.Loop() {
				answerTo(s, ctx)
			}
		})
	}
}

// BenchmarkCheck decides and answers with the embedded store, without a network.
func BenchmarkCheck(b *testing.B) {
	g := newGate(b, nil)
	_, free := g.key("acme", nil)
	_, counted := g.key("acme", func(k *store.Key) { k.Limit = mustLimit(b, "1000000/1s") })
	for _, test := range []struct{ name, secret string }{{"allowed", free}, {"with_quota", counted}, {"unknown", g.tokens.New()}, {"missing", ""}} {
		b.Run(test.name, func(b *testing.B) {
			ctx := checkOf(test.secret)
			b.ReportAllocs()
			for b.Loop() {
				answerTo(g.server, ctx)
			}
		})
	}
}

// TestChecksDoNotAllocate keeps the path of a check free of garbage.
func TestChecksDoNotAllocate(t *testing.T) {
	secret := benchTokens(t).New()
	for name, decision := range decisionCases() {
		s, ctx := benchServer(t, deciding(decision)), checkOf(secret)
		if n := testing.AllocsPerRun(200, func() { answerTo(s, ctx) }); n > 0 {
			t.Errorf("%s: %g allocations", name, n)
		}
	}
}

// nothingToUpgrade is a store without keys in older forms.
type nothingToUpgrade struct{ Upgrader }

func (nothingToUpgrade) HasLegacy() bool { return false }
