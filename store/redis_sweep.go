package store

import (
	"context"
	"time"
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

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
