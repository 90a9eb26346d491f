package store_test

import (
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tpgate/limiter"
	"tpgate/store"
)

// benchKeys is over how many keys the benchmarks of Verify spread their checks.
const benchKeys = 1000

func BenchmarkDigest(b *testing.B) {
	tokens, err := store.NewTokens("tp_")
	if err != nil {
		b.Fatal(err)
	}
	secret := []byte(tokens.New())
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := tokens.Digest(secret); !ok {
			b.Fatal("a new key is not well-formed")
		}
	}
}

func BenchmarkVerifyEmbedded(b *testing.B) {
	s, err := store.OpenEmbedded(store.EmbeddedConfig{
		Dir: b.TempDir(), Defaults: benchDefaults(b), Metrics: store.NewMetrics(prometheus.NewRegistry()), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	digests := benchDigests(b, s)
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		n++
		if d := s.Verify(digests[n%len(digests)], time.Time{}); d.Verdict != store.Allowed {
			b.Fatal(d.Verdict, d.Err)
		}
	}
}

// BenchmarkVerifyRedis has 64 checks under way at a time, so that they travel in batches as under load.
func BenchmarkVerifyRedis(b *testing.B) {
	for _, c := range []struct {
		name string
		keys int
	}{{"uniform", benchKeys}, {"hot", 1}} {
		b.Run(c.name, func(b *testing.B) {
			config := redisConfig(redisServer(b))
			config.Defaults = benchDefaults(b)
			s := openRedis(b, config)
			digests := benchDigests(b, s)[:c.keys]
			var turn atomic.Uint64
			b.ReportAllocs()
			b.SetParallelism(max(1, 64/runtime.GOMAXPROCS(0)))
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					n := turn.Add(1) * 7919 // a prime: neighbours in time are not neighbours in the list
					if d := s.Verify(digests[n%uint64(len(digests))], time.Now().Add(time.Second)); d.Verdict != store.Allowed {
						b.Error(d.Verdict, d.Err)
						return
					}
				}
			})
		})
	}
}

func benchDefaults(b *testing.B) store.Defaults {
	limit, err := limiter.Parse("1000000/1s")
	if err != nil {
		b.Fatal(err)
	}
	return store.Defaults{KeyLimit: limit, WorkspaceLimit: limiter.Off}
}

// benchDigests makes keys in 20 workspaces.
func benchDigests(b *testing.B, s store.Store) []store.Digest {
	b.Helper()
	tokens, err := store.NewTokens("tp_")
	if err != nil {
		b.Fatal(err)
	}
	digests := make([]store.Digest, benchKeys)
	for i := range digests {
		digests[i] = tokens.DigestOf(tokens.New())
		key := store.Key{ID: store.NewID(), Workspace: fmt.Sprintf("bench-%02d", i%20), Name: "bench", Hint: "tp_…", Digest: digests[i], CreatedAt: time.Now()}
		if _, err := s.Create(b.Context(), key); err != nil {
			b.Fatal(err)
		}
	}
	return digests
}
