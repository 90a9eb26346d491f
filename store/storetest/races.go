package storetest

import (
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"tpgate/limiter"
	"tpgate/store"
)

var raceTests = []contract{
	{name: "many clients of one key get exactly its limit", run: manyOfOneKey, keyLimit: "50/1m"},
	{name: "many clients of several keys get exactly their workspace's limit", run: manyOfWorkspace, keyLimit: "30/1m", workspaceLimit: "70/1m"},
	{name: "concurrent updates of different fields lose nothing", run: lostUpdates},
	{name: "concurrent changes of a workspace lose nothing", run: lostSettings},
	{name: "of concurrent creations with one digest exactly one succeeds", run: oneCreation},
	{name: "of concurrent deletions exactly one succeeds", run: oneDeletion},
	{name: "after a revocation was acknowledged no check that starts is allowed", run: revocation, keyLimit: "off"},
	{name: "a live key is allowed throughout, whatever happens to others", run: undisturbed, keyLimit: "off"},
}

// together runs do on n goroutines that start at once.
func together(n int, do func(i int)) {
	var ready, done sync.WaitGroup
	ready.Add(n)
	for i := range n {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			do(i)
		})
	}
	done.Wait()
}

// hammer checks the digests from 16 goroutines, 20 times each, and returns how many of each were allowed.
func (f *fixture) hammer(digests ...store.Digest) []int {
	f.Helper()
	allowed := make([]atomic.Int64, len(digests))
	together(16, func(i int) {
		for range 20 {
			switch d := f.check(digests[i%len(digests)]); d.Verdict {
			case store.Allowed:
				allowed[i%len(digests)].Add(1)
			case store.Limited:
			default:
				f.Errorf("the check came to %s (error %v)", word(d.Verdict), d.Err)
			}
		}
	})
	counts := make([]int, len(digests))
	for i := range counts {
		counts[i] = int(allowed[i].Load())
	}
	return counts
}

func manyOfOneKey(f *fixture) {
	if n := f.hammer(f.create("a").Digest)[0]; n != 50 {
		f.Fatalf("%d checks are allowed, want 50", n)
	}
}

func manyOfWorkspace(f *fixture) {
	sum := 0
	for _, n := range f.hammer(f.create("a").Digest, f.create("a").Digest, f.create("a").Digest, f.create("a").Digest) {
		if n > 30 {
			f.Fatalf("%d checks of a key are allowed, want at most 30", n)
		}
		sum += n
	}
	if sum != 70 {
		f.Fatalf("%d checks are allowed, want 70", sum)
	}
}

func lostUpdates(f *fixture) {
	key := f.create("a", func(k *store.Key) { k.Name, k.Limit = "0", limit(f, "0/1m") })
	limits := make([]limiter.Limit, 1000)
	for i := range limits {
		limits[i] = limit(f, strconv.Itoa(i)+"/1m")
	}
	together(8, func(i int) {
		for range 5 {
			_, err := f.UpdateKey(f.Context(), "a", key.ID, func(k *store.Key) error {
				if i%2 == 0 {
					n, _ := strconv.Atoi(k.Name)
					k.Name = strconv.Itoa(n + 1)
				} else {
					k.Limit = limits[k.Limit.Windows()[0].Permits+1]
				}
				return nil
			})
			if err != nil {
				f.Error(err)
			}
		}
	})
	got, err := f.Key(f.Context(), "a", key.ID)
	f.must(err)
	if got.Name != "20" || got.Limit.String() != "20/1m" || got.Version != 41 {
		f.Fatalf("after 20 updates of each field the key is %+v", got)
	}
}

func lostSettings(f *fixture) {
	together(8, func(i int) {
		for range 5 {
			_, err := f.UpdateWorkspace(f.Context(), "a", func(w *store.Workspace) error {
				n := 0
				if w.Limit.IsSet() {
					n = w.Limit.Windows()[0].Permits
				}
				l, err := limiter.Parse(strconv.Itoa(n+1) + "/1m")
				w.Limit = l
				return err
			})
			if err != nil {
				f.Error(err)
			}
		}
	})
	if got := f.workspace("a"); got.Limit.String() != "40/1m" || got.Version != 40 {
		f.Fatalf("after 40 changes the workspace is %+v", got)
	}
}

func oneCreation(f *fixture) {
	for range 5 {
		digest := newDigest()
		var winner atomic.Pointer[store.Key]
		together(8, func(i int) {
			key, err := f.Create(f.Context(), newKey("w"+strconv.Itoa(i%3), func(k *store.Key) { k.Digest = digest }))
			switch {
			case err == nil && !winner.CompareAndSwap(nil, &key):
				f.Error("two creations succeeded")
			case err != nil && !errors.Is(err, store.ErrExists):
				f.Errorf("error %v, want ErrExists", err)
			}
		})
		if winner.Load() == nil {
			f.Fatal("no creation succeeded")
		}
		if d := f.want(store.Allowed, digest); d.KeyID != winner.Load().ID {
			f.Fatalf("the digest is of key %s, want %s", d.KeyID, winner.Load().ID)
		}
	}
	if n := len(f.ids("w0", 10)) + len(f.ids("w1", 10)) + len(f.ids("w2", 10)); n != 5 {
		f.Fatalf("%d keys are listed, want 5", n)
	}
}

func oneDeletion(f *fixture) {
	for range 5 {
		key := f.create("a")
		var succeeded atomic.Int64
		together(8, func(int) {
			switch err := f.DeleteKey(f.Context(), "a", key.ID); {
			case err == nil:
				succeeded.Add(1)
			case !errors.Is(err, store.ErrNotFound):
				f.Errorf("error %v, want ErrNotFound", err)
			}
		})
		if n := succeeded.Load(); n != 1 {
			f.Fatalf("%d deletions succeeded", n)
		}
	}
	if n := f.workspace("a").Keys; n != 0 {
		f.Fatalf("the workspace still counts %d keys", n)
	}
}

// revocations are all the ways to end a key.
var revocations = map[string]func(f *fixture, key store.Key){
	"delete":     func(f *fixture, key store.Key) { f.must(f.DeleteKey(f.Context(), key.Workspace, key.ID)) },
	"delete all": func(f *fixture, key store.Key) { f.must(f.DeleteKeys(f.Context(), key.Workspace)) },
	"disable":    func(f *fixture, key store.Key) { f.update(key, disabled) },
	"expire":     func(f *fixture, key store.Key) { f.update(key, expired) },
	"suspend":    func(f *fixture, key store.Key) { f.set(key.Workspace, suspend) },
	"rotate":     func(f *fixture, key store.Key) { f.rotate(key, time.Time{}) },
	"limit to 0": func(f *fixture, key store.Key) { f.update(key, f.withLimit("0/1m")) },
}

// revocation ends keys while four clients use them.
func revocation(f *fixture) {
	for name, revoke := range revocations {
		for range 5 {
			key := f.create("w" + store.NewID()[:5])
			var acknowledged, over atomic.Bool
			var clients sync.WaitGroup
			for range 4 {
				clients.Go(func() {
					for !over.Load() {
						late := acknowledged.Load()
						d := f.check(key.Digest)
						if late && d.Verdict == store.Allowed || d.Verdict == store.Unavailable {
							f.Errorf("%s: a check came to %s (error %v), started after the acknowledgement: %t", name, word(d.Verdict), d.Err, late)
							return
						}
					}
				})
			}
			time.Sleep(2 * time.Millisecond)
			revoke(f, key)
			acknowledged.Store(true)
			time.Sleep(3 * time.Millisecond)
			over.Store(true)
			clients.Wait()
		}
	}
}

// undisturbed uses a key while its neighbours come, change and go.
func undisturbed(f *fixture) {
	key := f.create("a")
	var over atomic.Bool
	var others sync.WaitGroup
	for range 2 {
		others.Go(func() {
			for !over.Load() {
				if err := f.disturb(); err != nil {
					f.Error(err)
					return
				}
			}
		})
	}
	for end := time.Now().Add(200 * time.Millisecond); time.Now().Before(end); {
		if d := f.check(key.Digest); d.Verdict != store.Allowed || d.KeyID != key.ID {
			f.Errorf("the check came to %s of %s (error %v)", word(d.Verdict), d.KeyID, d.Err)
			break
		}
	}
	over.Store(true)
	others.Wait()
}

// disturb is the short life of a key in workspace a, with some noise in workspace b.
func (f *fixture) disturb() error {
	key, err := f.Create(f.Context(), newKey("a"))
	if err != nil {
		return err
	}
	_, rotated := f.UpdateKey(f.Context(), "a", key.ID, func(k *store.Key) error {
		k.Previous, k.PreviousUntil, k.Digest = k.Digest, time.Now().Add(time.Hour), newDigest()
		return nil
	})
	_, listed := f.ListKeys(f.Context(), "a", store.Position{}, 3)
	_, created := f.Create(f.Context(), newKey("b"))
	_, suspended := f.UpdateWorkspace(f.Context(), "b", func(w *store.Workspace) error { w.Suspended = true; return nil })
	return errors.Join(rotated, listed, created, suspended, f.DeleteKeys(f.Context(), "b"), f.DeleteKey(f.Context(), "a", key.ID))
}
