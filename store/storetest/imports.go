package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"tpgate/store"
)

var importTests = []contract{
	{name: "imported keys are read back as they were given, with an id if they had none", run: importReadBack},
	{name: "an imported key is verified like any other", run: importVerdicts},
	{name: "to import again changes nothing, and tells the ids", run: importTwice},
	{name: "a deleted key stays dead when it is imported again", run: importDeleted},
	{name: "a deleted key stays dead when a later export of it is imported", run: importDeletedExport},
	{name: "what cannot be imported stops nothing else", run: importPartly},
	{name: "of two equal rows in one import the first counts", run: importDuplicates},
	{name: "thousands of keys are imported in one call", run: importMany},
	{name: "of concurrent imports of the same rows each row is imported once", run: importTogether},
}

// imported returns a key as an import makes it: without an id, with a fingerprint.
func imported(workspace string, set ...func(*store.Key)) store.Key {
	key := newKey(workspace, func(k *store.Key) { k.ID, k.Fingerprint = "", newDigest() })
	for _, s := range set {
		s(&key)
	}
	return key
}

// importAll imports keys that can all be imported, and returns them with their ids.
func (f *fixture) importAll(keys ...store.Key) []store.Key {
	f.Helper()
	f.foreseen(nil, keys, keys)
	keys = slices.Clone(keys)
	errs := f.Import(f.Context(), keys)
	if len(errs) != len(keys) {
		f.Fatalf("%d errors of %d keys", len(errs), len(keys))
	}
	for i, err := range errs {
		if err != nil {
			f.Fatalf("key %d of %d: %v", i, len(keys), err)
		}
	}
	return keys
}

// refused imports keys none of which can be imported because they exist, and returns them with their ids.
func (f *fixture) refused(keys ...store.Key) []store.Key {
	f.Helper()
	given := slices.Clone(keys)
	keys = slices.Clone(keys)
	for i, err := range f.Import(f.Context(), keys) {
		if !errors.Is(err, store.ErrExists) {
			f.Fatalf("key %d of %d: error %v, want ErrExists", i, len(keys), err)
		}
	}
	f.foreseen(store.ErrExists, given, keys)
	return keys
}

// importsAs imports keys and wants these errors.
func (f *fixture) importsAs(keys []store.Key, want ...error) {
	f.Helper()
	for i, err := range f.Import(f.Context(), keys) {
		if !errors.Is(err, want[i]) {
			f.Fatalf("key %d: error %v, want %v", i, err, want[i])
		}
	}
}

// foreseen wants Foresee to say of each key given that Import would return this error and set the id that its counterpart has.
func (f *fixture) foreseen(want error, given, counterparts []store.Key) {
	f.Helper()
	for i, key := range given {
		if err := f.Foresee(f.Context(), &key); !errors.Is(err, want) || key.ID != counterparts[i].ID {
			f.Fatalf("key %d of %d, %q: foreseen is %v with id %q, want %v with %q", i, len(given), given[i].ID, err, key.ID, want, counterparts[i].ID)
		}
	}
}

func (f *fixture) read(key store.Key) store.Key {
	f.Helper()
	got, err := f.Key(f.Context(), key.Workspace, key.ID)
	f.must(err)
	return got
}

func importReadBack(f *fixture) {
	at := time.Date(2024, 4, 1, 10, 0, 0, 987_654_321, time.FixedZone("", -3600))
	full := imported("a", disabled, ended(at.AddDate(0, 1, 0)), f.withLimit("7/1h"), func(k *store.Key) {
		k.ID, k.Name, k.Hint, k.CreatedAt, k.LastUsedAt, k.Version = "my-own_ID", "näme <☃>", "tp_XyZ0…", at, at.Add(time.Hour), 7
		k.Previous, k.PreviousUntil = newDigest(), at.Add(2*time.Hour)
	})
	plain, made := imported("b"), imported("a", func(k *store.Key) { k.Fingerprint = store.Digest{} })
	given := []store.Key{full, plain, made}
	keys := f.importAll(given...)
	for i, want := range given {
		if want.ID != "" && want.ID != keys[i].ID || !store.ValidID(keys[i].ID) {
			f.Fatalf("key %d was given the id %q and has %q", i, want.ID, keys[i].ID)
		}
		want.ID, want.Version = keys[i].ID, 1
		for _, t := range []*time.Time{&want.CreatedAt, &want.LastUsedAt, &want.ExpiresAt, &want.PreviousUntil} {
			if !t.IsZero() {
				*t = t.UTC().Truncate(time.Millisecond)
			}
		}
		f.same(f.read(keys[i]), want)
	}
	if a, b := f.workspace("a").Keys, f.workspace("b").Keys; a != 2 || b != 1 {
		f.Fatalf("the workspaces have %d and %d keys, want 2 and 1", a, b)
	}
	if got, want := f.ids("a", 10), []string{keys[2].ID, keys[0].ID}; !slices.Equal(got, want) {
		f.Fatalf("listed are %v, want the newest first: %v", got, want)
	}
}

func importVerdicts(f *fixture) {
	f.set("gone", suspend)
	given := map[store.Verdict]store.Key{
		store.Allowed: imported("a"), store.Disabled: imported("a", disabled), store.Expired: imported("a", expired),
		store.Suspended: imported("gone"), store.Limited: imported("b", f.withLimit("0/1m")),
	}
	for verdict, key := range given {
		f.want(store.Unknown, key.Digest)
		key = f.importAll(key)[0]
		if d := f.want(verdict, key.Digest); d.KeyID != key.ID || d.Workspace != key.Workspace {
			f.Fatalf("%s names %q of %q", word(verdict), d.KeyID, d.Workspace)
		}
		f.want(store.Unknown, key.Fingerprint)
	}
	key := f.importAll(imported("a"))[0]
	next := f.rotate(key, time.Time{})
	f.want(store.Allowed, next.Digest)
	f.want(store.Unknown, key.Digest)
}

func importTwice(f *fixture) {
	given := []store.Key{imported("a"), imported("a"), imported("b", disabled), imported("a", expired)}
	keys := f.importAll(given...)
	renamed := f.update(keys[0], func(k *store.Key) { k.Name, k.Disabled = "renamed", true })
	rotated := f.rotate(keys[1], time.Time{})
	before := []store.Key{renamed, rotated, f.read(keys[2]), f.read(keys[3])}
	for _, id := range []string{"", "another"} {
		again := slices.Clone(given)
		for i := range again {
			again[i].ID = id
		}
		again[3].Workspace = "elsewhere"
		for i, key := range f.refused(again...) {
			want := keys[i].ID
			if i == 3 {
				want = id // nothing is told of another workspace's key
			}
			if key.ID != want {
				f.Fatalf("key %d is told to be %q, want %q", i, key.ID, want)
			}
			f.same(f.read(keys[i]), before[i])
		}
	}
	made := f.create("a")
	if again := f.refused(imported("a", func(k *store.Key) { k.Digest = made.Digest })); again[0].ID != made.ID {
		f.Fatalf("a key that was made here is told to be %q, want %q", again[0].ID, made.ID)
	}
	f.want(store.Unknown, given[1].Digest)
	listed, err := f.ListWorkspaces(f.Context(), "b", 10)
	if f.must(err); len(listed) > 0 {
		f.Fatalf("%q is listed, into which nothing was imported", listed[0].ID)
	}
	if a, b := len(f.ids("a", 10)), len(f.ids("b", 10)); a != 4 || b != 1 {
		f.Fatalf("%d and %d keys are listed, want 4 and 1", a, b)
	}
}

func importDeleted(f *fixture) {
	given := []store.Key{imported("a"), imported("a"), imported("b"), imported("b"), imported("c")}
	keys := f.importAll(given...)
	f.must(f.DeleteKey(f.Context(), "a", keys[0].ID))
	f.must(f.DeleteKeys(f.Context(), "b"))
	rotated := f.rotate(keys[4], time.Time{})
	f.must(f.DeleteKey(f.Context(), "c", rotated.ID))
	for range 2 {
		for i, key := range f.refused(given...) {
			if key.ID != keys[i].ID {
				f.Fatalf("key %d is told to be %q, want %q", i, key.ID, keys[i].ID)
			}
			if i != 1 {
				f.want(store.Unknown, key.Digest)
			}
		}
	}
	f.want(store.Allowed, keys[1].Digest)
	if a, b, c := f.workspace("a").Keys, f.workspace("b").Keys, f.workspace("c").Keys; a != 1 || b != 0 || c != 0 {
		f.Fatalf("the workspaces have %d, %d and %d keys, want 1, 0 and 0", a, b, c)
	}
}

func importDeletedExport(f *fixture) {
	keys := f.importAll(imported("a"), imported("b"), legacyKey("a"), legacyKey("b"))
	var exports []store.Key
	for _, key := range keys {
		if key.IsLegacy() {
			upgraded, err := f.upgrade(key, newDigest())
			f.must(err)
			key = upgraded
		} else {
			key = f.rotate(key, time.Now().Add(time.Hour))
		}
		exports = append(exports, key)
		exports = append(exports, f.rotate(key, time.Now().Add(time.Hour)))
	}
	for i := range exports { // as the lines say it that export writes
		k := &exports[i]
		*k = store.Key{Workspace: k.Workspace, ID: k.ID, Name: k.Name, Hint: k.Hint, Digest: k.Digest, Fingerprint: k.Digest.Fingerprint(), CreatedAt: k.CreatedAt}
	}
	f.refused(exports...)
	made := f.create("c")
	restored := store.Key{Workspace: "c", ID: made.ID, Name: made.Name, Hint: made.Hint, Digest: made.Digest, Fingerprint: made.Digest.Fingerprint(), CreatedAt: made.CreatedAt}
	f.must(f.DeleteKey(f.Context(), "c", made.ID))
	f.importAll(restored) // was never imported before
	f.want(store.Allowed, made.Digest)
	f.must(f.DeleteKey(f.Context(), "c", made.ID))
	f.refused(restored)
	f.want(store.Unknown, made.Digest)
	taken := f.create("c") // that a key was refused this digest leaves nothing behind
	_, err := f.UpdateKey(f.Context(), "a", keys[0].ID, func(k *store.Key) error { k.Previous = taken.Digest; return nil })
	if !errors.Is(err, store.ErrExists) {
		f.Fatalf("error %v, want ErrExists", err)
	}
	f.must(f.DeleteKey(f.Context(), "c", taken.ID))
	f.importAll(imported("c", func(k *store.Key) { k.Digest, k.Fingerprint = taken.Digest, taken.Digest.Fingerprint() }))
	f.must(f.DeleteKey(f.Context(), "a", keys[0].ID))
	f.must(f.DeleteKey(f.Context(), "a", keys[2].ID))
	f.must(f.DeleteKeys(f.Context(), "b"))
	for _, withID := range []bool{true, false} {
		again := slices.Clone(exports)
		for i := range again {
			if !withID {
				again[i].ID = ""
			}
		}
		for i, key := range f.refused(again...) {
			if key.ID != keys[i/2].ID {
				f.Fatalf("export %d is told to be %q, want %q", i, key.ID, keys[i/2].ID)
			}
			f.want(store.Unknown, key.Digest)
		}
	}
}

func importPartly(f *fixture) {
	first := f.create("a")
	rotated := f.rotate(f.create("a"), time.Now().Add(time.Hour))
	keys := []store.Key{
		imported("a"),
		imported("b", func(k *store.Key) { k.Digest = first.Digest }),
		imported("b", func(k *store.Key) { k.Digest = rotated.Previous }),
		imported("a", func(k *store.Key) { k.ID = first.ID }),
		imported("b", func(k *store.Key) { k.ID = first.ID }),
	}
	f.importsAs(keys, nil, store.ErrExists, store.ErrExists, store.ErrIDTaken, nil)
	if d := f.want(store.Allowed, first.Digest); d.KeyID != first.ID || d.Workspace != "a" {
		f.Fatalf("the first key is now %s of %s", d.KeyID, d.Workspace)
	}
	f.want(store.Allowed, keys[0].Digest)
	f.want(store.Unknown, keys[3].Digest)
	f.want(store.Allowed, keys[4].Digest)

	// What could not be imported was not: it can be when the other is gone.
	f.must(f.DeleteKey(f.Context(), "a", first.ID))
	f.importAll(keys[1], keys[3])
	f.want(store.Allowed, first.Digest)
	f.want(store.Allowed, keys[3].Digest)
}

func importDuplicates(f *fixture) {
	first := imported("a", func(k *store.Key) { k.ID = "one" })
	keys := []store.Key{
		first,
		imported("b", func(k *store.Key) { k.Digest = first.Digest }),
		imported("a", func(k *store.Key) { k.ID = "one" }),
		imported("a", func(k *store.Key) { k.Digest, k.Fingerprint = first.Digest, first.Fingerprint }),
		imported("b"),
		imported("a", func(k *store.Key) { k.Fingerprint = first.Fingerprint }),
	}
	f.importsAs(keys, nil, store.ErrExists, store.ErrIDTaken, store.ErrExists, nil, store.ErrExists)
	if keys[3].ID != "one" || keys[5].ID != "one" {
		f.Fatalf("the row that came thrice is told to be %q and %q, want one", keys[3].ID, keys[5].ID)
	}
	if a, b := f.ids("a", 10), f.ids("b", 10); !slices.Equal(a, []string{"one"}) || !slices.Equal(b, []string{keys[4].ID}) {
		f.Fatalf("listed are %v and %v", a, b)
	}
	if d := f.want(store.Allowed, first.Digest); d.KeyID != "one" {
		f.Fatalf("the key is %s", d.KeyID)
	}
	f.want(store.Unknown, keys[2].Digest)
	f.want(store.Unknown, keys[5].Digest)
}

func importMany(f *fixture) {
	base := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	given := make([]store.Key, 5000)
	for i := range given {
		given[i] = imported(fmt.Sprintf("w%d", i%7), func(k *store.Key) { k.CreatedAt = base.Add(time.Duration(i*7919%5000) * time.Second) })
	}
	keys := f.importAll(given...)
	f.refused(given...)
	sum := 0
	for w := range 7 {
		sum += f.workspace(fmt.Sprintf("w%d", w)).Keys
	}
	if n := len(f.ids("w3", 1000)); sum != 5000 || n != 714 {
		f.Fatalf("there are %d keys, want 5000, %d of them in w3, want 714", sum, n)
	}
	list, err := f.ListKeys(f.Context(), "w3", store.Position{}, 1000)
	f.must(err)
	if !slices.IsSortedFunc(list, func(a, b store.Key) int { return b.CreatedAt.Compare(a.CreatedAt) }) {
		f.Fatal("the keys are not listed newest first")
	}
	for i := 0; i < len(keys); i += 99 {
		if d := f.want(store.Allowed, keys[i].Digest); d.KeyID != keys[i].ID || d.Workspace != keys[i].Workspace {
			f.Fatalf("key %s of %s is told to be %s of %s", keys[i].ID, keys[i].Workspace, d.KeyID, d.Workspace)
		}
	}
}

func importTogether(f *fixture) {
	given := make([]store.Key, 40)
	for i := range given {
		given[i] = imported("a")
	}
	counts := make([]atomic.Int64, len(given))
	together(6, func(int) {
		keys := slices.Clone(given)
		for i, err := range f.Import(f.Context(), keys) {
			switch {
			case err == nil:
				counts[i].Add(1)
			case !errors.Is(err, store.ErrExists):
				f.Errorf("error %v, want ErrExists", err)
			}
		}
	})
	for i := range counts {
		if n := counts[i].Load(); n != 1 {
			f.Errorf("row %d was imported %d times", i, n)
		}
		f.want(store.Allowed, given[i].Digest)
	}
	if n, m := f.workspace("a").Keys, len(f.ids("a", 100)); n != 40 || m != 40 {
		f.Fatalf("the workspace has %d keys, %d are listed, want 40", n, m)
	}
}
