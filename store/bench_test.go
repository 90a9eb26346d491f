package store_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
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

// BenchmarkLowLoad has callers that pause between their checks, so that there is seldom anybody to share a round trip with, and decides their checks in turns by the store and with a round trip for each.
// It reports the times of both in µs.
func BenchmarkLowLoad(b *testing.B) {
	for _, c := range []struct {
		callers int
		pause   time.Duration // between the checks of one, on average
	}{{1, time.Millisecond}, {8, 8 * time.Millisecond}, {32, 16 * time.Millisecond}} {
		b.Run(fmt.Sprintf("%dx%d", c.callers, time.Duration(c.callers)*time.Second/c.pause), func(b *testing.B) {
			config := redisConfig(redisServer(b))
			config.Defaults = benchDefaults(b)
			s := openRedis(b, config)
			digests := benchDigests(b, s)
			for _, digest := range digests { // from now on their places are known
				s.Verify(digest, time.Now().Add(time.Second))
			}
			alone := store.NewAlone(b, s, c.callers)
			var took [2][]time.Duration
			b.ResetTimer()
			for turn := 0; len(took[1]) < b.N; turn = 1 - turn {
				verify := []func(store.Digest, time.Time) store.Decision{s.Verify, alone.Verify}[turn]
				took[turn] = append(took[turn], pausing(b, c.callers, c.pause, digests, verify)...)
			}
			for turn, name := range []string{"shared", "alone"} {
				slices.Sort(took[turn])
				for _, p := range []float64{0.5, 0.99} {
					b.ReportMetric(float64(took[turn][int(p*float64(len(took[turn])))].Microseconds()), fmt.Sprintf("p%g-µs-%s", 100*p, name))
				}
			}
			b.ReportMetric(0, "ns/op") // pauses included, it says nothing
		})
	}
}

// pausing returns how long each of 50 checks of each caller took.
func pausing(b *testing.B, callers int, pause time.Duration, digests []store.Digest, verify func(store.Digest, time.Time) store.Decision) []time.Duration {
	took := make([][]time.Duration, callers)
	var running sync.WaitGroup
	for caller := range callers {
		running.Go(func() {
			for range 50 {
				time.Sleep(time.Duration(rand.ExpFloat64() * float64(pause)))
				start := time.Now()
				d := verify(digests[rand.IntN(len(digests))], start.Add(time.Second))
				took[caller] = append(took[caller], time.Since(start))
				if d.Verdict != store.Allowed {
					b.Error(d.Verdict, d.Err)
				}
			}
		})
	}
	running.Wait()
	return slices.Concat(took...)
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
