package store

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

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
	batch := embeddedBatch{places: map[string]bool{}, owners: map[Digest]string{}}
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

// Foresee is admit without what follows.
func (e *Embedded) Foresee(ctx context.Context, key *Key) error {
	admitted := *key
	err := e.exclusive(ctx, "find", func() error {
		return e.file.view(func(tx *bbolt.Tx) error {
			return e.admit(tx, &embeddedBatch{places: map[string]bool{}, owners: map[Digest]string{}}, &admitted)
		})
	})
	if err != nil {
		key.ID = admitted.ID
	}
	return err
}

// embeddedBatch is what is imported at once.
type embeddedBatch struct {
	keys   []Key
	places map[string]bool   // WORKSPACE/ID
	owners map[Digest]string // of digests and fingerprints: the places of their keys
}

// admit puts a key into the batch, or returns why it cannot be added.
func (e *Embedded) admit(tx *bbolt.Tx, batch *embeddedBatch, key *Key) error {
	if owner := e.owner(tx, batch, key); owner != "" {
		if workspace, id, _ := strings.Cut(owner, "/"); workspace == key.Workspace {
			key.ID = id
		}
		return ErrExists
	}
	if key.ID == "" {
		key.ID = NewID()
	}
	if !ValidID(key.Workspace) || !ValidID(key.ID) {
		return fmt.Errorf("store: import: %q of %q cannot be a key's id and workspace", key.ID, key.Workspace)
	}
	place := string(nameOf(key))
	if batch.places[place] || tx.Bucket(bucketKeys).Get([]byte(place)) != nil {
		return ErrIDTaken
	}
	batch.places[place] = true
	for _, digest := range append(key.digests(), key.Fingerprint) {
		batch.owners[digest] = place
	}
	added := toMilliseconds(*key)
	added.Version = 1
	batch.keys = append(batch.keys, added)
	return nil
}

// owner returns the place of the key that was imported with the fingerprint of this one, be it deleted since, or that has one of its digests; empty if there is none.
func (e *Embedded) owner(tx *bbolt.Tx, batch *embeddedBatch, key *Key) string {
	if key.Fingerprint != (Digest{}) {
		if owner := cmp.Or(batch.owners[key.Fingerprint], string(tx.Bucket(bucketFingerprints).Get(key.Fingerprint[:]))); owner != "" {
			return owner
		}
	}
	for _, digest := range key.digests() {
		if owner := batch.owners[digest]; owner != "" {
			return owner
		}
		if k := e.index.find(digest); k != nil {
			return string(nameOf(&k.Key))
		}
	}
	return ""
}

// putFingerprint notes that what has this fingerprint was imported as this key. Nothing ever removes that.
func putFingerprint(tx *bbolt.Tx, fingerprint Digest, key *Key) error {
	return tx.Bucket(bucketFingerprints).Put(fingerprint[:], nameOf(key))
}

// putImported writes a key, and its fingerprint.
func (e *Embedded) putImported(tx *bbolt.Tx, key *Key) error {
	if e.workspace(key.Workspace) == nil {
		if err := putWorkspace(tx, &Workspace{ID: key.Workspace}); err != nil {
			return err
		}
	}
	if key.Fingerprint != (Digest{}) {
		if err := putFingerprint(tx, key.Fingerprint, key); err != nil {
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
	if k.gone || !k.found(digest, time.Now()) {
		return Key{}, ErrNotFound
	}
	return k.snapshot(), nil
}

// HasLegacy reports whether any key has a Legacy hash.
func (e *Embedded) HasLegacy() bool { return e.legacy.Load() > 0 }
