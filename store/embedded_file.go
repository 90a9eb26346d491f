package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

// The file of an embedded store is a bbolt database. Its buckets, and what stands in them:
//
//	keys          WORKSPACE/ID         the key, sealed
//	used          WORKSPACE/ID         its time of last use, apart because it changes so much more often
//	fingerprints  of an imported key   WORKSPACE/ID, also after the key was deleted
//	workspaces    WORKSPACE            its settings, sealed
//	journal       a number, ascending  an entry of the audit trail, sealed
//	notes         the note's name      the note, sealed
//	note_ends     its end and name     nothing: the order in which notes end
//	usage         day, WORKSPACE/ID    how often a key was used on a day, by the hour (usage.go)
//
// Times and numbers are 8 bytes, big-endian. For sealed, see seal.
var (
	bucketKeys         = []byte("keys")
	bucketUsed         = []byte("used")
	bucketFingerprints = []byte("fingerprints")
	bucketWorkspaces   = []byte("workspaces")
	bucketJournal      = []byte("journal")
	bucketNotes        = []byte("notes")
	bucketNoteEnds     = []byte("note_ends")
	bucketUsage        = []byte("usage")
)

// keyFile is the file of an embedded store. It is not safe for concurrent use.
type keyFile struct {
	db     *bbolt.DB
	broken error // why nothing may be written any more
}

func openKeyFile(dir string) (*keyFile, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the data directory: %w", err)
	}
	return openDatabase(dir, &bbolt.Options{FreelistType: bbolt.FreelistMapType}, func(f *keyFile) error {
		return errors.Join(f.commit(makeBuckets), syncDir(dir))
	})
}

// openDatabase opens the file in a directory and begins.
func openDatabase(dir string, options *bbolt.Options, begin func(*keyFile) error) (*keyFile, error) {
	path := filepath.Join(dir, "keys.db")
	options.Timeout = time.Second // waiting for another process
	var f *keyFile
	err := undamaged(path, "opening", func() error {
		db, err := bbolt.Open(path, 0o600, options)
		if err != nil {
			return err
		}
		f = &keyFile{db: db}
		return begin(f)
	})
	switch {
	case errors.Is(err, bbolterrors.ErrTimeout):
		return nil, fmt.Errorf("%s is %w: stop it, or give this one another --data-dir, or use --redis-url to run several", path, ErrInUse)
	case err != nil && f != nil:
		return nil, errors.Join(err, f.db.Close())
	case err != nil:
		return nil, err
	}
	return f, nil
}

func makeBuckets(tx *bbolt.Tx) error {
	for _, name := range [][]byte{bucketKeys, bucketUsed, bucketFingerprints, bucketWorkspaces, bucketJournal, bucketNotes, bucketNoteEnds, bucketUsage} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	return nil
}

// undamaged does something with the key file, and turns what becomes of reading a damaged one, panics of bbolt and memory faults of a file that is too short, into errors.
func undamaged(path, doing string, do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("the key file %s is damaged, restore it from a backup: %v", path, fault)
		}
	}()
	if err := do(); err != nil {
		return fmt.Errorf("%s the key file %s: %w", doing, path, err)
	}
	return nil
}

// syncDir makes the existence of a new file durable; a file's own fsync does not.
func syncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil // has no such thing
	}
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// commit writes all or nothing, durably when it returns nil.
//
// When the commit itself fails, what is on the disk is not known: after a failed fsync the system may take for written what is not, and later ones succeed. So nothing is written
// any more until the file has been opened anew; likewise when the file turns out to be damaged meanwhile. The exception is a full disk that left the last commit in force: the pages that could not be written belong to nobody.
func (f *keyFile) commit(write func(*bbolt.Tx) error) error {
	if f.broken != nil {
		return fmt.Errorf("no changes are possible until tpgate is restarted, because writing %s has failed: %w", f.db.Path(), f.broken)
	}
	broken := true // unless it comes to an end
	err := undamaged(f.db.Path(), "writing", func() error {
		tx, err := f.db.Begin(true)
		if err != nil {
			broken = false
			return err
		}
		defer tx.Rollback() // does nothing after a commit
		id := tx.ID()
		if err := write(tx); err != nil {
			broken = false
			return err
		}
		err = tx.Commit()
		broken = err != nil && (!isFull(err) || !f.holdsBefore(id))
		return err
	})
	if broken {
		f.broken = err
	}
	return err
}

// view reads what was committed last. It may run beside everything else but Close.
func (f *keyFile) view(read func(*bbolt.Tx) error) error {
	return undamaged(f.db.Path(), "reading", func() error { return f.db.View(read) })
}

func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

// holdsBefore reports whether the file is readable and as it was before the transaction of this id.
func (f *keyFile) holdsBefore(id int) bool {
	last := id
	err := f.db.View(func(tx *bbolt.Tx) error {
		last = tx.ID()
		return nil
	})
	return err == nil && last < id
}

// load enters all that the file holds into the memory of e.
func (f *keyFile) load(e *Embedded) error {
	return f.db.View(func(tx *bbolt.Tx) error {
		if tx.Bucket(bucketKeys) == nil {
			return nil // read-only: the process that made the file ended before it made the buckets
		}
		err := tx.Bucket(bucketWorkspaces).ForEach(func(name, value []byte) error {
			w, err := parseWorkspaceRecord(string(name), value)
			if err != nil {
				return fmt.Errorf("the workspace %s: %w", name, err)
			}
			e.openWorkspace(w.ID).settings = w
			return nil
		})
		if err != nil {
			return err
		}
		used := tx.Bucket(bucketUsed)
		var list []*embeddedKey // of one workspace: they stand together
		err = tx.Bucket(bucketKeys).ForEach(func(name, value []byte) error {
			key, err := parseKeyRecord(string(name), value)
			if err != nil {
				return fmt.Errorf("the key %s: %w", name, err)
			}
			if e.index.taken(&key, nil) {
				return fmt.Errorf("the key %s has the secret of another key", name)
			}
			if ms := used.Get(name); len(ms) == 8 {
				key.LastUsedAt = timeOf(int64(binary.BigEndian.Uint64(ms)))
			}
			k := newEmbeddedKey(&key)
			if len(list) > 0 && list[0].Workspace != key.Workspace {
				e.openWorkspace(list[0].Workspace).insert(list)
				list = nil
			}
			list = append(list, k)
			e.enter(k)
			return nil
		})
		if len(list) > 0 {
			e.openWorkspace(list[0].Workspace).insert(list)
		}
		return err
	})
}

func nameOf(key *Key) []byte { return []byte(key.Workspace + "/" + key.ID) }

func putKey(tx *bbolt.Tx, key *Key) error {
	record := keyRecord{
		Name: key.Name, Hint: key.Hint, Digest: key.Digest[:], Limit: key.Limit.String(), Disabled: key.Disabled, Version: key.Version,
		CreatedAt: millis(key.CreatedAt), ExpiresAt: millis(key.ExpiresAt), PreviousUntil: millis(key.PreviousUntil), Previous: key.Previous.orNone(),
		LegacyLookup: key.Legacy.Lookup, LegacyHash: key.Legacy.Hash, Fingerprint: key.Fingerprint.orNone(),
	}
	if err := tx.Bucket(bucketKeys).Put(nameOf(key), seal(nameOf(key), record)); err != nil {
		return err
	}
	return putUsed(tx, key, millis(key.LastUsedAt))
}

func putUsed(tx *bbolt.Tx, key *Key, ms int64) error {
	if ms == 0 {
		return nil
	}
	return tx.Bucket(bucketUsed).Put(nameOf(key), binary.BigEndian.AppendUint64(nil, uint64(ms)))
}

func deleteKey(tx *bbolt.Tx, key *Key) error {
	return errors.Join(tx.Bucket(bucketKeys).Delete(nameOf(key)), tx.Bucket(bucketUsed).Delete(nameOf(key)))
}

func putWorkspace(tx *bbolt.Tx, w *Workspace) error {
	record := workspaceRecord{Limit: w.Limit.String(), Suspended: w.Suspended, Version: w.Version}
	return tx.Bucket(bucketWorkspaces).Put([]byte(w.ID), seal([]byte(w.ID), record))
}
