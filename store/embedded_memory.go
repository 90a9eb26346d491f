package store

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// What an embedded store holds in memory. Whoever changes it is within exclusive, after the file was written.

// add enters new keys into memory.
func (e *Embedded) add(keys ...Key) {
	fresh := map[string][]*embeddedKey{}
	for i := range keys {
		name := keys[i].Workspace
		fresh[name] = append(fresh[name], newEmbeddedKey(&keys[i]))
	}
	e.openWorkspaces(slices.Sorted(maps.Keys(fresh)))
	for name, list := range fresh {
		w := e.workspace(name)
		w.insert(list)
		for _, k := range list {
			e.enter(k)
		}
	}
}

// enter makes a key that is in its workspace known to checks.
func (e *Embedded) enter(k *embeddedKey) {
	e.legacy.Add(k.legacy())
	e.index.enter(k, k.digests())
}

// replace changes a key of memory. A new digest is found before the key answers to it, an old one until the key no longer does.
func (e *Embedded) replace(k *embeddedKey, after *Key) {
	e.index.enter(k, after.digests())
	left := k.digestsBut(after)
	k.workspace.mu.Lock()
	wasLegacy := k.legacy()
	k.Key = *after
	k.workspace.mu.Unlock()
	e.legacy.Add(k.legacy() - wasLegacy)
	e.index.drop(left)
}

// remove takes a key out of memory.
func (e *Embedded) remove(k *embeddedKey) {
	w := k.workspace
	w.mu.Lock()
	k.gone = true
	delete(w.keys, k.ID)
	i, _ := w.place(Position{k.CreatedAt, k.ID})
	w.order = slices.Delete(w.order, i, i+1)
	w.mu.Unlock()
	e.legacy.Add(-k.legacy())
	e.index.drop(k.digests())
}

// removeAll takes all keys of a workspace out of memory, in one step for checks.
func (e *Embedded) removeAll(w *embeddedWorkspace) {
	w.mu.Lock()
	gone := w.order
	for _, k := range gone {
		k.gone = true
	}
	w.order = nil
	clear(w.keys)
	w.mu.Unlock()
	for _, k := range gone {
		e.legacy.Add(-k.legacy())
		e.index.drop(k.digests())
	}
}

// insert puts new keys into their places.
func (w *embeddedWorkspace) insert(keys []*embeddedKey) {
	slices.SortFunc(keys, func(a, b *embeddedKey) int { return a.compare(b.position()) })
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, k := range keys {
		k.workspace = w
		w.keys[k.ID] = k
	}
	w.order = merge(w.order, keys, func(k, other *embeddedKey) int { return k.compare(other.position()) })
}

// place returns where a position is, or would be, in the order of the workspace's keys.
func (w *embeddedWorkspace) place(at Position) (int, bool) {
	return slices.BinarySearchFunc(w.order, at, (*embeddedKey).compare)
}

func (k *embeddedKey) position() Position { return Position{k.CreatedAt, k.ID} }

func (k *embeddedKey) compare(at Position) int {
	return cmp.Or(k.CreatedAt.Compare(at.CreatedAt), strings.Compare(k.ID, at.ID))
}

// legacy is 1 for a key with a Legacy hash, else 0.
func (k *embeddedKey) legacy() int64 {
	if k.Legacy.Hash == "" {
		return 0
	}
	return 1
}

// merge puts fresh, which is sorted, into sorted. It moves each element of sorted at most once, and in bulk: one by one, a million insertions would take minutes.
func merge[T any](sorted, fresh []T, compare func(T, T) int) []T {
	end := len(sorted)
	sorted = append(sorted, fresh...)
	for n := len(fresh); n > 0; n-- {
		i, _ := slices.BinarySearchFunc(sorted[:end], fresh[n-1], compare)
		copy(sorted[i+n:], sorted[i:end])
		sorted[i+n-1] = fresh[n-1]
		end = i
	}
	return sorted
}
