package store

import (
	"context"
	"time"
)

// legacyEvery is how often an instance looks whether another one has imported bcrypt rows.
const legacyEvery = time.Second

// Find returns the key whose digest this is.
func (r *Redis) Find(ctx context.Context, digest Digest) (Key, error) {
	defer r.metrics.observe("find", time.Now())
	held, err := r.control.HMGet(ctx, r.names.bucketOf(digest).name, "", string(digest[:])).Result()
	if err != nil {
		return Key{}, r.failed("find", err)
	}
	if id, _ := held[0].(string); id != r.id {
		return Key{}, r.failed("find", errLost)
	}
	text, _ := held[1].(string)
	p, ok := parsePlace(text)
	if !ok {
		return Key{}, ErrNotFound
	}
	key, _, err := r.read(ctx, p)
	if err == nil && !key.found(digest, time.Now()) {
		err = ErrNotFound
	}
	return key, r.failed("find", err)
}

// HasLegacy reports whether bcrypt rows were ever imported.
func (r *Redis) HasLegacy() bool { return r.legacy.Load() }

// watchLegacy notices bcrypt rows that another instance imports. Once there were some, it need not look any more.
func (r *Redis) watchLegacy(ctx context.Context) {
	for !r.legacy.Load() {
		if set, err := r.control.HGet(ctx, r.names.store(), "legacy").Result(); err == nil && set == "1" {
			r.legacy.Store(true)
		}
		if pause(ctx, legacyEvery) != nil {
			return
		}
	}
}
