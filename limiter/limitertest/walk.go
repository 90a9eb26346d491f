package limitertest

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"tpgate/limiter"
)

// walks are the quotas that [Walk] walks on: small, so that windows are full most of the time.
var walks = []string{
	"1/1ms", "5/10ms", "2/3ms,5/10ms", "3/1s,9/5s,1/100ms", "7/10ms | 5/7ms", "12/50ms | 3/20ms,10/60ms", "off | 4/10ms", "2/10ms | off", "4/20ms | 4/20ms", "0/1s | 5/5ms",
}

// Walk takes steps random steps on a Taker, with a clock that never steps back. Arrivals crowd at the edges of windows. Each grant must be what brute force over all admissions
// says, and at the end no span of any window's length may hold more than its permits.
func Walk(t *testing.T, taker Taker, seed uint64, steps int) {
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for i, text := range walks {
		w := walk{taker: taker, key: text, limits: parse(t, text), now: start, random: random}
		for range steps / len(walks) {
			w.arrive()
			n := 1 + random.IntN(3)*random.IntN(7)
			got, want := taker.Take(w.now, n, w.key, w.limits...), w.oracle(n)
			if got != want {
				t.Fatalf("seed %d, walk %d on %s, at %s, %d permits:\n got %s\nwant %s", seed, i, text, sinceStart(w.now), n, describe(got), describe(want))
			}
			for range got.Granted {
				w.admitted = append(w.admitted, w.now)
			}
		}
		w.checkSpans(t)
	}
}

// walk is a walk on one key.
type walk struct {
	taker    Taker
	key      string
	limits   []limiter.Limit
	now      limiter.Stamp
	random   *rand.Rand
	admitted []limiter.Stamp // all of them, oldest first
}

// arrive moves the clock: not at all, a little, far, or to where an admission dies in a window, or a microsecond off.
func (w *walk) arrive() {
	switch kind := w.random.IntN(10); {
	case kind < 3:
	case kind < 5:
		w.now += limiter.Stamp(w.random.IntN(2000))
	case kind == 5:
		w.now += limiter.Stamp(w.random.IntN(100_000))
	case len(w.admitted) > 0:
		recent := w.admitted[max(0, len(w.admitted)-15):]
		windows := w.limits[w.random.IntN(len(w.limits))]
		if list := windows.Windows(); len(list) > 0 {
			edge := recent[w.random.IntN(len(recent))] + micros(list[w.random.IntN(len(list))].Length)
			w.now = max(w.now, edge+limiter.Stamp(w.random.IntN(3)-1))
		}
	}
}

// oracle says by brute force what must be granted now, and how things stand then.
func (w *walk) oracle(n int) limiter.Grant {
	grant := limiter.Grant{Granted: n, Quota: -1}
	for _, limit := range w.limits {
		for _, window := range limit.Windows() {
			grant.Granted = min(grant.Granted, window.Permits-len(w.alive(window)))
		}
	}
	for quota, limit := range w.limits {
		for _, window := range limit.Windows() {
			oldest := append(slices.Clone(w.alive(window)), w.now)[0]
			left, reset := window.Permits-len(w.alive(window))-grant.Granted, oldest+micros(window.Length)
			if grant.Quota < 0 || left < grant.Remaining || left == grant.Remaining && reset > grant.Reset {
				grant.Quota, grant.Window, grant.Remaining, grant.Reset = quota, window, left, reset
			}
		}
	}
	return grant
}

// alive returns the admissions younger than the window. No window of walks holds more than 20.
func (w *walk) alive(window limiter.Window) []limiter.Stamp {
	recent := w.admitted[max(0, len(w.admitted)-20):]
	for i, admitted := range recent {
		if w.now-admitted < micros(window.Length) {
			return recent[i:]
		}
	}
	return nil
}

// checkSpans fails if any span of a window's length holds more admissions than the window permits.
func (w *walk) checkSpans(t *testing.T) {
	for _, limit := range w.limits {
		for _, window := range limit.Windows() {
			for i := window.Permits; i < len(w.admitted); i++ {
				if w.admitted[i]-w.admitted[i-window.Permits] < micros(window.Length) {
					t.Fatalf("%s: more than %d admitted in %s up to %s", w.key, window.Permits, window.Length, sinceStart(w.admitted[i]))
				}
			}
		}
	}
}

// changing are the limits that [Compare] changes between.
var changing = []string{
	"off", "0/1s", "1/1ms", "3/10ms", "10/10ms", "40/10ms", "5/50ms", "30/50ms", "2/5ms,4/20ms", "7/20ms,2/5ms", "1/2ms,5/10ms,12/40ms", "20/30ms,8/10ms,3/5ms", "6/20ms,6/20ms", "4/10ms,0/5ms",
	"90/30ms", "300/50ms", "150/20ms,260/50ms", "200/10ms,70/3ms", "700/40ms",
}

// Compare takes steps random steps on two Takers at once, over several keys with limits that change and a clock that also steps back. Every field of every grant must be equal.
func Compare(t *testing.T, a, b Taker, seed uint64, steps int) {
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	keys := []string{"x", "y", "z"}
	limits := map[string][]limiter.Limit{}
	now, resets := start, []limiter.Stamp{start}
	for i := range steps {
		key := keys[random.IntN(len(keys))]
		if limits[key] == nil || random.IntN(25) == 0 {
			limits[key] = []limiter.Limit{parse(t, changing[random.IntN(len(changing))])[0], parse(t, changing[random.IntN(len(changing))])[0]}[random.IntN(2):]
		}
		now = next(now, resets, random)
		n := 1 + random.IntN(20)*random.IntN(2)
		ga, gb := a.Take(now, n, key, limits[key]...), b.Take(now, n, key, limits[key]...)
		if ga != gb {
			t.Fatalf("seed %d, step %d, key %s, %v, at %s, %d permits:\n one %s\nother %s", seed, i, key, limits[key], sinceStart(now), n, describe(ga), describe(gb))
		}
		if ga.Quota >= 0 {
			resets = append(resets, ga.Reset)[max(0, len(resets)-8):]
		}
	}
}

// next moves the clock: rarely back, by a little or a lot; mostly on, and often to where permits come back, or a microsecond off.
func next(now limiter.Stamp, resets []limiter.Stamp, random *rand.Rand) limiter.Stamp {
	switch kind := random.IntN(100); {
	case kind < 2:
		return max(start, now-limiter.Stamp(random.IntN(200_000)))
	case kind < 5:
		return max(start, now-limiter.Stamp(random.IntN(8_000)))
	case kind < 30:
		return now
	case kind < 60:
		return now + limiter.Stamp(random.IntN(1500))
	case kind < 62:
		return now + limiter.Stamp(random.IntN(100_000))
	default:
		edge := resets[random.IntN(len(resets))] + limiter.Stamp(random.IntN(3)-1)
		return max(now, min(edge, now+50_000))
	}
}

func micros(d time.Duration) limiter.Stamp { return limiter.Stamp(d.Microseconds()) }
