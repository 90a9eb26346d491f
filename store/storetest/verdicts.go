package storetest

import (
	"fmt"
	"testing"
	"time"

	"tpgate/store"
)

var verdictTests = []contract{
	{name: "a digest of no key is unknown, and names nobody", run: unknownDigest},
	{name: "disabled comes before expired, expired before suspended, suspended before limited", run: precedence},
	{name: "every decision about a key names it and its workspace", run: identity},
	{name: "a key expires at the instant given, not before and not after", run: expiry},
	{name: "an expiry that is moved holds at once", run: movedExpiry},
	{name: "a key is disabled and enabled at once", run: disableEnable},
	{name: "a workspace is suspended and lifted at once, and no other", run: suspension},
	{name: "a check whose time is over returns at once and is never wrong", run: lateCheck},
}

func unknownDigest(f *fixture) {
	key := f.create("a")
	near := key.Digest
	near[31] ^= 1
	for _, digest := range []store.Digest{{}, newDigest(), near} {
		if d := f.want(store.Unknown, digest); d.Workspace != "" || d.KeyID != "" || d.Standing != (store.Standing{}) {
			f.Fatalf("the decision names %q of %q, %+v", d.KeyID, d.Workspace, d.Standing)
		}
	}
}

func precedence(f *fixture) {
	verdicts := []store.Verdict{store.Disabled, store.Expired, store.Suspended, store.Limited}
	for bits := range 16 {
		has := func(i int) bool { return bits>>i&1 == 1 }
		want := store.Allowed
		for i, v := range verdicts {
			if has(i) {
				want = v
				break
			}
		}
		workspace := fmt.Sprintf("w%d", bits)
		key := f.create(workspace, func(k *store.Key) {
			k.Disabled = has(0)
			k.ExpiresAt = time.Now().Add(time.Hour)
			if has(1) {
				k.ExpiresAt = time.Now().Add(-time.Millisecond)
			}
			if has(3) {
				k.Limit = limit(f, "0/1m")
			}
		})
		if has(2) {
			f.set(workspace, suspend)
		}
		f.Run(fmt.Sprintf("disabled %t, expired %t, suspended %t, out of quota %t", has(0), has(1), has(2), has(3)), func(t *testing.T) {
			(&fixture{T: t, Store: f.Store}).want(want, key.Digest)
		})
	}
}

func identity(f *fixture) {
	f.set("gone", suspend)
	for _, c := range []struct {
		verdict store.Verdict
		key     store.Key
	}{
		{store.Allowed, f.create("a")},
		{store.Disabled, f.create("a", disabled)},
		{store.Expired, f.create("b", expired)},
		{store.Suspended, f.create("gone")},
		{store.Limited, f.create("b", f.withLimit("0/1m"))},
	} {
		if d := f.want(c.verdict, c.key.Digest); d.Workspace != c.key.Workspace || d.KeyID != c.key.ID || d.Err != nil {
			f.Fatalf("%s: the decision names %q of %q (error %v)", word(c.verdict), d.KeyID, d.Workspace, d.Err)
		}
	}
}

// until checks a digest until it is refused with this verdict, and fails if that happens before end, or not after it.
func (f *fixture) until(end time.Time, digest store.Digest, refusal store.Verdict) {
	f.Helper()
	for {
		before := time.Now()
		d := f.check(digest)
		after := time.Now()
		switch {
		case d.Verdict == store.Allowed && !before.Before(end):
			f.Fatalf("allowed %s after the end", before.Sub(end))
		case d.Verdict == refusal && after.Before(end):
			f.Fatalf("%s %s before the end", word(refusal), end.Sub(after))
		case d.Verdict == refusal:
			return
		case d.Verdict != store.Allowed:
			f.Fatalf("the check came to %s (error %v)", word(d.Verdict), d.Err)
		}
		time.Sleep(time.Millisecond)
	}
}

func expiry(f *fixture) {
	end := time.Now().Add(150 * time.Millisecond).Truncate(time.Millisecond)
	key := f.create("a", f.withLimit("off"), ended(end))
	f.until(end, key.Digest, store.Expired)
}

func movedExpiry(f *fixture) {
	key := f.create("a")
	f.want(store.Allowed, key.Digest)
	f.update(key, expired)
	f.want(store.Expired, key.Digest)
	f.update(key, ended(time.Now().Add(time.Hour)))
	f.want(store.Allowed, key.Digest)
	f.update(key, expired)
	f.want(store.Expired, key.Digest)
	f.update(key, ended(time.Time{}))
	f.want(store.Allowed, key.Digest)
}

func disableEnable(f *fixture) {
	key, other := f.create("a"), f.create("a")
	for range 3 {
		f.want(store.Allowed, key.Digest)
		f.update(key, disabled)
		f.want(store.Disabled, key.Digest)
		f.want(store.Allowed, other.Digest)
		f.update(key, func(k *store.Key) { k.Disabled = false })
	}
}

func suspension(f *fixture) {
	key, other := f.create("a"), f.create("b")
	for range 3 {
		f.want(store.Allowed, key.Digest)
		f.set("a", suspend)
		f.want(store.Suspended, key.Digest)
		f.want(store.Suspended, f.create("a").Digest)
		f.want(store.Allowed, other.Digest)
		f.set("a", lift)
	}
	f.set("new", suspend)
	f.want(store.Suspended, f.create("new").Digest)
}

func lateCheck(f *fixture) {
	key, off := f.create("a"), f.create("a", disabled)
	for _, deadline := range []time.Time{time.Now(), time.Now().Add(-time.Hour), {}} {
		for digest, right := range map[store.Digest]store.Verdict{key.Digest: store.Allowed, off.Digest: store.Disabled, newDigest(): store.Unknown} {
			before := time.Now()
			d := f.Verify(digest, deadline)
			if took := time.Since(before); took > 250*time.Millisecond {
				f.Fatalf("the check took %s", took)
			}
			if d.Verdict != right && (d.Verdict != store.Unavailable || d.Err == nil) {
				f.Fatalf("the check came to %s (error %v), want %s, or unavailable with an error", word(d.Verdict), d.Err, word(right))
			}
		}
	}
	f.want(store.Allowed, key.Digest)
}
