package storetest

import (
	"errors"
	"time"

	"tpgate/store"
)

var rotationTests = []contract{
	{name: "a rotation without overlap ends the old secret at once", run: rotateAtOnce},
	{name: "with overlap both secrets are the same key, until the overlap ends", run: rotateWithOverlap},
	{name: "a second rotation ends the first overlap", run: rotateTwice},
	{name: "a previous secret goes with its key", run: previousGoes},
	{name: "a previous secret that is stored under another digest is found under that one", run: movePrevious},
	{name: "an overlap that is taken back ends at once", run: endOverlap},
	{name: "a rotation to a secret that is taken is refused and changes nothing", run: rotateToTaken},
	{name: "a secret that was rotated away or deleted is nobody's", run: freedDigests},
	{name: "a rotation does not give the quota anew", run: rotateKeepsQuota, keyLimit: "3/1m"},
}

func rotateAtOnce(f *fixture) {
	key := f.create("a")
	f.want(store.Allowed, key.Digest)
	for _, until := range []time.Time{{}, time.Now()} {
		next := f.rotate(key, until)
		f.want(store.Unknown, key.Digest)
		if d := f.want(store.Allowed, next.Digest); d.KeyID != key.ID || d.Workspace != "a" {
			f.Fatalf("the key is now %s of %s", d.KeyID, d.Workspace)
		}
		key = next
	}
}

func rotateWithOverlap(f *fixture) {
	key := f.create("a", f.withLimit("off"))
	end := time.Now().Add(150 * time.Millisecond).Truncate(time.Millisecond)
	next := f.rotate(key, end)
	if d := f.want(store.Allowed, next.Digest); d.KeyID != key.ID {
		f.Fatalf("the new secret is of key %s", d.KeyID)
	}
	f.until(end, key.Digest, store.Unknown)
	f.want(store.Allowed, next.Digest)

	last := f.rotate(next, time.Now().Add(time.Hour))
	for _, digest := range []store.Digest{next.Digest, last.Digest} {
		if d := f.want(store.Allowed, digest); d.KeyID != key.ID {
			f.Fatalf("the secret is of key %s", d.KeyID)
		}
	}
	f.update(last, disabled)
	f.want(store.Disabled, next.Digest)
	f.want(store.Disabled, last.Digest)
}

func rotateTwice(f *fixture) {
	first := f.create("a")
	second := f.rotate(first, time.Now().Add(time.Hour))
	f.want(store.Allowed, first.Digest)
	third := f.rotate(second, time.Now().Add(time.Hour))
	f.want(store.Unknown, first.Digest)
	f.want(store.Allowed, second.Digest)
	f.want(store.Allowed, third.Digest)
}

func previousGoes(f *fixture) {
	overlap := time.Now().Add(time.Hour)
	one := f.create("a")
	next := f.rotate(one, overlap)
	f.want(store.Allowed, one.Digest)
	f.must(f.DeleteKey(f.Context(), "a", one.ID))
	f.want(store.Unknown, one.Digest)
	f.want(store.Unknown, next.Digest)

	two := f.create("a")
	next = f.rotate(two, overlap)
	f.want(store.Allowed, two.Digest)
	f.must(f.DeleteKeys(f.Context(), "a"))
	f.want(store.Unknown, two.Digest)
	f.want(store.Unknown, next.Digest)
}

func movePrevious(f *fixture) {
	first := f.create("a")
	second := f.rotate(first, time.Now().Add(time.Hour))
	f.want(store.Allowed, first.Digest)
	moved := newDigest()
	f.update(second, func(k *store.Key) { k.Previous = moved })
	f.want(store.Allowed, moved)
	f.want(store.Allowed, second.Digest)
	f.want(store.Unknown, first.Digest)

	other := f.create("b")
	_, err := f.UpdateKey(f.Context(), "a", first.ID, func(k *store.Key) error { k.Previous = other.Digest; return nil })
	if !errors.Is(err, store.ErrExists) {
		f.Fatalf("a previous digest that is another key's: error %v, want ErrExists", err)
	}
	f.want(store.Allowed, moved)
}

func endOverlap(f *fixture) {
	key := f.create("a")
	next := f.rotate(key, time.Now().Add(time.Hour))
	f.want(store.Allowed, key.Digest)
	f.update(next, func(k *store.Key) { k.Previous, k.PreviousUntil = store.Digest{}, time.Time{} })
	f.want(store.Unknown, key.Digest)
	f.want(store.Allowed, next.Digest)
}

func rotateToTaken(f *fixture) {
	key, other := f.create("a"), f.create("b")
	rotated := f.rotate(other, time.Now().Add(time.Hour))
	for _, taken := range []store.Digest{other.Digest, rotated.Digest} {
		_, err := f.UpdateKey(f.Context(), "a", key.ID, func(k *store.Key) error {
			k.Previous, k.PreviousUntil, k.Digest = k.Digest, time.Now().Add(time.Hour), taken
			return nil
		})
		if !errors.Is(err, store.ErrExists) {
			f.Fatalf("error %v, want ErrExists", err)
		}
		if d := f.want(store.Allowed, taken); d.KeyID != other.ID {
			f.Fatalf("the other's secret is of key %s", d.KeyID)
		}
	}
	got, err := f.Key(f.Context(), "a", key.ID)
	f.must(err)
	f.same(got, key)
	f.want(store.Allowed, key.Digest)
}

func freedDigests(f *fixture) {
	first := f.create("a")
	second := f.rotate(first, time.Now().Add(time.Hour))
	third := f.rotate(second, time.Time{})
	f.must(f.DeleteKey(f.Context(), "a", third.ID))
	for _, digest := range []store.Digest{first.Digest, second.Digest, third.Digest} {
		key := f.create("b", func(k *store.Key) { k.Digest = digest })
		if d := f.want(store.Allowed, digest); d.KeyID != key.ID || d.Workspace != "b" {
			f.Fatalf("the secret is of key %s of %s, want its new owner", d.KeyID, d.Workspace)
		}
	}
}

func rotateKeepsQuota(f *fixture) {
	key := f.create("a")
	if n := f.allowed(2, key.Digest); n != 2 {
		f.Fatalf("%d of 2 checks are allowed", n)
	}
	next := f.rotate(key, time.Now().Add(time.Hour))
	f.update(next, func(k *store.Key) { k.Name = "renamed" })
	if n := f.allowed(1, key.Digest) + f.allowed(3, next.Digest); n != 1 {
		f.Fatalf("%d more checks are allowed after a rotation, want 1", n)
	}
}
