package store

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// Foresee goes the way of Import and only looks.
func (r *Redis) Foresee(ctx context.Context, key *Key) error {
	defer r.metrics.observe("find", time.Now())
	b := &importBatch{Redis: r, keys: []Key{*key}, errs: make([]error, 1), named: map[int]bool{}}
	b.name(0)
	for _, step := range []func(context.Context) error{b.intact, b.findImported, b.findRecord, b.findDigest} {
		if err := cmp.Or(step(ctx), b.errs[0]); err != nil {
			key.ID = b.keys[0].ID
			return r.failed("find", err)
		}
	}
	return nil
}

// findRecord and findDigest look at what the first key would collide with.
func (b *importBatch) findRecord(ctx context.Context) error {
	held, _, err := b.read(ctx, b.place(0))
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	return collision(&held, &b.keys[0])
}

func (b *importBatch) findDigest(ctx context.Context) error {
	digest := b.keys[0].Digest
	found, err := b.control.HGet(ctx, b.names.bucketOf(digest).name, string(digest[:])).Result()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	if err != nil {
		return err
	}
	if taken, err := b.proves(ctx, digest, found); err != nil || !taken {
		return err
	}
	return b.existing(0, found, nil)
}
