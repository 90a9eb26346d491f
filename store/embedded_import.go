package store

import (
	"context"
	"fmt"
	"strings"

	"go.etcd.io/bbolt"
)

// importSize is the number of keys that are imported at once, so that other changes do not have to wait long.
const importSize = 1_000

// Import adds keys that were made elsewhere.
func (e *Embedded) Import(ctx context.Context, keys []Key) []error {
	errs := make([]error, len(keys))
	for first := 0; first < len(keys); first += importSize {
		end := min(len(keys), first+importSize)
		err := e.exclusive(ctx, "import", func() error { return e.importSome(keys[first:end], errs[first:end]) })
		if err != nil {
			for i := range errs[first:end] {
				errs[first+i] = err
			}
		}
	}
	return errs
}

// importSome adds those of the keys that can be added, in one commit, and says in errs of each of the others why not. If it returns an error, none was added.
func (e *Embedded) importSome(keys []Key, errs []error) error {
	batch := embeddedBatch{names: map[string]bool{}, digests: map[Digest]bool{}, fingerprints: map[Digest]string{}}
	err := e.file.view(func(tx *bbolt.Tx) error {
		for i := range keys {
			errs[i] = e.admit(tx, &batch, &keys[i])
		}
		return nil
	})
	if err != nil || len(batch.keys) == 0 {
		return err
	}
	err = e.commit("import", func(tx *bbolt.Tx) error {
		for i := range batch.keys {
			if err := e.putImported(tx, &batch.keys[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		e.add(batch.keys...)
	}
	return err
}

// embeddedBatch is what is imported at once.
type embeddedBatch struct {
	keys         []Key
	names        map[string]bool // WORKSPACE/ID
	digests      map[Digest]bool
	fingerprints map[Digest]string // to names
}

// admit puts a key into the batch, or returns why it cannot be added.
func (e *Embedded) admit(tx *bbolt.Tx, batch *embeddedBatch, key *Key) error {
	if name := batch.imported(tx, key.Fingerprint); name != "" {
		_, key.ID, _ = strings.Cut(name, "/")
		return ErrExists
	}
	if key.ID == "" {
		key.ID = NewID()
	}
	if !ValidID(key.Workspace) || !ValidID(key.ID) {
		return fmt.Errorf("store: import: %q of %q cannot be a key's id and workspace", key.ID, key.Workspace)
	}
	name := string(nameOf(key))
	if batch.names[name] || tx.Bucket(bucketKeys).Get(nameOf(key)) != nil || e.index.taken(key, nil) {
		return ErrExists
	}
	digests := key.digests()
	for _, digest := range digests {
		if batch.digests[digest] {
			return ErrExists
		}
	}
	for _, digest := range digests {
		batch.digests[digest] = true
	}
	batch.names[name] = true
	if key.Fingerprint != (Digest{}) {
		batch.fingerprints[key.Fingerprint] = name
	}
	added := toMilliseconds(*key)
	added.Version = 1
	batch.keys = append(batch.keys, added)
	return nil
}

// imported returns the WORKSPACE/ID that the key of this fingerprint has or had; empty if it was never imported, or the fingerprint is zero.
func (b *embeddedBatch) imported(tx *bbolt.Tx, fingerprint Digest) string {
	if fingerprint == (Digest{}) {
		return ""
	}
	if name := b.fingerprints[fingerprint]; name != "" {
		return name
	}
	return string(tx.Bucket(bucketFingerprints).Get(fingerprint[:]))
}

// putImported writes a key, and its fingerprint, which nothing ever removes.
func (e *Embedded) putImported(tx *bbolt.Tx, key *Key) error {
	if e.workspace(key.Workspace) == nil {
		if err := putWorkspace(tx, &Workspace{ID: key.Workspace}); err != nil {
			return err
		}
	}
	if key.Fingerprint != (Digest{}) {
		if err := tx.Bucket(bucketFingerprints).Put(key.Fingerprint[:], nameOf(key)); err != nil {
			return err
		}
	}
	return putKey(tx, key)
}

// Find returns the key of this digest.
func (e *Embedded) Find(_ context.Context, digest Digest) (Key, error) {
	k := e.index.find(digest)
	if k == nil {
		return Key{}, ErrNotFound
	}
	k.workspace.mu.Lock()
	defer k.workspace.mu.Unlock()
	if k.gone || k.Digest != digest {
		return Key{}, ErrNotFound
	}
	return k.snapshot(), nil
}

// HasLegacy reports whether any key has a Legacy hash.
func (e *Embedded) HasLegacy() bool { return e.legacy.Load() > 0 }
