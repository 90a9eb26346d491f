package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/bbolt"
)

// Workspace returns a workspace.
func (e *Embedded) Workspace(_ context.Context, id string) (Workspace, error) {
	w := e.workspace(id)
	if w == nil {
		return Workspace{ID: id}, nil
	}
	return w.snapshot(), nil
}

// ListWorkspaces returns a page of workspaces in the order of their ids.
func (e *Embedded) ListWorkspaces(_ context.Context, after string, limit int) ([]Workspace, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	first, found := slices.BinarySearch(e.names, after)
	if found {
		first++
	}
	end := min(len(e.names), first+max(0, limit))
	list := make([]Workspace, 0, end-first)
	for _, name := range e.names[first:end] {
		list = append(list, e.workspaces[name].snapshot())
	}
	return list, nil
}

// UpdateWorkspace replaces the settings of a workspace. Changes come one after the other here, so change runs once.
func (e *Embedded) UpdateWorkspace(ctx context.Context, id string, change func(*Workspace) error) (Workspace, error) {
	if !ValidID(id) {
		return Workspace{}, fmt.Errorf("store: update_workspace: %q cannot be a workspace's id", id)
	}
	var after Workspace
	err := e.exclusive(ctx, "update_workspace", func() error {
		before, err := e.Workspace(ctx, id)
		if err != nil {
			return err
		}
		after = before
		if err := change(&after); err != nil {
			return err
		}
		after.ID, after.Keys, after.Version = id, before.Keys, before.Version+1
		err = e.commit("update_workspace", func(tx *bbolt.Tx) error { return putWorkspace(tx, &after) })
		if err != nil {
			return err
		}
		w := e.openWorkspace(id)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.settings = after
		return nil
	})
	if err != nil {
		return Workspace{}, err
	}
	return after, nil
}

// openWorkspace returns the workspace of this id in memory, and makes it if there is none.
func (e *Embedded) openWorkspace(id string) *embeddedWorkspace {
	e.openWorkspaces([]string{id})
	return e.workspace(id)
}

// openWorkspaces makes the workspaces that are not in memory yet. The ids are in order, each once.
func (e *Embedded) openWorkspaces(ids []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var fresh []string
	for _, id := range ids {
		if e.workspaces[id] == nil {
			e.workspaces[id] = &embeddedWorkspace{settings: Workspace{ID: id}, keys: map[string]*embeddedKey{}}
			fresh = append(fresh, id)
		}
	}
	e.names = merge(e.names, fresh, strings.Compare)
}

// snapshot returns the workspace as it is now.
func (w *embeddedWorkspace) snapshot() Workspace {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.settings
	s.Keys = len(w.keys)
	return s
}
