package store

import (
	"cmp"
	"context"
	"errors"
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

// importBatch is an import under way. A key with an error takes part in no further step.
type importBatch struct {
	*Redis
	keys    []Key
	errs    []error
	repeats map[int]int  // keys with the fingerprint of another one before them, and that one
	named   map[int]bool // keys that came without an id
	// completed are keys whose record an interrupted import has left, and perhaps nothing else of them.
	completed map[int]bool
}

// importID returns the id that an import gives a key: its own, or one that the same row will be given again.
func importID(key *Key) string {
	switch {
	case key.ID != "":
		return key.ID
	case key.Fingerprint == Digest{}:
		return NewID()
	}
	return idOf(key.Fingerprint)
}

func (b *importBatch) name(i int) {
	b.named[i] = b.keys[i].ID == ""
	b.keys[i].ID = importID(&b.keys[i])
}

func (b *importBatch) place(i int) place { return place{b.keys[i].Workspace, b.keys[i].ID} }

func (b *importBatch) failRest(err error) {
	for i := range b.errs {
		if b.errs[i] == nil {
			b.errs[i] = err
		}
	}
}

// pipelined runs one command for each key that is still to be imported, and then reads the replies.
func (b *importBatch) pipelined(ctx context.Context, command func(redis.Pipeliner, int) *redis.Cmd, read func(int, *redis.Cmd) error) error {
	pipeline := b.control.Pipeline()
	replies := make([]*redis.Cmd, len(b.keys))
	for i := range b.keys {
		if b.errs[i] == nil {
			replies[i] = command(pipeline, i)
		}
	}
	if pipeline.Len() == 0 {
		return nil
	}
	if _, err := pipeline.Exec(ctx); err != nil {
		if _, refused := errors.AsType[redis.Error](err); !refused { // that of one command, which read sees
			return err
		}
	}
	for i, reply := range replies {
		if reply != nil {
			b.errs[i] = read(i, reply)
		}
	}
	return nil
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

// findRecord and findDigest look at what the first key would collide with.
func (b *importBatch) findRecord(ctx context.Context) error {
	held, _, err := b.read(ctx, b.place(0))
	switch {
	case err == nil && held.Digest != b.keys[0].Digest && held.Previous != b.keys[0].Digest:
		return ErrIDTaken
	case err == nil:
		return ErrExists
	case errors.Is(err, ErrNotFound):
		return nil
	}
	return err
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
	case err != nil && !errors.Is(err, ErrNotFound):
		return err
	case held.Digest != k.Digest && held.Previous != k.Digest:
		return ErrIDTaken
	case k.Fingerprint == (Digest{}) || held.Fingerprint != k.Fingerprint || held.Digest != k.Digest:
		return ErrExists
	}
	b.completed[i] = true
	return nil
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
