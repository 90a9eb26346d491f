package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"time"

	"go.etcd.io/bbolt"
)

// expireSize is how many notes that have ended are removed with each that is written: so many more that only those which have not ended add up.
const expireSize = 10

// Claim stores a note, unless there is one of this name.
func (e *Embedded) Claim(ctx context.Context, name string, value []byte, ttl time.Duration) ([]byte, error) {
	var found *note
	err := e.exclusive(ctx, "claim", func() error {
		var err error
		if found, err = e.note(name); err != nil || found != nil {
			return err
		}
		return e.commit("claim", func(tx *bbolt.Tx) error { return putNote(tx, name, value, ttl) })
	})
	if err != nil || found == nil {
		return nil, err
	}
	return found.Value, nil
}

// Replace stores a note in place of the one that it names.
func (e *Embedded) Replace(ctx context.Context, name string, old, value []byte, ttl time.Duration) (bool, error) {
	replaced := false
	err := e.exclusive(ctx, "replace", func() error {
		found, err := e.note(name)
		if err != nil || found == nil || !bytes.Equal(found.Value, old) {
			return err
		}
		replaced = true
		return e.commit("replace", func(tx *bbolt.Tx) error {
			if value == nil {
				return deleteNote(tx, name)
			}
			return putNote(tx, name, value, ttl)
		})
	})
	return replaced && err == nil, err
}

// note is a note in the file.
type note struct {
	Until int64  `json:"until"` // ms since 1970, exclusively
	Value []byte `json:"value"`
}

// note returns the note of this name, nil if there is none or it has ended.
func (e *Embedded) note(name string) (*note, error) {
	var found *note
	err := e.file.view(func(tx *bbolt.Tx) error {
		n, err := readNote(tx, name)
		if n != nil && time.Now().UnixMilli() < n.Until {
			found = n
		}
		return err
	})
	return found, err
}

// readNote returns the note of this name, be it ended, nil if there is none.
func readNote(tx *bbolt.Tx, name string) (*note, error) {
	sealed := tx.Bucket(bucketNotes).Get([]byte(name))
	if sealed == nil {
		return nil, nil
	}
	var n note
	if err := unseal(name, sealed, &n); err != nil {
		return nil, err
	}
	return &n, nil
}

// putNote writes a note, and removes some that have ended.
func putNote(tx *bbolt.Tx, name string, value []byte, ttl time.Duration) error {
	if err := deleteNote(tx, name); err != nil {
		return err
	}
	if err := expireNotes(tx); err != nil {
		return err
	}
	n := note{Until: time.Now().Add(ttl).UnixMilli(), Value: append([]byte{}, value...)}
	if err := tx.Bucket(bucketNoteEnds).Put(n.end(name), []byte{}); err != nil {
		return err
	}
	return tx.Bucket(bucketNotes).Put([]byte(name), seal([]byte(name), n))
}

// deleteNote removes a note if there is one.
func deleteNote(tx *bbolt.Tx, name string) error {
	n, err := readNote(tx, name)
	if err != nil || n == nil {
		return err
	}
	if err := tx.Bucket(bucketNoteEnds).Delete(n.end(name)); err != nil {
		return err
	}
	return tx.Bucket(bucketNotes).Delete([]byte(name))
}

// expireNotes removes up to expireSize notes that have ended, the oldest first.
func expireNotes(tx *bbolt.Tx) error {
	now := uint64(time.Now().UnixMilli())
	for range expireSize {
		end, _ := tx.Bucket(bucketNoteEnds).Cursor().First()
		if end == nil || binary.BigEndian.Uint64(end) > now {
			return nil
		}
		name := bytes.Clone(end[8:])
		if err := tx.Bucket(bucketNoteEnds).Delete(bytes.Clone(end)); err != nil {
			return err
		}
		if err := tx.Bucket(bucketNotes).Delete(name); err != nil {
			return err
		}
	}
	return nil
}

// end is a note's place in the order in which notes end.
func (n *note) end(name string) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(n.Until)), name...)
}
