// Package limitertest holds every implementation of the exact sliding window to the same sentences: a table of cases ([Run]), random walks against brute force ([Walk]), and random
// walks of two implementations side by side ([Compare]). It also says where Redis is, which one of them needs ([RedisProgram]).
package limitertest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tpgate/limiter"
)

// Taker is a window under test: [limiter.Take] with one list of admissions for each key and each position in limits, at most two.
// now is the only clock; it may step back.
type Taker interface {
	Take(now limiter.Stamp, n int, key string, limits ...limiter.Limit) limiter.Grant
}

// start is when the tests begin: a time with 16 digits of microseconds.
const start limiter.Stamp = 1_700_000_000_000_000

// A step asks for n permits at a time after start. Limits are separated by " | ", the key's first.
type step struct {
	at     string
	n      int
	limits string
	want   string
}

// Run runs the table of cases. open returns a Taker without any admissions.
func Run(t *testing.T, open func(t *testing.T) Taker) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			taker := open(t)
			for _, s := range c.steps {
				at, err := time.ParseDuration(s.at)
				if err != nil {
					t.Fatal(err)
				}
				got := describe(taker.Take(start+limiter.Stamp(at.Microseconds()), s.n, "k", parse(t, s.limits)...))
				if got != s.want {
					t.Fatalf("at %s, %d permits of %s:\n got %s\nwant %s", s.at, s.n, s.limits, got, s.want)
				}
			}
		})
	}
	t.Run("each key has its own admissions", func(t *testing.T) {
		taker := open(t)
		for _, key := range []string{"a", "b"} {
			got := describe(taker.Take(start, 2, key, parse(t, "2/1s")...))
			if want := "2 granted, 0 left of 0:2/1s, next at 1s"; got != want {
				t.Fatalf("key %s: got %s, want %s", key, got, want)
			}
		}
	})
	t.Run("a long list is as exact as a short one", func(t *testing.T) { longList(t, open(t)) })
}

// longList admits 2,000, one a millisecond, and sees each die on time.
func longList(t *testing.T, taker Taker) {
	const n = 2000
	limits := parse(t, "2000/10s")
	for i := range limiter.Stamp(n) {
		if g := taker.Take(start+i*1000, 1, "k", limits...); g.Granted != 1 || g.Remaining != n-1-int(i) {
			t.Fatalf("admission %d: %s", i, describe(g))
		}
	}
	for _, dead := range []limiter.Stamp{1, 2, 3, 10, 500, 1999} {
		at := start + 10_000_000 + (dead-1)*1000
		before := describe(taker.Take(at-1, 0, "k", limits...))
		if want := fmt.Sprintf("0 granted, %d left of 0:2000/10s, next at %s", dead-1, sinceStart(at)); before != want {
			t.Fatalf("just before admission %d dies:\n got %s\nwant %s", dead, before, want)
		}
		if g := taker.Take(at, 0, "k", limits...); g.Remaining != int(dead) {
			t.Fatalf("when admission %d dies: %s", dead, describe(g))
		}
	}
}

// parse reads limits separated by " | ".
func parse(t testing.TB, text string) []limiter.Limit {
	t.Helper()
	var limits []limiter.Limit
	for part := range strings.SplitSeq(text, " | ") {
		limit, err := limiter.Parse(part)
		if err != nil {
			t.Fatal(err)
		}
		limits = append(limits, limit)
	}
	return limits
}

// describe words a grant: how many, what is left of which quota's window, and when more comes.
func describe(g limiter.Grant) string {
	if g.Quota < 0 {
		return fmt.Sprintf("%d granted, no limit", g.Granted)
	}
	length := strings.Replace(g.Window.Length.String(), "m0s", "m", 1)
	return fmt.Sprintf("%d granted, %d left of %d:%d/%s, next at %s", g.Granted, g.Remaining, g.Quota, g.Window.Permits, length, sinceStart(g.Reset))
}

func sinceStart(s limiter.Stamp) time.Duration { return time.Duration(s-start) * time.Microsecond }
