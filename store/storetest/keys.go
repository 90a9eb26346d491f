package storetest

import (
	"errors"
	"time"

	"tpgate/limiter"
	"tpgate/store"
)

var keyTests = []contract{
	{name: "a created key is read back as it was given", run: readBack},
	{name: "a digest or an id that is taken is refused, and leaves no trace", run: refuseTaken},
	{name: "a key is found by its own workspace alone", run: ownWorkspace},
	{name: "an update changes what it says, and the version", run: updateFields},
	{name: "an update that fails changes nothing", run: failedUpdate},
	{name: "what belongs to a key for life cannot be updated", run: fixedFields},
	{name: "a deleted key is gone for good", run: deleteOne},
	{name: "all keys of a workspace are deleted at once, and new ones can be made", run: deleteAll},
	{name: "the time of last use becomes visible, and only of allowed checks", run: lastUsed},
	{name: "an open store is ready", run: func(f *fixture) { f.must(f.Ready(f.Context())) }},
}

func readBack(f *fixture) {
	at := time.Date(2026, 4, 1, 10, 0, 0, 123_456_789, time.FixedZone("", 7200))
	given := newKey("acme_2-X", f.withLimit("10/1s,600/1m"), func(k *store.Key) {
		k.Name, k.Hint, k.Version = "näme \"1\" <☃>", "tp_XyZ0…", 7
		k.CreatedAt, k.LastUsedAt, k.ExpiresAt = at, at.Add(time.Hour), at.AddDate(30, 0, 0)
	})
	want := given
	want.Version = 1
	for _, t := range []*time.Time{&want.CreatedAt, &want.LastUsedAt, &want.ExpiresAt} {
		*t = t.UTC().Truncate(time.Millisecond)
	}
	created, err := f.Create(f.Context(), given)
	f.must(err)
	f.same(created, want)
	got, err := f.Key(f.Context(), "acme_2-X", given.ID)
	f.must(err)
	f.same(got, want)

	plain := f.create("acme_2-X")
	got, err = f.Key(f.Context(), "acme_2-X", plain.ID)
	f.must(err)
	f.same(got, plain)
	if !got.ExpiresAt.IsZero() || !got.LastUsedAt.IsZero() || !got.PreviousUntil.IsZero() || got.Limit.IsSet() || got.Disabled {
		f.Fatalf("a key without anything special has something: %+v", got)
	}
}

func refuseTaken(f *fixture) {
	first := f.create("a")
	twin := newKey("b", func(k *store.Key) { k.Digest = first.Digest })
	if _, err := f.Create(f.Context(), twin); !errors.Is(err, store.ErrExists) {
		f.Fatalf("a second key of the same digest: error %v, want ErrExists", err)
	}
	namesake := newKey("a", func(k *store.Key) { k.ID = first.ID })
	if _, err := f.Create(f.Context(), namesake); !errors.Is(err, store.ErrExists) {
		f.Fatalf("a second key of the same id: error %v, want ErrExists", err)
	}
	if d := f.want(store.Allowed, first.Digest); d.Workspace != "a" || d.KeyID != first.ID {
		f.Fatalf("the first key is now %s of %s", d.KeyID, d.Workspace)
	}
	f.want(store.Unknown, namesake.Digest)
	if a, b := f.ids("a", 10), f.ids("b", 10); len(a) != 1 || len(b) != 0 {
		f.Fatalf("listed are %v and %v, want the first key alone", a, b)
	}

	elsewhere := f.create("b", func(k *store.Key) { k.ID, k.Digest = first.ID, namesake.Digest })
	if d := f.want(store.Allowed, elsewhere.Digest); d.Workspace != "b" {
		f.Fatalf("the key of workspace b is told of workspace %s", d.Workspace)
	}
}

func ownWorkspace(f *fixture) {
	key := f.create("a")
	f.create("b")
	for _, workspace := range []string{"b", "c"} {
		_, err := f.Key(f.Context(), workspace, key.ID)
		_, updateErr := f.UpdateKey(f.Context(), workspace, key.ID, func(k *store.Key) error { k.Disabled = true; return nil })
		deleteErr := f.DeleteKey(f.Context(), workspace, key.ID)
		for _, err := range []error{err, updateErr, deleteErr} {
			if !errors.Is(err, store.ErrNotFound) {
				f.Fatalf("through workspace %s: error %v, want ErrNotFound", workspace, err)
			}
		}
		f.must(f.DeleteKeys(f.Context(), workspace))
	}
	f.want(store.Allowed, key.Digest)
}

func updateFields(f *fixture) {
	key := f.create("a", expired, f.withLimit("1/1m"))
	at := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
	want := key
	want.Name, want.ExpiresAt, want.Limit, want.Disabled, want.Version = "new", at, limiter.Off, true, 2
	updated := f.update(key, func(k *store.Key) {
		k.Name, k.ExpiresAt, k.Limit, k.Disabled = "new", at, limiter.Off, true
	})
	f.same(updated, want)
	got, err := f.Key(f.Context(), "a", key.ID)
	f.must(err)
	f.same(got, want)

	want.ExpiresAt, want.Limit, want.Disabled, want.Version = time.Time{}, limiter.Limit{}, false, 3
	f.update(key, func(k *store.Key) { k.ExpiresAt, k.Limit, k.Disabled = time.Time{}, limiter.Limit{}, false })
	got, err = f.Key(f.Context(), "a", key.ID)
	f.must(err)
	f.same(got, want)
}

func failedUpdate(f *fixture) {
	key, other := f.create("a"), f.create("b")
	own := errors.New("my own")
	_, err := f.UpdateKey(f.Context(), "a", key.ID, func(k *store.Key) error { k.Disabled = true; return own })
	if err != own {
		f.Fatalf("error %v, want that of the change itself", err)
	}
	_, err = f.UpdateKey(f.Context(), "a", key.ID, func(k *store.Key) error { k.Digest = other.Digest; return nil })
	if !errors.Is(err, store.ErrExists) {
		f.Fatalf("a change to another key's digest: error %v, want ErrExists", err)
	}
	got, err := f.Key(f.Context(), "a", key.ID)
	f.must(err)
	f.same(got, key)
	if d := f.want(store.Allowed, key.Digest); d.KeyID != key.ID {
		f.Fatalf("the key is now %s", d.KeyID)
	}
	if d := f.want(store.Allowed, other.Digest); d.KeyID != other.ID {
		f.Fatalf("the other key is now %s", d.KeyID)
	}
}

func fixedFields(f *fixture) {
	key := f.create("a")
	want := key
	want.Version = 2
	updated := f.update(key, func(k *store.Key) {
		k.ID, k.Workspace, k.CreatedAt, k.LastUsedAt, k.Version = "other", "b", time.Now().Add(time.Hour), time.Now(), 99
	})
	f.same(updated, want)
	got, err := f.Key(f.Context(), "a", key.ID)
	f.must(err)
	f.same(got, want)
	if ids := f.ids("b", 10); len(ids) != 0 {
		f.Fatalf("the key is listed in workspace b: %v", ids)
	}
}

func deleteOne(f *fixture) {
	key, stays := f.create("a"), f.create("a")
	f.want(store.Allowed, key.Digest)
	f.must(f.DeleteKey(f.Context(), "a", key.ID))
	f.want(store.Unknown, key.Digest)
	f.want(store.Allowed, stays.Digest)
	if _, err := f.Key(f.Context(), "a", key.ID); !errors.Is(err, store.ErrNotFound) {
		f.Fatalf("reading it: error %v, want ErrNotFound", err)
	}
	if err := f.DeleteKey(f.Context(), "a", key.ID); !errors.Is(err, store.ErrNotFound) {
		f.Fatalf("deleting it again: error %v, want ErrNotFound", err)
	}
	_, err := f.UpdateKey(f.Context(), "a", key.ID, func(*store.Key) error { return nil })
	if !errors.Is(err, store.ErrNotFound) {
		f.Fatalf("updating it: error %v, want ErrNotFound", err)
	}
	if ids := f.ids("a", 10); len(ids) != 1 || ids[0] != stays.ID {
		f.Fatalf("listed are %v, want %s alone", ids, stays.ID)
	}
}

func deleteAll(f *fixture) {
	f.must(f.DeleteKeys(f.Context(), "a"))
	other := f.create("b")
	for range 2 {
		var keys []store.Key
		for range 30 {
			keys = append(keys, f.create("a"))
		}
		f.want(store.Allowed, keys[7].Digest)
		f.must(f.DeleteKeys(f.Context(), "a"))
		for _, k := range keys {
			f.want(store.Unknown, k.Digest)
			if _, err := f.Key(f.Context(), "a", k.ID); !errors.Is(err, store.ErrNotFound) {
				f.Fatalf("reading a deleted key: error %v, want ErrNotFound", err)
			}
		}
		if ids := f.ids("a", 10); len(ids) != 0 {
			f.Fatalf("%d keys are still listed", len(ids))
		}
	}
	fresh := f.create("a")
	f.want(store.Allowed, fresh.Digest)
	f.want(store.Allowed, other.Digest)
	if ids := f.ids("a", 10); len(ids) != 1 || ids[0] != fresh.ID {
		f.Fatalf("listed are %v, want the fresh key alone", ids)
	}
}

func lastUsed(f *fixture) {
	used, refused, limited := f.create("a"), f.create("a", disabled), f.create("a", f.withLimit("0/1m"))
	before := time.Now().Truncate(time.Millisecond)
	f.want(store.Allowed, used.Digest)
	f.want(store.Disabled, refused.Digest)
	f.want(store.Limited, limited.Digest)
	after := time.Now()
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		key, err := f.Key(f.Context(), "a", used.ID)
		f.must(err)
		if at := key.LastUsedAt; !at.IsZero() {
			if at.Before(before) || at.After(after) || key.Version != 1 {
				f.Fatalf("used between %s and %s: last use is %s, version %d", before, after, at, key.Version)
			}
			break
		}
		if time.Now().After(deadline) {
			f.Fatal("the time of last use is not visible after 60 s")
		}
	}
	for _, k := range []store.Key{refused, limited} {
		key, err := f.Key(f.Context(), "a", k.ID)
		f.must(err)
		if !key.LastUsedAt.IsZero() {
			f.Fatalf("a refused check counts as use: %s", key.LastUsedAt)
		}
	}
}
