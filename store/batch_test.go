package store

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tpgate/limiter"
	"tpgate/limiter/limitertest"
)

// openHere opens a store on a redis-server of its own, with its insides in reach.
func openHere(t *testing.T, keyLimit, workspaceLimit string) *Redis {
	t.Helper()
	program, addr := limitertest.RedisProgram(t), FreeAddr(t)
	_, port, _ := net.SplitHostPort(addr)
	server := exec.Command(program, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir())
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	config := RedisConfig{URL: "redis://" + addr, Prefix: "tpgate", Metrics: NewMetrics(prometheus.NewRegistry()), Logger: slog.New(slog.DiscardHandler)}
	config.Defaults.KeyLimit, _ = limiter.Parse(keyLimit)
	config.Defaults.WorkspaceLimit, _ = limiter.Parse(workspaceLimit)
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		r, err := OpenRedis(context.Background(), config)
		if err == nil {
			return r
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

func createHere(t *testing.T, r *Redis, workspace, limit string) Key {
	t.Helper()
	key := Key{ID: NewID(), Workspace: workspace, Name: "k", Digest: Digest([]byte(random(32))), CreatedAt: time.Now()}
	key.Limit, _ = limiter.Parse(limit) // none for ""
	key, err := r.Create(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// walked is a key of the walk with what the Go limiter thinks of it.
type walked struct {
	key        Key
	admissions limiter.Admissions
	workspace  *limiter.Admissions
}

// TestMergedWalk sends flights of merged checks of several keys, some of them with two digests, at random times, and has the Go limiter decide the same at the same times: granted permits, remaining ones, window and
// time of reset agree for every entry, and what the merged callers are told is what they would have been told one after the other.
func TestMergedWalk(t *testing.T) {
	for _, c := range []struct{ keyLimit, workspaceLimit string }{
		{"7/40ms", "off"}, {"3/20ms,10/150ms", "off"}, {"7/40ms", "9/60ms"}, {"4/30ms,6/50ms,20/200ms", "5/25ms,30/250ms"}, {"off", "10/50ms"}, {"90/60ms", "off"}, {"40/20ms,400/150ms", "300/100ms"},
	} {
		t.Run(c.keyLimit+" and "+c.workspaceLimit, func(t *testing.T) {
			r := openHere(t, c.keyLimit, c.workspaceLimit)
			defer r.Close()
			keys := make([]*walked, 6)
			shared := []*limiter.Admissions{{}, {}}
			for i := range keys {
				key := createHere(t, r, fmt.Sprint("w", i%2), "")
				if i > 2 { // rotated
					var err error
					if key, err = r.UpdateKey(t.Context(), key.Workspace, key.ID, func(k *Key) error {
						k.Digest, k.Previous, k.PreviousUntil = Digest{byte(i)}, k.Digest, time.Now().Add(time.Hour)
						return nil
					}); err != nil {
						t.Fatal(err)
					}
				}
				keys[i] = &walked{key: key, workspace: shared[i%2]}
			}
			lane, err := r.checks.single.pilot.open(time.Now().Add(10 * time.Second))
			if err != nil {
				t.Fatal(err)
			}
			defer lane.close()
			flights := 150
			if os.Getenv("TPGATE_FULL") != "" {
				flights = 5000
			}
			seed := rand.Uint64()
			random := rand.New(rand.NewPCG(seed, 0))
			for range flights {
				if !r.walk(t, lane, keys, random) {
					t.Fatalf("seed %d", seed)
				}
				time.Sleep(time.Duration(random.IntN(1+random.IntN(20))) * time.Millisecond)
			}
		})
	}
}

// walk makes one flight, and reports whether all that came of it is right.
func (r *Redis) walk(t *testing.T, over *lane, keys []*walked, random *rand.Rand) bool {
	t.Helper()
	g := r.checks.single
	f := g.flights.Get().(*flight)
	f.lane = over
	of := map[*call]*walked{}
	var all []*call
	checks := 1 + random.IntN(12)
	if random.IntN(5) == 0 {
		checks += random.IntN(400)
	}
	for range checks {
		k := keys[random.IntN(len(keys))]
		digest := k.key.Digest
		if k.key.Previous != (Digest{}) && len(all)/(1+checks/12)%2 == 0 { // in turns, so that all fit into one script call
			digest = k.key.Previous
		}
		c := newCall(&check{digest: digest, deadline: time.Now().Add(10 * time.Second)})
		c.place, c.shared = place{k.key.Workspace, k.key.ID}, r.shared
		of[c] = k
		all = append(all, c)
		f.add(c)
	}
	if err := g.pilot.roundTrip(f); err != nil {
		t.Error(err)
		return false
	}
	heads := append([]*call{}, f.verifies...)
	now := limiter.Stamp(0)
	for _, c := range heads {
		now = max(now, limiter.StampOf(c.standing.Reset.Add(-c.standing.Wait))) // all of one moment
	}
	for _, c := range heads {
		k := of[c]
		want := limiter.Take(now, c.permits, limiter.Quota{Admissions: &k.admissions, Limit: &r.defaults.KeyLimit}, limiter.Quota{Admissions: k.workspace, Limit: &r.defaults.WorkspaceLimit})
		scope := []Scope{ScopeNone, ScopeKey, ScopeWorkspace}[want.Quota+1]
		got := c.standing
		if c.verdict != 'A' || c.granted != want.Granted || got.Scope != scope || got.Remaining != want.Remaining || got.Window != want.Window || !got.Reset.Equal(want.Reset.Time()) {
			t.Errorf("%d permits asked for: %c %d %+v, the Go limiter says %+v", c.permits, c.verdict, c.granted, got, want)
			return false
		}
		if !shares(t, c, want) {
			return false
		}
	}
	for _, c := range all {
		calls.Put(c)
	}
	g.recycle(f)
	return true
}

// shares divides an entry's answer among its callers, and reports whether each is told its turn.
func shares(t *testing.T, c *call, want limiter.Grant) bool {
	t.Helper()
	turns := []*call{c}
	for m := c.merged; m != nil; m = m.merged {
		turns = append(turns, m)
	}
	c.share(nil)
	for i, m := range turns {
		if m != c {
			<-m.wake
		}
		granted, remaining := 0, want.Remaining
		if i < want.Granted {
			granted, remaining = 1, want.Remaining+want.Granted-1-i
		}
		if m.granted != granted || m.standing.Remaining != remaining {
			t.Errorf("caller %d of %d, of which %d are granted: %+v", i+1, len(turns), want.Granted, m.answer)
			return false
		}
	}
	return true
}

// TestCloseLeavesNothing counts goroutines after a store with many connections was closed, and has checks come in the middle of it: they are answered.
func TestCloseLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 3 {
		r := openHere(t, "off", "off")
		keys := []Key{createHere(t, r, "a", ""), createHere(t, r, "b", "")}
		var checks sync.WaitGroup
		for i := range 64 {
			checks.Go(func() {
				for end := time.Now().Add(200 * time.Millisecond); time.Now().Before(end); {
					r.Verify(keys[i%2].Digest, time.Now().Add(100*time.Millisecond))
				}
			})
		}
		time.Sleep(100 * time.Millisecond)
		r.checks.close()
		checks.Wait()
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	after := 0
	for range 100 {
		if after = runtime.NumGoroutine(); after <= before+6 { // os/exec waits for each server with two
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	stacks := make([]byte, 1<<20)
	t.Errorf("%d goroutines before, %d after:\n%s", before, after, strings.ReplaceAll(string(stacks[:runtime.Stack(stacks, true)]), "\t", "  "))
}

// TestSharedFlight looks for more than one check on board: of one key, of two, looking up or not.
func TestSharedFlight(t *testing.T) {
	for on, want := range map[string]bool{"": false, "a": false, "aa": true, "ab": true, "l": false, "ll": true, "lm": true, "al": true} {
		f := newGatherer(&pilot{}).waiting
		for _, check := range on {
			c := &call{digest: Digest{byte(check)}}
			if check < 'l' {
				c.place = place{"w", string(check)}
			}
			f.add(c)
		}
		if f.shared() != want {
			t.Errorf("%q: shared: %t, want %t", on, f.shared(), want)
		}
	}
}

// TestDepart has checks leave one by one on a quiet service, and gather while flights are under way on one that is not: then enough entries leave together, until there are too many flights or a pace
// has passed. Checks of one key are one entry, and wait.
func TestDepart(t *testing.T) {
	for _, c := range []struct {
		name     string
		shared   bool
		underway int
		entries  int
		callers  int // of each entry
		lookups  bool
		since    time.Duration
		leave    bool
	}{
		{"nothing waits", true, 0, 0, 0, false, 0, false},
		{"nothing under way", true, 0, 1, 1, false, 0, true},
		{"quiet", false, 1, 1, 1, false, 0, true},
		{"the last flight of a quiet service", false, maxAtOnce - 1, 1, 1, false, 0, true},
		{"not quiet any more", false, maxAtOnce, 1, 1, false, 0, false},
		{"too few", true, 1, enough - 1, 1, false, 0, false},
		{"enough", true, 1, enough, 1, false, 0, true},
		{"enough look-ups", true, 1, enough, 1, true, 0, true},
		{"many of one key", true, 1, 1, 10 * enough, false, 0, false},
		{"the last flight", true, maxAtOnce - 1, enough, 1, false, 0, true},
		{"too many flights", true, maxAtOnce, 10 * enough, 1, false, 0, false},
		{"a pace later", true, maxAtOnce, 1, 1, false, pace, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGatherer(&pilot{})
			g.shared.Store(c.shared)
			g.idle, g.underway, g.departed = []*lane{{}}, c.underway, time.Now().Add(-c.since)
			if c.since == 0 {
				g.departed = time.Now().Add(time.Hour)
			}
			for i := range c.entries {
				for range c.callers {
					waiting := &call{digest: Digest{byte(i), byte(i >> 8)}}
					if !c.lookups {
						waiting.place = place{"w", strconv.Itoa(i)}
					}
					g.waiting.add(waiting)
				}
			}
			if left := g.depart() != nil; left != c.leave {
				t.Errorf("left: %t, want %t", left, c.leave)
			}
		})
	}
}
