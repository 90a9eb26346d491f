package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// maxConflicts is how often an update starts anew because others were faster.
const maxConflicts = 100

// firstEpoch is the epoch of a workspace whose keys were never deleted all at once.
const firstEpoch = "00000000"

// Create adds a key: the workspace's name, then the record, then the index entry.
func (r *Redis) Create(ctx context.Context, key Key) (Key, error) {
	defer r.metrics.observe("create", time.Now())
	key = toMilliseconds(key)
	key.Version = 1
	p := place{key.Workspace, key.ID}
	if err := r.intact(ctx); err != nil {
		return Key{}, r.failed("create", err)
	}
	if err := r.control.ZAdd(ctx, r.names.workspaces(), redis.Z{Member: key.Workspace}).Err(); err != nil {
		return Key{}, r.failed("create", err)
	}
	fresh := appendSettings(nil, r.id, &settings{epoch: firstEpoch})
	record := appendRecord(nil, &key, firstEpoch)
	done, err := createScript.Run(ctx, r.control, []string{r.names.record(p), r.names.settings(p.workspace), r.names.keys(p.workspace)},
		r.id, fresh, record, member(&key)).Int()
	switch {
	case err != nil:
		return Key{}, r.failed("create", err)
	case done == 0:
		return Key{}, ErrExists
	case done < 0:
		return Key{}, r.failed("create", errLost)
	}
	if err := r.claimDigest(ctx, key.Digest, p); err != nil {
		_, undo := r.remove(context.WithoutCancel(ctx), p, member(&key), key.Digest, "")
		return Key{}, r.failed("create", errors.Join(err, undo))
	}
	return key, nil
}

// Key returns one key.
func (r *Redis) Key(ctx context.Context, workspace, id string) (Key, error) {
	defer r.metrics.observe("get", time.Now())
	key, _, err := r.read(ctx, place{workspace, id})
	return key, r.failed("get", err)
}

// read returns a key as it is now, and its epoch. ErrNotFound if there is none.
func (r *Redis) read(ctx context.Context, p place) (Key, string, error) {
	values, err := r.control.MGet(ctx, r.names.record(p), r.names.settings(p.workspace)).Result()
	if err != nil {
		return Key{}, "", err
	}
	record, found := values[0].(string)
	text, set := values[1].(string)
	switch {
	case !set:
		if err := r.intact(ctx); err != nil {
			return Key{}, "", err
		}
		return Key{}, "", ErrNotFound
	case !found:
		return Key{}, "", ErrNotFound
	}
	s, err := parseSettings(p.workspace, r.id, []byte(text))
	if err != nil {
		return Key{}, "", err
	}
	key, epoch, err := parseRecord(p.workspace, p.id, []byte(record))
	if err == nil && epoch != s.epoch {
		err = ErrNotFound
	}
	return key, epoch, err
}

// ListKeys returns a page of the workspace's keys. Its sorted set has all scores equal, so that members sort as strings, and "created at/id" is the position itself.
func (r *Redis) ListKeys(ctx context.Context, workspace string, after Position, limit int) ([]Key, error) {
	defer r.metrics.observe("list", time.Now())
	if err := r.intact(ctx); err != nil {
		return nil, r.failed("list", err)
	}
	from := "+"
	if after.ID != "" {
		from = "(" + memberAt(after)
	}
	keys := make([]Key, 0, min(limit, 1000))
	for len(keys) < limit {
		members, err := r.control.ZRevRangeByLex(ctx, r.names.keys(workspace), &redis.ZRangeBy{Min: "-", Max: from, Count: int64(limit - len(keys))}).Result()
		if err != nil {
			return nil, r.failed("list", err)
		}
		if len(members) == 0 {
			break
		}
		if keys, err = r.appendKeys(ctx, keys, workspace, members); err != nil {
			return nil, r.failed("list", err)
		}
		from = "(" + members[len(members)-1]
	}
	return keys, nil
}

// appendKeys reads the records of these members in one step and appends those that are there.
func (r *Redis) appendKeys(ctx context.Context, keys []Key, workspace string, members []string) ([]Key, error) {
	records, err := r.records(ctx, workspace, members)
	if err != nil {
		return nil, err
	}
	for i, record := range records {
		if record == nil {
			continue // deleted between the two reads
		}
		key, _, err := parseRecord(workspace, memberID(members[i]), record)
		if err != nil {
			return nil, fmt.Errorf("key %s of workspace %s: %w", memberID(members[i]), workspace, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// records returns the records of these members, in their order, nil for one that is not there.
func (r *Redis) records(ctx context.Context, workspace string, members []string) ([][]byte, error) {
	recordNames := make([]string, len(members))
	for i, m := range members {
		recordNames[i] = r.names.record(place{workspace, memberID(m)})
	}
	values, err := r.control.MGet(ctx, recordNames...).Result()
	records := make([][]byte, len(values))
	for i, value := range values {
		if text, ok := value.(string); ok {
			records[i] = []byte(text)
		}
	}
	return records, err
}

// UpdateKey replaces the record by a compare-and-set. New digests enter the index before the record names it, so that there never is a key that cannot be found; digests that the
// record no longer names leave the index afterwards.
func (r *Redis) UpdateKey(ctx context.Context, workspace, id string, change func(*Key) error) (Key, error) {
	defer r.changed("update", time.Now())
	p := place{workspace, id}
	for range maxConflicts {
		before, epoch, err := r.read(ctx, p)
		if err != nil {
			return Key{}, r.failed("update", err)
		}
		after := before
		if err := change(&after); err != nil {
			return Key{}, err
		}
		after.ID, after.Workspace, after.CreatedAt, after.LastUsedAt = before.ID, before.Workspace, before.CreatedAt, before.LastUsedAt
		after.Version = before.Version + 1
		after = toMilliseconds(after)
		for _, fresh := range after.digestsBut(&before) {
			err := r.claimDigest(ctx, fresh, p)
			if err == nil {
				err = r.keepFingerprint(ctx, &after, fresh.Fingerprint())
			}
			if err != nil {
				return Key{}, r.failed("update", err)
			}
		}
		done, err := updateScript.Run(ctx, r.control, []string{r.names.record(p), r.names.settings(workspace), r.names.window(p)},
			fmt.Sprintf("%012d", before.Version), appendRecord(nil, &after, epoch), keepFor(after.Limit.Or(&r.defaults.KeyLimit))).Int()
		switch {
		case err != nil:
			return Key{}, r.failed("update", err)
		case done < 0:
			return Key{}, ErrNotFound
		case done == 1:
			r.dropDigests(ctx, p, before.digestsBut(&after))
			return after, nil
		}
		// The digest stays in the index: who was faster may have stored the same one, and without a record that proves it, it means nothing.
	}
	return Key{}, ErrConflict
}

// DeleteKey removes the record, which ends the key at once, and then its index entries.
func (r *Redis) DeleteKey(ctx context.Context, workspace, id string) error {
	defer r.changed("delete", time.Now())
	p := place{workspace, id}
	key, _, err := r.read(ctx, p)
	if errors.Is(err, errBroken) {
		key, err = Key{ID: id, Workspace: workspace}, nil // a damaged key can still be deleted
	}
	if err != nil {
		return r.failed("delete", err)
	}
	if err := r.keepFingerprint(ctx, &key, key.Fingerprint); err != nil {
		return r.failed("delete", err)
	}
	record, err := r.remove(ctx, p, member(&key), Digest{}, "")
	if err == nil && record == nil {
		err = ErrNotFound
	}
	r.dropDigests(ctx, p, recordDigests(record))
	return r.failed("delete", err)
}

// DeleteKeys raises the workspace's epoch.
func (r *Redis) DeleteKeys(ctx context.Context, workspace string) error {
	defer r.changed("delete_all", time.Now())
	if err := r.intact(ctx); err != nil {
		return r.failed("delete_all", err)
	}
	if err := r.control.SAdd(ctx, r.names.sweep(), workspace).Err(); err != nil {
		return r.failed("delete_all", err)
	}
	done, err := deleteAllScript.Run(ctx, r.control, []string{r.names.settings(workspace), r.names.keys(workspace), r.names.dead(workspace)}, r.id).Int()
	if err == nil && done < 0 {
		err = errLost
	}
	if err == nil { // again, as a sweep may have found nothing to do between the two
		err = r.control.SAdd(ctx, r.names.sweep(), workspace).Err()
	}
	return r.failed("delete_all", err)
}

// remove deletes a record, if it has this digest (zero: any) and not this epoch (empty: any), and returns it; nil if there was none.
func (r *Redis) remove(ctx context.Context, p place, member string, digest Digest, epoch string) ([]byte, error) {
	var only []byte
	if digest != (Digest{}) {
		only = digest[:]
	}
	record, err := deleteScript.Run(ctx, r.control,
		[]string{r.names.record(p), r.names.settings(p.workspace), r.names.keys(p.workspace), r.names.window(p)}, member, only, epoch).Text()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	return []byte(record), err
}

// recordDigests returns the digests under which a record can be in the index; none if it is damaged.
func recordDigests(record []byte) []Digest {
	key, _, err := parseRecord("", "", record)
	if err != nil {
		return nil
	}
	return key.digests()
}
