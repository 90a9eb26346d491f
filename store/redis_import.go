package store

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// Import adds keys in four pipelines: what was imported before, records, index entries, fingerprints. It goes through them even if ctx ends meanwhile. A crash between them leaves what Create leaves, and
// importing again completes it: without an id of its own, the same row comes to the same place.
func (r *Redis) Import(ctx context.Context, keys []Key) []error {
	defer r.changed("import", time.Now())
	b := &importBatch{Redis: r, keys: keys, errs: make([]error, len(keys)), repeats: map[int]int{}, named: map[int]bool{}, completed: map[int]bool{}}
	err := ctx.Err()
	ctx = context.WithoutCancel(ctx)
	for _, step := range []func(context.Context) error{b.prepare, b.findImported, b.enterWorkspaces, b.writeRecords, b.writeIndex, b.writeFingerprints} {
		if err == nil {
			err = step(ctx)
		}
	}
	b.failRest(err)
	for i := range b.completed {
		b.errs[i] = cmp.Or(b.errs[i], ErrExists)
	}
	for again, first := range b.repeats {
		if keys[again].Workspace == keys[first].Workspace {
			keys[again].ID = keys[first].ID
		}
	}
	for i, err := range b.errs {
		b.errs[i] = r.failed("import", err)
	}
	return b.errs
}

// prepare gives ids, and has Redis load the scripts that pipelines name only.
func (b *importBatch) prepare(ctx context.Context) error {
	legacy, seen := false, map[Digest]int{}
	for i := range b.keys {
		k := &b.keys[i]
		if first, again := seen[k.Fingerprint]; again && k.Fingerprint != (Digest{}) {
			b.errs[i], b.repeats[i] = ErrExists, first
			continue
		}
		seen[k.Fingerprint] = i
		*k = toMilliseconds(*k)
		k.Version = 1
		b.name(i)
		legacy = legacy || k.Legacy.Hash != ""
	}
	if legacy && !b.legacy.Load() {
		if err := b.control.HSet(ctx, b.names.store(), "legacy", "1").Err(); err != nil {
			return err
		}
		b.legacy.Store(true)
	}
	return errors.Join(b.intact(ctx), createScript.Load(ctx, b.control).Err(), indexScript.Load(ctx, b.control).Err())
}

// findImported leaves out what was imported before, be it deleted since.
func (b *importBatch) findImported(ctx context.Context) error {
	return b.pipelined(ctx, func(pipeline redis.Pipeliner, i int) *redis.Cmd {
		fingerprint := b.keys[i].Fingerprint
		return pipeline.Do(ctx, "HGET", b.names.bucketOf(fingerprint).name, fingerprint[:])
	}, func(i int, reply *redis.Cmd) error {
		found, err := reply.Text()
		if errors.Is(err, redis.Nil) || b.keys[i].Fingerprint == (Digest{}) {
			return nil
		}
		return b.existing(i, found, err)
	})
}

// enterWorkspaces lists the workspaces of the keys that are still to be imported.
func (b *importBatch) enterWorkspaces(ctx context.Context) error {
	entered := map[string]bool{}
	var members []redis.Z
	for i, k := range b.keys {
		if b.errs[i] == nil && !entered[k.Workspace] {
			entered[k.Workspace] = true
			members = append(members, redis.Z{Member: k.Workspace})
		}
	}
	if len(members) == 0 {
		return nil
	}
	return b.control.ZAdd(ctx, b.names.workspaces(), members...).Err()
}

// existing notes the id of the key that stands where this one would, if it is one of the same workspace.
func (b *importBatch) existing(i int, found string, err error) error {
	p, ok := parsePlace(found)
	if err != nil || !ok {
		return errors.Join(err, errIf(!ok, errBroken))
	}
	switch {
	case p.workspace == b.keys[i].Workspace:
		b.keys[i].ID = p.id
	case b.named[i]:
		b.keys[i].ID = ""
	}
	return ErrExists
}

func errIf(failed bool, err error) error {
	if failed {
		return err
	}
	return nil
}

func (b *importBatch) writeRecords(ctx context.Context) error {
	fresh := appendSettings(nil, b.id, &settings{epoch: firstEpoch})
	return b.pipelined(ctx, func(pipeline redis.Pipeliner, i int) *redis.Cmd {
		k, p := &b.keys[i], b.place(i)
		return createScript.EvalSha(ctx, pipeline, []string{b.names.record(p), b.names.settings(p.workspace), b.names.keys(p.workspace)},
			b.id, fresh, appendRecord(nil, k, firstEpoch), member(k))
	}, func(i int, reply *redis.Cmd) error {
		switch done, err := reply.Int(); {
		case err != nil:
			return err
		case done == 0:
			return b.complete(ctx, i)
		case done < 0:
			return errLost
		}
		return nil
	})
}

// complete looks at the record that stands where this key's would. If an import of the same row wrote it, the steps that follow are done for it, too.
func (b *importBatch) complete(ctx context.Context, i int) error {
	k := &b.keys[i]
	held, _, err := b.read(ctx, b.place(i))
	switch {
	case errors.Is(err, ErrNotFound): // deleted just now
		return ErrConflict
	case err != nil:
		return err
	case k.Fingerprint == (Digest{}) || held.Fingerprint != k.Fingerprint || held.Digest != k.Digest:
		return collision(&held, k)
	}
	b.completed[i] = true
	return nil
}

// collision returns what a key is refused with where another record holds its id: ErrExists if that is of the same secret.
func collision(held, key *Key) error {
	if slices.Contains(held.digests(), key.Digest) {
		return ErrExists
	}
	return ErrIDTaken
}

// writeIndex enters the digests. Where the index names another place, that is looked into as claimDigest does; a record that comes out superfluous is removed again.
func (b *importBatch) writeIndex(ctx context.Context) error {
	return b.pipelined(ctx, func(pipeline redis.Pipeliner, i int) *redis.Cmd {
		k := &b.keys[i]
		return indexScript.EvalSha(ctx, pipeline, []string{b.names.bucketOf(k.Digest).name}, b.id, k.Digest[:], "", b.place(i).String())
	}, func(i int, reply *redis.Cmd) error {
		k, p := &b.keys[i], b.place(i)
		found, err := reply.Text()
		switch {
		case err != nil:
			return err
		case found == "":
			return nil
		case found == "!":
			return errLost
		}
		if err = b.claimDigest(ctx, k.Digest, p); err == nil {
			return nil
		}
		var undo error
		if !b.completed[i] {
			_, undo = b.remove(ctx, p, member(k), k.Digest, "")
		}
		if errors.Is(err, ErrExists) && undo == nil {
			return b.existing(i, found, nil)
		}
		return errors.Join(err, undo)
	})
}

func (b *importBatch) writeFingerprints(ctx context.Context) error {
	return b.pipelined(ctx, func(pipeline redis.Pipeliner, i int) *redis.Cmd {
		k := &b.keys[i]
		if k.Fingerprint == (Digest{}) {
			return pipeline.Do(ctx, "PING")
		}
		return indexScript.EvalSha(ctx, pipeline, []string{b.names.bucketOf(k.Fingerprint).name}, b.id, k.Fingerprint[:], "", b.place(i).String())
	}, func(_ int, reply *redis.Cmd) error {
		found, err := reply.Text()
		return errors.Join(err, errIf(found == "!", errLost))
	})
}

// keepFingerprint makes sure that an imported key stays known by this fingerprint for good: by the one of its import, even if that was cut off before it was noted, and by those of the digests that it
// has had since, since an export tells these.
func (r *Redis) keepFingerprint(ctx context.Context, key *Key, fingerprint Digest) error {
	if key.Fingerprint == (Digest{}) {
		return nil
	}
	_, err := r.setIndex(ctx, fingerprint, "", place{key.Workspace, key.ID}.String())
	return err
}
