package storetest

import (
	"errors"
	"sync/atomic"
	"time"

	"tpgate/store"
)

var legacyTests = []contract{
	{name: "a key with a bcrypt hash is found by its look-up, and never verified by it", run: legacyFind},
	{name: "after an upgrade the key is verified by its digest, and its row is gone for good", run: legacyUpgrade},
	{name: "a key with a bcrypt hash is changed and deleted like any other", run: legacyChanges},
	{name: "a key that is deleted during its upgrade stays dead", run: legacyDeletedMeanwhile},
	{name: "a bcrypt hash verifies the old secret of a rotated key until the overlap ends", run: legacyRotated},
	{name: "of concurrent upgrades of a key exactly one is made", run: legacyUpgradedTogether},
}

// legacyKey returns a row of TryPost's table as an import makes it.
func legacyKey(workspace string, set ...func(*store.Key)) store.Key {
	return imported(workspace, append([]func(*store.Key){func(k *store.Key) {
		k.Legacy = store.Legacy{Lookup: store.NewID(), Hash: "$2y$12$" + store.NewID()}
		k.Digest, k.Fingerprint = store.LookupDigest(k.Legacy.Lookup), store.FingerprintOf(k.Legacy.Hash)
	}}, set...)...)
}

var errUpgraded = errors.New("somebody else was faster")

// upgrade does to a key with a bcrypt hash what a check does that has found the hash to be right.
func (f *fixture) upgrade(key store.Key, to store.Digest) (store.Key, error) {
	return f.UpdateKey(f.Context(), key.Workspace, key.ID, func(k *store.Key) error {
		if k.Legacy != key.Legacy {
			return errUpgraded
		}
		k.Digest, k.Legacy = to, store.Legacy{}
		return nil
	})
}

func (f *fixture) notFound(digest store.Digest) {
	f.Helper()
	if key, err := f.Find(f.Context(), digest); !errors.Is(err, store.ErrNotFound) {
		f.Fatalf("found is %+v (error %v), want ErrNotFound", key, err)
	}
}

func legacyFind(f *fixture) {
	f.importAll(imported("a"))
	if f.HasLegacy() {
		f.Fatal("there are bcrypt rows before any was imported")
	}
	given := legacyKey("a")
	f.notFound(given.Digest)
	key := f.importAll(given)[0]
	if !f.HasLegacy() {
		f.Fatal("there are no bcrypt rows after one was imported")
	}
	found, err := f.Find(f.Context(), given.Digest)
	f.must(err)
	if found.ID != key.ID || found.Workspace != "a" || found.Legacy != given.Legacy || found.Fingerprint != given.Fingerprint {
		f.Fatalf("found is %+v", found)
	}
	f.same(f.read(key), found)
	list, err := f.ListKeys(f.Context(), "a", store.Position{}, 10)
	f.must(err)
	if len(list) != 2 || list[0].Legacy != given.Legacy && list[1].Legacy != given.Legacy {
		f.Fatalf("listed are %+v", list)
	}

	// Nothing verifies a key of whose secret only a bcrypt hash is known, not even a digest before.
	odd := legacyKey("a", func(k *store.Key) { k.Previous, k.PreviousUntil = newDigest(), time.Now().Add(time.Hour) })
	f.importAll(odd)
	for _, digest := range []store.Digest{given.Digest, given.Fingerprint, odd.Digest, odd.Previous} {
		if d := f.want(store.Unknown, digest); d.KeyID != "" || d.Workspace != "" {
			f.Fatalf("the decision names %q of %q", d.KeyID, d.Workspace)
		}
	}
	f.notFound(newDigest())
}

func legacyUpgrade(f *fixture) {
	given := legacyKey("a", f.withLimit("5/1m"), func(k *store.Key) { k.LastUsedAt = time.Now().Add(-time.Hour) })
	key := f.importAll(given)[0]
	want := f.read(key)
	real := newDigest()
	upgraded, err := f.upgrade(key, real)
	f.must(err)
	want.Digest, want.Legacy, want.Version = real, store.Legacy{}, 2
	f.same(upgraded, want)
	f.same(f.read(key), want)
	if d := f.want(store.Allowed, real); d.KeyID != key.ID || d.Workspace != "a" || d.Standing.Window.Permits != 5 {
		f.Fatalf("the decision is %+v", d)
	}
	f.want(store.Unknown, given.Digest)
	f.notFound(given.Digest)
	if again := f.refused(given); again[0].ID != key.ID {
		f.Fatalf("the row is told to be %q, want %q", again[0].ID, key.ID)
	}
	f.notFound(given.Digest)

	f.must(f.DeleteKey(f.Context(), "a", key.ID))
	f.want(store.Unknown, real)
	f.refused(given)
	f.notFound(given.Digest)
}

func legacyChanges(f *fixture) {
	given := []store.Key{legacyKey("a"), legacyKey("a"), legacyKey("b")}
	keys := f.importAll(given...)
	renamed := f.update(keys[0], func(k *store.Key) { k.Name, k.Disabled = "renamed", true })
	found, err := f.Find(f.Context(), given[0].Digest)
	f.must(err)
	f.same(found, renamed)
	upgraded, err := f.upgrade(keys[0], newDigest())
	f.must(err)
	if d := f.want(store.Disabled, upgraded.Digest); d.KeyID != keys[0].ID {
		f.Fatalf("the decision names %q", d.KeyID)
	}

	f.must(f.DeleteKey(f.Context(), "a", keys[1].ID))
	f.must(f.DeleteKeys(f.Context(), "b"))
	for _, key := range f.refused(given[1:]...) {
		f.notFound(key.Digest)
		if _, err := f.upgrade(key, newDigest()); !errors.Is(err, store.ErrNotFound) {
			f.Fatalf("upgrading a deleted key: error %v, want ErrNotFound", err)
		}
	}
}

func legacyRotated(f *fixture) {
	given := legacyKey("a")
	key := f.importAll(given)[0]
	rotated := f.rotate(key, time.Now().Add(time.Hour))
	f.same(f.read(key), rotated)
	if rotated.IsLegacy() || rotated.Legacy != given.Legacy {
		f.Fatalf("the rotated key is %+v", rotated)
	}
	f.want(store.Allowed, rotated.Digest)
	found, err := f.Find(f.Context(), given.Digest)
	f.must(err)
	f.same(found, f.read(key))
	real := newDigest()
	f.update(key, func(k *store.Key) { k.Previous, k.Legacy = real, store.Legacy{} })
	for _, digest := range []store.Digest{real, rotated.Digest} {
		if d := f.want(store.Allowed, digest); d.KeyID != key.ID {
			f.Fatalf("the decision names %q", d.KeyID)
		}
	}
	f.notFound(given.Digest)

	late := f.importAll(legacyKey("a"))[0]
	f.rotate(late, time.Now().Add(-time.Second))
	f.notFound(late.Digest)
}

func legacyDeletedMeanwhile(f *fixture) {
	for round := range 60 {
		given := legacyKey("a")
		key := f.importAll(given)[0]
		real := newDigest()
		together(2, func(i int) {
			var err error
			switch {
			case i == 0:
				if _, err = f.upgrade(key, real); errors.Is(err, store.ErrNotFound) {
					return
				}
			case round%2 == 0:
				err = f.DeleteKey(f.Context(), "a", key.ID)
			default:
				err = f.DeleteKeys(f.Context(), "a")
			}
			if err != nil {
				f.Errorf("round %d, deletion: %t: %v", round, i == 1, err)
			}
		})
		f.want(store.Unknown, real)
		f.want(store.Unknown, given.Digest)
		f.notFound(given.Digest)
		f.refused(given)
		if ids := f.ids("a", 10); len(ids) != 0 {
			f.Fatalf("round %d: listed are %v", round, ids)
		}
	}
}

func legacyUpgradedTogether(f *fixture) {
	for range 10 {
		key := f.importAll(legacyKey("a"))[0]
		real := newDigest()
		var made atomic.Int64
		together(8, func(int) {
			switch _, err := f.upgrade(key, real); {
			case err == nil:
				made.Add(1)
			case !errors.Is(err, errUpgraded):
				f.Error(err)
			}
			if d := f.check(real); d.Verdict != store.Allowed {
				f.Errorf("after the upgrade a check came to %s (error %v)", word(d.Verdict), d.Err)
			}
		})
		f.want(store.Allowed, real)
		if n := made.Load(); n != 1 || f.read(key).Version != 2 {
			f.Fatalf("%d upgrades were made, the key is %+v", n, f.read(key))
		}
		f.notFound(key.Digest)
	}
}
