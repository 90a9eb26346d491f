package limiter_test

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"tpgate/limiter"
	"tpgate/limiter/limitertest"
)

// memory is limiter.Take with lists by key and position.
type memory map[string]*limiter.Admissions

func (m memory) Take(now limiter.Stamp, n int, key string, limits ...limiter.Limit) limiter.Grant {
	quotas := make([]limiter.Quota, len(limits))
	for i, limit := range limits {
		list := name(key, i)
		if m[list] == nil {
			m[list] = &limiter.Admissions{}
		}
		quotas[i] = limiter.Quota{Admissions: m[list], Limit: &limit}
	}
	return limiter.Take(now, n, quotas...)
}

func TestTake(t *testing.T) {
	limitertest.Run(t, func(*testing.T) limitertest.Taker { return memory{} })
}

func TestTakeWalks(t *testing.T) {
	limitertest.Walk(t, memory{}, rand.Uint64(), 250_000)
}

func TestTakeAgainstPlainLists(t *testing.T) {
	limitertest.Compare(t, memory{}, plain{}, rand.Uint64(), 200_000)
}

// plain says in the plainest way what Take says: lists that are counted through.
type plain map[string][]limiter.Stamp

func (p plain) Take(now limiter.Stamp, n int, key string, limits ...limiter.Limit) limiter.Grant {
	grant := limiter.Grant{Granted: n, Quota: -1}
	for i, limit := range limits {
		p.forgetFuture(now, name(key, i), longest(limit))
		for _, w := range limit.Windows() {
			grant.Granted = min(grant.Granted, w.Permits-len(p.live(now, name(key, i), w)))
		}
	}
	for i, limit := range limits {
		for _, w := range limit.Windows() {
			live, oldest := p.live(now, name(key, i), w), now
			if len(live) > 0 {
				oldest = live[0]
			}
			left, reset := w.Permits-len(live)-grant.Granted, oldest+limiter.Stamp(w.Length.Microseconds())
			if grant.Quota < 0 || left < grant.Remaining || left == grant.Remaining && reset > grant.Reset {
				grant.Quota, grant.Window, grant.Remaining, grant.Reset = i, w, left, reset
			}
		}
	}
	for i, limit := range limits {
		if grant.Granted > 0 && len(limit.Windows()) > 0 {
			p.add(now, grant.Granted, name(key, i), longest(limit))
		}
	}
	return grant
}

// live returns the newest admissions that are younger than the window, at most its permits.
func (p plain) live(now limiter.Stamp, name string, w limiter.Window) []limiter.Stamp {
	var live []limiter.Stamp
	for _, s := range slices.Backward(p[name]) {
		if len(live) < w.Permits && s > now-limiter.Stamp(w.Length.Microseconds()) {
			live = slices.Insert(live, 0, s)
		}
	}
	return live
}

func (p plain) add(now limiter.Stamp, n int, name string, longest limiter.Stamp) {
	stamp := now
	for _, s := range p[name] {
		stamp = max(stamp, s)
	}
	p[name] = slices.DeleteFunc(p[name], func(s limiter.Stamp) bool { return s <= now-longest })
	p[name] = append(p[name], slices.Repeat([]limiter.Stamp{stamp}, n)...)
}

func (p plain) forgetFuture(now limiter.Stamp, name string, longest limiter.Stamp) {
	if longest == 0 || !slices.ContainsFunc(p[name], func(s limiter.Stamp) bool { return s > now+longest }) {
		return
	}
	for i, s := range p[name] {
		p[name][i] = min(s, now)
	}
}

// longest is not the limit's own, since [plain] is what the package is held to.
func longest(limit limiter.Limit) limiter.Stamp {
	var d limiter.Stamp
	for _, w := range limit.Windows() {
		d = max(d, limiter.Stamp(w.Length.Microseconds()))
	}
	return d
}

func name(key string, position int) string { return key + " " + strconv.Itoa(position) }

func TestTakeKeepsItsMemory(t *testing.T) {
	limit, err := limiter.Parse("60/1m")
	if err != nil {
		t.Fatal(err)
	}
	var list limiter.Admissions
	now := limiter.StampOf(time.Now())
	took := testing.AllocsPerRun(10_000, func() {
		now += 1_000_000 // one a second: always 60 alive
		limiter.Take(now, 1, limiter.Quota{Admissions: &list, Limit: &limit})
	})
	if took != 0 {
		t.Errorf("a steady stream of admissions allocates %v times for each", took)
	}
}

func BenchmarkTake(b *testing.B) {
	limit, err := limiter.Parse("60/1m")
	if err != nil {
		b.Fatal(err)
	}
	var key, workspace limiter.Admissions
	now := limiter.StampOf(time.Now())
	b.ReportAllocs()
	for b.Loop() {
		now += 1000
		limiter.Take(now, 1, limiter.Quota{Admissions: &key, Limit: &limit}, limiter.Quota{Admissions: &workspace, Limit: &limiter.Off})
	}
}
