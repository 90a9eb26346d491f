package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Workspace returns a workspace's settings and its number of keys.
func (r *Redis) Workspace(ctx context.Context, id string) (Workspace, error) {
	defer r.metrics.observe("workspace", time.Now())
	s, err := r.readSettings(ctx, id)
	return s.Workspace, r.failed("workspace", err)
}

// readSettings returns the settings as they are now; fresh ones of version 0 if there are none.
func (r *Redis) readSettings(ctx context.Context, id string) (settings, error) {
	pipeline := r.control.Pipeline()
	text := pipeline.Get(ctx, r.names.settings(id))
	keys := pipeline.ZCard(ctx, r.names.keys(id))
	if _, err := pipeline.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return settings{}, err
	}
	if errors.Is(text.Err(), redis.Nil) {
		return settings{Workspace: Workspace{ID: id}, epoch: firstEpoch}, r.intact(ctx)
	}
	s, err := parseSettings(id, r.id, []byte(text.Val()))
	s.Keys = int(keys.Val())
	return s, err
}

// ListWorkspaces returns a page of workspaces in the order of their ids.
func (r *Redis) ListWorkspaces(ctx context.Context, after string, limit int) ([]Workspace, error) {
	defer r.metrics.observe("list_workspaces", time.Now())
	if err := r.intact(ctx); err != nil {
		return nil, r.failed("list_workspaces", err)
	}
	ids, err := r.workspaceIDs(ctx, after, limit)
	if err != nil {
		return nil, r.failed("list_workspaces", err)
	}
	list := make([]Workspace, 0, len(ids))
	for _, id := range ids {
		s, err := r.readSettings(ctx, id)
		if err != nil {
			return nil, r.failed("list_workspaces", err)
		}
		list = append(list, s.Workspace)
	}
	return list, nil
}

// workspaceIDs returns up to limit ids of workspaces that come after this one, in their order.
func (r *Redis) workspaceIDs(ctx context.Context, after string, limit int) ([]string, error) {
	return r.control.ZRangeByLex(ctx, r.names.workspaces(), &redis.ZRangeBy{Min: "(" + after, Max: "+", Count: int64(limit)}).Result()
}

// UpdateWorkspace replaces the settings by a compare-and-set.
func (r *Redis) UpdateWorkspace(ctx context.Context, id string, change func(*Workspace) error) (Workspace, error) {
	defer r.changed("update_workspace", time.Now())
	for range maxConflicts {
		before, err := r.readSettings(ctx, id)
		if err != nil {
			return Workspace{}, r.failed("update_workspace", err)
		}
		after := before
		if err := change(&after.Workspace); err != nil {
			return Workspace{}, err
		}
		after.ID, after.Keys, after.Version = before.ID, before.Keys, before.Version+1
		if err := r.intact(ctx); err != nil {
			return Workspace{}, r.failed("update_workspace", err)
		}
		if err := r.control.ZAdd(ctx, r.names.workspaces(), redis.Z{Member: id}).Err(); err != nil {
			return Workspace{}, r.failed("update_workspace", err)
		}
		done, err := settingsScript.Run(ctx, r.control, []string{r.names.settings(id), r.names.of(id, "w")},
			r.id, fmt.Sprintf("%012d", before.Version), appendSettings(nil, r.id, &after), keepFor(after.Limit.Or(&r.defaults.WorkspaceLimit))).Int()
		switch {
		case err != nil:
			return Workspace{}, r.failed("update_workspace", err)
		case done < 0:
			return Workspace{}, r.failed("update_workspace", errLost)
		case done == 1:
			return after.Workspace, nil
		}
	}
	return Workspace{}, ErrConflict
}
