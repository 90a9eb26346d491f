package store

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// repair writes back the index entries of all keys that have lost theirs: a replica that took over had not heard of them yet, or a creation was cut off before them.
func (r *Redis) repair(ctx context.Context) error {
	for after := ""; ; {
		workspaces, err := r.workspaceIDs(ctx, after, sweepPage)
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
