package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

// Create adds a key, and its workspace if it is the first of it.
func (e *Embedded) Create(ctx context.Context, key Key) (Key, error) {
	if !ValidID(key.Workspace) || !ValidID(key.ID) {
		return Key{}, fmt.Errorf("store: create: %q of %q cannot be a key's id and workspace", key.ID, key.Workspace)
	}
	key.Version = 1
	key = toMilliseconds(key)
	err := e.exclusive(ctx, "create", func() error {
		w := e.workspace(key.Workspace)
		if e.index.taken(&key, nil) || (w != nil && w.keys[key.ID] != nil) {
			return ErrExists
		}
		err := e.commit("create", func(tx *bbolt.Tx) error {
			if w == nil {
				if err := putWorkspace(tx, &Workspace{ID: key.Workspace}); err != nil {
					return err
				}
			}
			return putKey(tx, &key)
		})
		if err == nil {
			e.add(key)
		}
		return err
	})
	if err != nil {
		return Key{}, err
	}
	return key, nil
}

// Key returns one key.
func (e *Embedded) Key(_ context.Context, workspace, id string) (Key, error) {
	_, key, err := e.find(workspace, id)
	return key, err
}

// ListKeys returns a page of the workspace's keys.
func (e *Embedded) ListKeys(_ context.Context, workspace string, after Position, limit int) ([]Key, error) {
	w := e.workspace(workspace)
	if w == nil {
		return nil, nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	end := len(w.order)
	if after != (Position{}) {
		end, _ = w.place(after)
	}
	first := max(0, end-max(0, limit))
	keys := make([]Key, 0, end-first)
	for _, k := range slices.Backward(w.order[first:end]) {
		keys = append(keys, k.snapshot())
	}
	return keys, nil
}

// UpdateKey replaces a key. Changes come one after the other here, so change runs once.
func (e *Embedded) UpdateKey(ctx context.Context, workspace, id string, change func(*Key) error) (Key, error) {
	var after Key
	err := e.exclusive(ctx, "update", func() error {
		k, before, err := e.find(workspace, id)
		if err != nil {
			return err
		}
		after = before
		if err := change(&after); err != nil {
			return err
		}
		after.ID, after.Workspace, after.CreatedAt, after.LastUsedAt = before.ID, before.Workspace, before.CreatedAt, before.LastUsedAt
		after.Version = before.Version + 1
		after = toMilliseconds(after)
		if e.index.taken(&after, k) {
			return ErrExists
		}
		err = e.commit("update", func(tx *bbolt.Tx) error {
			if after.Fingerprint != (Digest{}) { // an export tells the new digests
				for _, fresh := range after.digestsBut(&before) {
					if err := putFingerprint(tx, fresh.Fingerprint(), &after); err != nil {
						return err
					}
				}
			}
			return putKey(tx, &after)
		})
		if err == nil {
			e.replace(k, &after)
		}
		return err
	})
	if err != nil {
		return Key{}, err
	}
	return after, nil
}

// DeleteKey removes a key.
func (e *Embedded) DeleteKey(ctx context.Context, workspace, id string) error {
	return e.exclusive(ctx, "delete", func() error {
		k, _, err := e.find(workspace, id)
		if err != nil {
			return err
		}
		err = e.commit("delete", func(tx *bbolt.Tx) error { return deleteKey(tx, &k.Key) })
		if err == nil {
			e.remove(k)
		}
		return err
	})
}

// DeleteKeys removes all keys of a workspace.
func (e *Embedded) DeleteKeys(ctx context.Context, workspace string) error {
	return e.exclusive(ctx, "delete_all", func() error {
		w := e.workspace(workspace)
		if w == nil || len(w.order) == 0 {
			return nil
		}
		err := e.commit("delete_all", func(tx *bbolt.Tx) error {
			for _, k := range w.order {
				if err := deleteKey(tx, &k.Key); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil {
			e.removeAll(w)
		}
		return err
	})
}

// find returns a key of memory and what it is now.
func (e *Embedded) find(workspace, id string) (*embeddedKey, Key, error) {
	w := e.workspace(workspace)
	if w == nil {
		return nil, Key{}, ErrNotFound
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	k := w.keys[id]
	if k == nil {
		return nil, Key{}, ErrNotFound
	}
	return k, k.snapshot(), nil
}

// toMilliseconds returns the key with its times as they are stored.
func toMilliseconds(key Key) Key {
	for _, t := range []*time.Time{&key.PreviousUntil, &key.ExpiresAt, &key.CreatedAt, &key.LastUsedAt} {
		*t = timeOf(millis(*t))
	}
	return key
}

// millis returns t in ms since 1970, rounded down; 0 for no time.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func timeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
