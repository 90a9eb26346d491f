package store

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// The sweep removes what deleting a whole workspace has left behind. Nothing waits for it: what it removes is dead already. The repair writes back what the index has lost.
const (
	sweepEvery  = time.Minute      // looks for workspaces with dead keys
	repairEvery = 10 * time.Minute // one of all instances looks through all keys; a million take 6 minutes of it, in which Redis is busy for a hundredth
	sweepPage   = 200              // keys a step; a step takes some milliseconds of Redis
	sweepPause  = 50 * time.Millisecond
)

func (r *Redis) sweepForever(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := r.sweep(ctx); err != nil && ctx.Err() == nil {
				r.logger.Warn("sweep of deleted keys interrupted", "error", err)
			}
			held, err := r.Claim(ctx, "repair", []byte(r.id), repairEvery)
			if held == nil && err == nil {
				err = r.repair(ctx)
			}
			if err != nil && ctx.Err() == nil {
				r.logger.Warn("repair of the index interrupted", "error", err)
			}
		}
	}
}

// sweep removes the dead keys of all workspaces that have some.
func (r *Redis) sweep(ctx context.Context) error {
	workspaces, err := r.control.SMembers(ctx, r.names.sweep()).Result()
	if err != nil {
		return err
	}
	for _, workspace := range workspaces {
		if err := r.sweepWorkspace(ctx, workspace); err != nil {
			return err
		}
	}
	return nil
}

func (r *Redis) sweepWorkspace(ctx context.Context, workspace string) error {
	for {
		s, err := r.readSettings(ctx, workspace)
		if err != nil {
			return err
		}
		members, err := r.control.ZRange(ctx, r.names.dead(workspace), 0, sweepPage-1).Result()
		if err != nil {
			return err
		}
		if len(members) == 0 {
			return r.control.SRem(ctx, r.names.sweep(), workspace).Err()
		}
		for _, m := range members {
			p := place{workspace, memberID(m)}
			record, err := r.remove(ctx, p, m, Digest{}, s.epoch) // nothing if a key has come into the place since
			if err != nil {
				return err
			}
			r.dropDigests(ctx, p, recordDigests(record))
			if err := r.control.ZRem(ctx, r.names.dead(workspace), m).Err(); err != nil {
				return err
			}
		}
		if err := pause(ctx, sweepPause); err != nil {
			return err
		}
	}
}

// repair writes back the index entries of all keys that have lost theirs: a replica that took over had not heard of them yet, or a creation was cut off before them.
func (r *Redis) repair(ctx context.Context) error {
	for after := ""; ; {
		workspaces, err := r.control.ZRangeByLex(ctx, r.names.workspaces(), &redis.ZRangeBy{Min: "(" + after, Max: "+", Count: sweepPage}).Result()
		if err != nil || len(workspaces) == 0 {
			return err
		}
		for _, after = range workspaces {
			if err := r.repairWorkspace(ctx, after); err != nil {
				return err
			}
		}
	}
}

func (r *Redis) repairWorkspace(ctx context.Context, workspace string) error {
	for from := "-"; ; {
		members, err := r.control.ZRangeByLex(ctx, r.names.keys(workspace), &redis.ZRangeBy{Min: from, Max: "+", Count: sweepPage}).Result()
		if err != nil || len(members) == 0 {
			return err
		}
		from = "(" + members[len(members)-1]
		if err := r.repairPage(ctx, workspace, members); err != nil {
			return err
		}
		if err := pause(ctx, sweepPause*time.Duration(len(members))/sweepPage); err != nil {
			return err
		}
	}
}

// repairPage writes back what is missing of these keys. A key that is deleted meanwhile may leave an entry that means nothing.
func (r *Redis) repairPage(ctx context.Context, workspace string, members []string) error {
	records, err := r.records(ctx, workspace, members)
	if err != nil {
		return err
	}
	type entry struct {
		p      place
		digest Digest
		held   *redis.StringCmd
	}
	var entries []entry
	pipeline := r.control.Pipeline()
	for i, record := range records {
		for _, d := range recordDigests(record) {
			entries = append(entries, entry{place{workspace, memberID(members[i])}, d, pipeline.HGet(ctx, r.names.bucketOf(d).name, string(d[:]))})
		}
	}
	if _, err := pipeline.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	for _, e := range entries {
		if e.held.Val() == e.p.String() {
			continue
		}
		switch err := r.claimDigest(ctx, e.digest, e.p); {
		case err == nil:
			r.logger.Warn("index entry was missing", "workspace", e.p.workspace, "key_id", e.p.id)
		case !errors.Is(err, ErrExists): // then another key has this digest, and keeps it
			return err
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
