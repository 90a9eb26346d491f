package storetest

import (
	"time"

	"tpgate/store"
)

var usageTests = []contract{
	{name: "every check of a key is counted, by the hour", keyLimit: "5/1m", run: usageCounts},
	{name: "what is refused of a key that exists is counted as refused, and unknown keys as nothing", run: usageRefusals},
	{name: "concurrent checks are all counted", keyLimit: "off", run: usageTogether},
}

// used returns what was counted of a key, and fails unless it was counted in this hour, or the one that has just ended.
func (f *fixture) used(key store.Key) (allowed, refused int) {
	f.Helper()
	list, err := f.Usage(f.Context(), key.Workspace, key.ID)
	f.must(err)
	for i, u := range list {
		if u.Hour != u.Hour.Truncate(time.Hour) || time.Since(u.Hour) < 0 || time.Since(u.Hour) > time.Hour+time.Minute || u.Hour.Location() != time.UTC || (i > 0 && !list[i-1].Hour.Before(u.Hour)) {
			f.Fatalf("counted %+v", list)
		}
		allowed, refused = allowed+u.Allowed, refused+u.Refused
	}
	return allowed, refused
}

func (f *fixture) wantUsed(key store.Key, allowed, refused int) {
	f.Helper()
	if a, r := f.used(key); a != allowed || r != refused {
		f.Fatalf("%d allowed and %d refused, want %d and %d", a, r, allowed, refused)
	}
}

func usageCounts(f *fixture) {
	key, other := f.create("acme"), f.create("acme")
	f.wantUsed(key, 0, 0)
	f.allowed(3, key.Digest)
	f.wantUsed(key, 3, 0)
	f.allowed(7, key.Digest)
	f.wantUsed(key, 5, 5)
	f.wantUsed(key, 5, 5)
	f.wantUsed(other, 0, 0)
	key = f.rotate(key, time.Time{})
	f.want(store.Limited, key.Digest)
	f.wantUsed(key, 5, 6)
}

func usageRefusals(f *fixture) {
	off, late, held := f.create("acme", disabled), f.create("acme", expired), f.create("held")
	f.set("held", suspend)
	f.want(store.Disabled, off.Digest)
	f.want(store.Expired, late.Digest)
	f.want(store.Suspended, held.Digest)
	f.want(store.Unknown, newDigest())
	for _, key := range []store.Key{off, late, held} {
		f.wantUsed(key, 0, 1)
	}
}

func usageTogether(f *fixture) {
	key := f.create("acme")
	together(8, func(int) {
		for range 50 {
			f.allowed(1, key.Digest)
			if _, err := f.Usage(f.Context(), "acme", key.ID); err != nil {
				f.Error(err)
			}
		}
	})
	f.wantUsed(key, 400, 0)
}
