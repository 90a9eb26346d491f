package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"sync"

	"go.etcd.io/bbolt"
)

// trimEvery is how many entries of the audit trail are removed at once.
const trimEvery = 100

// pendingEntries are entries of the audit trail that are not in the file. Whoever writes takes all of them: many entries at once need one commit.
type pendingEntries struct {
	mu      sync.Mutex
	entries []*pendingEntry
}

type pendingEntry struct {
	Entry
	done bool // with err; under the store's writing
	err  error
}

func (p *pendingEntries) add(entry *pendingEntry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.entries = append(p.entries, entry)
}

func (p *pendingEntries) takeAll() []*pendingEntry {
	p.mu.Lock()
	defer p.mu.Unlock()
	entries := p.entries
	p.entries = nil
	return entries
}

// Record appends an entry to the audit trail. What it has begun it brings to its end, whatever becomes of ctx, as another may be waiting for the same commit.
func (e *Embedded) Record(ctx context.Context, entry Entry) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("store: record: %w", err)
	}
	own := &pendingEntry{Entry: entry}
	e.journal.add(own)
	return e.exclusive(context.WithoutCancel(ctx), "record", func() error {
		if own.done {
			return own.err
		}
		entries := e.journal.takeAll()
		err := e.commit("record", func(tx *bbolt.Tx) error { return putEntries(tx, entries) })
		for _, entry := range entries {
			entry.done, entry.err = true, err
		}
		return err
	})
}

func putEntries(tx *bbolt.Tx, entries []*pendingEntry) error {
	bucket := tx.Bucket(bucketJournal)
	for _, entry := range entries {
		number, err := bucket.NextSequence()
		if err != nil {
			return err
		}
		name := binary.BigEndian.AppendUint64(nil, number)
		err = bucket.Put(name, seal(name, entryRecord{
			Time: millis(entry.Time), Actor: entry.Actor, Action: entry.Action, Workspace: entry.Workspace, KeyID: entry.KeyID, Address: entry.Address,
		}))
		if err != nil {
			return err
		}
		if number%trimEvery == 0 {
			if err := trimJournal(bucket); err != nil {
				return err
			}
		}
	}
	return nil
}

// trimJournal removes what is older than the newest JournalLength entries.
func trimJournal(bucket *bbolt.Bucket) error {
	cursor := bucket.Cursor()
	for name, _ := cursor.First(); name != nil && binary.BigEndian.Uint64(name) < oldestEntry(bucket); name, _ = cursor.First() {
		if err := cursor.Delete(); err != nil {
			return err
		}
	}
	return nil
}

// oldestEntry returns the number of the oldest entry that is still shown.
func oldestEntry(bucket *bbolt.Bucket) uint64 {
	return max(bucket.Sequence(), JournalLength) - JournalLength + 1
}

// Entries returns a page of the audit trail.
func (e *Embedded) Entries(_ context.Context, before string, limit int) ([]Entry, error) {
	end := ^uint64(0)
	if before != "" {
		number, err := strconv.ParseUint(before, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("store: entries: %q is no entry's id", before)
		}
		end = number
	}
	var entries []Entry
	err := e.file.view(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(bucketJournal)
		oldest, cursor := oldestEntry(bucket), bucket.Cursor()
		newest := cursor.Prev
		if at, _ := cursor.Seek(binary.BigEndian.AppendUint64(nil, end)); at == nil {
			newest = cursor.Last
		}
		for name, sealed := newest(); name != nil && binary.BigEndian.Uint64(name) >= oldest && len(entries) < limit; name, sealed = cursor.Prev() {
			entry, err := parseEntry(name, sealed)
			if err != nil {
				return fmt.Errorf("entry %d of the audit trail: %w", binary.BigEndian.Uint64(name), err)
			}
			entries = append(entries, entry)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("store: entries: %w", err)
	}
	return entries, nil
}

// entryRecord is an entry of the audit trail in the file.
type entryRecord struct {
	Time      int64  `json:"time"`
	Actor     string `json:"actor"`
	Action    string `json:"action"`
	Workspace string `json:"workspace,omitempty"`
	KeyID     string `json:"key_id,omitempty"`
	Address   string `json:"address,omitempty"`
}

func parseEntry(name, sealed []byte) (Entry, error) {
	var record entryRecord
	if err := unseal(string(name), sealed, &record); err != nil {
		return Entry{}, err
	}
	return Entry{
		ID: fmt.Sprintf("%020d", binary.BigEndian.Uint64(name)), Time: timeOf(record.Time),
		Actor: record.Actor, Action: record.Action, Workspace: record.Workspace, KeyID: record.KeyID, Address: record.Address,
	}, nil
}
