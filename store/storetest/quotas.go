package storetest

import (
	"slices"
	"sync"
	"time"

	"tpgate/limiter"
	"tpgate/store"
)

var quotaTests = []contract{
	{name: "a key without a limit of its own has the default", run: defaultLimit, keyLimit: "3/1m"},
	{name: "a key's own limit wins over the default", run: ownLimit, keyLimit: "3/1m"},
	{name: "a limit of 0 blocks, and tells its length as the time to wait", run: zeroLimit},
	{name: "without a limit everything is allowed and no quota is told", run: noLimit, keyLimit: "off"},
	{name: "a changed limit holds at once", run: changedLimit},
	{name: "every key has its own quota", run: apart, keyLimit: "2/1m"},
	{name: "the keys of a workspace share its limit", run: sharedLimit, workspaceLimit: "3/1m"},
	{name: "a workspace's own limit wins over the default", run: workspaceOwnLimit, workspaceLimit: "1/1m"},
	{name: "what the workspace refuses does not cost the key", run: refusedByWorkspace, keyLimit: "3/1m"},
	{name: "what the key refuses does not cost the workspace", run: refusedByKey, keyLimit: "2/1m", workspaceLimit: "3/1m"},
	{name: "a wrong, deleted, disabled or expired key never costs the workspace", run: deadKeysAreFree, workspaceLimit: "2/1m"},
	{name: "a workspace's quota outlives its keys", run: quotaOutlivesKeys, workspaceLimit: "2/1m"},
	{name: "the standing counts down and names when more comes", run: standing, keyLimit: "3/1m"},
	{name: "of key and workspace the standing tells the one closest to its end", run: closest, keyLimit: "4/1m", workspaceLimit: "3/2m"},
	{name: "who waits as long as told is allowed again", run: waitAndGo, keyLimit: "1/300ms"},
	{name: "of several windows all must admit", run: severalWindows, keyLimit: "2/400ms,3/1m"},
	{name: "no span of the window's length holds more than the limit", run: everySpan, keyLimit: "5/100ms"},
}

func defaultLimit(f *fixture) {
	key := f.create("a")
	if n := f.allowed(5, key.Digest); n != 3 {
		f.Fatalf("%d of 5 checks are allowed, want 3", n)
	}
}

func ownLimit(f *fixture) {
	for text, want := range map[string]int{"5/1m": 5, "1/1h": 1, "off": 9, "0/1s": 0, "": 3} {
		key := f.create("a", f.withLimit(text))
		if n := f.allowed(9, key.Digest); n != want {
			f.Fatalf("limit %q: %d of 9 checks are allowed, want %d", text, n, want)
		}
	}
}

func zeroLimit(f *fixture) {
	key := f.create("a", f.withLimit("0/1m"))
	s := f.want(store.Limited, key.Digest).Standing
	if s.Scope != store.ScopeKey || s.Window != (limiter.Window{Length: time.Minute}) || s.Remaining != 0 || s.Wait != time.Minute {
		f.Fatalf("the standing is %+v", s)
	}
}

func noLimit(f *fixture) {
	key := f.create("a")
	for range 100 {
		if d := f.want(store.Allowed, key.Digest); d.Standing != (store.Standing{}) {
			f.Fatalf("the standing is %+v", d.Standing)
		}
	}
}

func changedLimit(f *fixture) {
	key := f.create("a")
	if n := f.allowed(4, key.Digest); n != 4 {
		f.Fatalf("%d of 4 checks are allowed", n)
	}
	f.update(key, f.withLimit("4/1m"))
	f.want(store.Limited, key.Digest)
	f.update(key, f.withLimit("6/1m"))
	time.Sleep(staleRefusal)
	if n := f.allowed(5, key.Digest); n != 2 {
		f.Fatalf("4 of 6 were used: %d more are allowed", n)
	}
	f.update(key, f.withLimit(""))
	time.Sleep(staleRefusal)
	if s := f.want(store.Allowed, key.Digest).Standing; s.Window.Permits != 60 {
		f.Fatalf("back to the default, the standing is %+v", s)
	}
	f.set("a", func(w *store.Workspace) { w.Limit = limit(f, "0/1s") })
	f.want(store.Limited, key.Digest)
}

func apart(f *fixture) {
	one, other := f.create("a"), f.create("a")
	if n, m := f.allowed(3, one.Digest), f.allowed(3, other.Digest); n != 2 || m != 2 {
		f.Fatalf("%d and %d checks are allowed, want 2 each", n, m)
	}
}

func sharedLimit(f *fixture) {
	one, two, elsewhere := f.create("a"), f.create("a"), f.create("b")
	n := f.allowed(1, one.Digest) + f.allowed(1, two.Digest) + f.allowed(3, one.Digest) + f.allowed(3, two.Digest)
	if n != 3 {
		f.Fatalf("%d checks of the workspace are allowed, want 3", n)
	}
	if n := f.allowed(5, elsewhere.Digest); n != 3 {
		f.Fatalf("%d checks of the other workspace are allowed, want 3", n)
	}
}

func workspaceOwnLimit(f *fixture) {
	f.set("a", func(w *store.Workspace) { w.Limit = limit(f, "4/1m") })
	f.set("off", func(w *store.Workspace) { w.Limit = limiter.Off })
	for workspace, want := range map[string]int{"a": 4, "off": 6, "other": 1} {
		key := f.create(workspace)
		if n := f.allowed(6, key.Digest); n != want {
			f.Fatalf("workspace %s: %d of 6 checks are allowed, want %d", workspace, n, want)
		}
	}
}

func refusedByWorkspace(f *fixture) {
	f.set("a", func(w *store.Workspace) { w.Limit = limit(f, "1/1m") })
	key := f.create("a")
	if n := f.allowed(5, key.Digest); n != 1 {
		f.Fatalf("%d checks are allowed, want 1", n)
	}
	if s := f.want(store.Limited, key.Digest).Standing; s.Scope != store.ScopeWorkspace {
		f.Fatalf("the standing is %+v", s)
	}
	f.set("a", func(w *store.Workspace) { w.Limit = limiter.Off })
	time.Sleep(staleRefusal)
	if n := f.allowed(5, key.Digest); n != 2 {
		f.Fatalf("1 of the key's 3 was used: %d more are allowed", n)
	}
}

func refusedByKey(f *fixture) {
	greedy, other := f.create("a"), f.create("a")
	if n := f.allowed(6, greedy.Digest); n != 2 {
		f.Fatalf("%d checks are allowed, want the key's 2", n)
	}
	if s := f.want(store.Limited, greedy.Digest).Standing; s.Scope != store.ScopeKey || s.Window.Permits != 2 {
		f.Fatalf("the standing is %+v", s)
	}
	if n := f.allowed(3, other.Digest); n != 1 {
		f.Fatalf("2 of the workspace's 3 were used: %d more are allowed", n)
	}
}

func deadKeysAreFree(f *fixture) {
	key, deleted, rotated := f.create("a"), f.create("a"), f.create("a")
	off, over, old := f.create("a", disabled), f.create("a", expired), rotated.Digest
	f.rotate(rotated, time.Time{})
	f.must(f.DeleteKey(f.Context(), "a", deleted.ID))
	for range 5 {
		f.want(store.Unknown, deleted.Digest)
		f.want(store.Unknown, old)
		f.want(store.Unknown, newDigest())
		f.want(store.Disabled, off.Digest)
		f.want(store.Expired, over.Digest)
	}
	f.set("a", suspend)
	f.want(store.Suspended, key.Digest)
	f.set("a", lift)
	if n := f.allowed(4, key.Digest); n != 2 {
		f.Fatalf("%d checks are allowed, want all 2 of the workspace", n)
	}
}

func quotaOutlivesKeys(f *fixture) {
	key := f.create("a")
	f.want(store.Allowed, key.Digest)
	f.must(f.DeleteKey(f.Context(), "a", key.ID))
	key = f.create("a")
	if n := f.allowed(3, key.Digest); n != 1 {
		f.Fatalf("1 of the workspace's 2 was used by a deleted key: %d more are allowed", n)
	}
	f.must(f.DeleteKeys(f.Context(), "a"))
	f.want(store.Limited, f.create("a").Digest)
}

func standing(f *fixture) {
	key := f.create("a")
	first := time.Now()
	for i, verdict := range []store.Verdict{store.Allowed, store.Allowed, store.Allowed, store.Limited} {
		before := time.Now()
		s := f.want(verdict, key.Digest).Standing
		after := time.Now()
		if s.Scope != store.ScopeKey || s.Window != (limiter.Window{Permits: 3, Length: time.Minute}) || s.Remaining != max(0, 2-i) {
			f.Fatalf("check %d: the standing is %+v", i+1, s)
		}
		if s.Wait <= 0 || s.Wait > time.Minute || s.Reset.Sub(first) > time.Minute+time.Second || s.Reset.Sub(first) < time.Minute-time.Millisecond {
			f.Fatalf("check %d: the standing is %+v; the first check was at %s", i+1, s, first)
		}
		// Reset is Wait after the decision, which was between before and after.
		const slack = 2 * time.Millisecond
		if d := s.Reset.Add(-s.Wait); d.Before(before.Add(-slack)) || d.After(after.Add(slack)) {
			f.Fatalf("check %d, from %s to %s: the standing is %+v", i+1, before, after, s)
		}
	}
}

func closest(f *fixture) {
	one, other := f.create("a"), f.create("a")
	if s := f.want(store.Allowed, one.Digest).Standing; s.Scope != store.ScopeWorkspace || s.Remaining != 2 || s.Window.Length != 2*time.Minute {
		f.Fatalf("the standing is %+v, want 2 left of the workspace's 3", s)
	}
	f.set("a", func(w *store.Workspace) { w.Limit = limit(f, "9/2m") })
	if s := f.want(store.Allowed, one.Digest).Standing; s.Scope != store.ScopeKey || s.Remaining != 2 {
		f.Fatalf("the standing is %+v, want 2 left of the key's 4", s)
	}
	if s := f.want(store.Allowed, other.Digest).Standing; s.Scope != store.ScopeKey || s.Remaining != 3 {
		f.Fatalf("the standing is %+v, want 3 left of the other key's 4", s)
	}
}

// waitAndGo judges a refusal only if it was over before the window can have ended: on a busy machine the test itself may be late.
func waitAndGo(f *fixture) {
	key := f.create("a")
	for range 2 {
		admitted := time.Now() // or later
		window := f.want(store.Allowed, key.Digest).Standing.Window.Length
		told, late := time.Now(), false // until when the last refusal said to wait; whether a check came only after the window
		for time.Since(admitted) < window-staleRefusal {
			d := f.check(key.Digest) // refusals cost nothing
			if d.Verdict == store.Limited {
				told = time.Now().Add(d.Standing.Wait)
			} else if late = true; time.Since(admitted) < window {
				f.Fatalf("a check within the window came to %v, want limited", d.Verdict)
			}
		}
		time.Sleep(time.Until(told) + staleRefusal)
		if d := f.check(key.Digest); d.Verdict != store.Allowed && !late {
			f.Fatalf("a check after waiting as long as told came to %v, want allowed", d.Verdict)
		}
		time.Sleep(window + staleRefusal)
	}
}

func severalWindows(f *fixture) {
	key := f.create("a")
	if n := f.allowed(5, key.Digest); n != 2 {
		f.Fatalf("%d checks are allowed at once, want 2", n)
	}
	s := f.want(store.Limited, key.Digest).Standing
	if s.Window.Permits != 2 {
		f.Fatalf("the standing is %+v, want that of the short window", s)
	}
	time.Sleep(s.Wait + staleRefusal)
	if n := f.allowed(5, key.Digest); n != 1 {
		f.Fatalf("%d more checks are allowed, want 1", n)
	}
	if s := f.want(store.Limited, key.Digest).Standing; s.Window.Permits != 3 || s.Wait < 30*time.Second {
		f.Fatalf("the standing is %+v, want that of the long window", s)
	}
}

// everySpan lets four clients hammer a key. The times of admission are known from both sides only, before the check and after it; in the order of either, the admission five
// places later is at least a window later.
func everySpan(f *fixture) {
	key := f.create("a")
	var mu sync.Mutex
	var before, after []time.Time
	var clients sync.WaitGroup
	end := time.Now().Add(500 * time.Millisecond)
	for range 4 {
		clients.Go(func() {
			for time.Now().Before(end) {
				start := time.Now()
				if f.check(key.Digest).Verdict != store.Allowed {
					time.Sleep(200 * time.Microsecond)
					continue
				}
				mu.Lock()
				before, after = append(before, start), append(after, time.Now())
				mu.Unlock()
			}
		})
	}
	clients.Wait()
	slices.SortFunc(before, time.Time.Compare)
	slices.SortFunc(after, time.Time.Compare)
	for i := 5; i < len(after); i++ {
		if span := after[i].Sub(before[i-5]); span < 100*time.Millisecond-time.Microsecond { // the clock that decides has microseconds
			f.Fatalf("6 checks are allowed within %s", span)
		}
	}
	if len(after) < 10 {
		f.Fatalf("%d checks are allowed in 500 ms, want 25", len(after))
	}
}
