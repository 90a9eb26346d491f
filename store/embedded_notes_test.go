package store_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"tpgate/store"
)

// length returns how many records a bucket of the file has.
func length(t *testing.T, dir, bucket string) int {
	t.Helper()
	n := 0
	inFile(t, dir, func(tx *bbolt.Tx) error {
		n = tx.Bucket([]byte(bucket)).Stats().KeyN
		return nil
	})
	return n
}

func TestEmbeddedKeepsJournalAndNotes(t *testing.T) {
	dir := t.TempDir()
	s := openEmbedded(t, dir)
	entry := store.Entry{Time: time.Now().UTC().Truncate(time.Millisecond), Actor: "admin", Action: "key.create", Workspace: "a", KeyID: "k", Address: "192.0.2.1:1"}
	if err := s.Record(t.Context(), entry); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Claim(t.Context(), "name", []byte("value"), time.Hour); err != nil {
		t.Fatal(err)
	}
	closeEmbedded(t, s)

	s = openEmbedded(t, dir)
	defer closeEmbedded(t, s)
	if err := s.Record(t.Context(), store.Entry{Action: "second"}); err != nil {
		t.Fatal(err)
	}
	entries, err := s.Entries(t.Context(), "", 10)
	if err != nil || len(entries) != 2 || entries[0].Action != "second" || entries[1].ID >= entries[0].ID {
		t.Fatalf("the entries are %+v (error %v)", entries, err)
	}
	entry.ID = entries[1].ID
	if entries[1] != entry {
		t.Errorf("the entry is %+v, want %+v", entries[1], entry)
	}
	if value, err := s.Claim(t.Context(), "name", []byte("other"), time.Hour); string(value) != "value" || err != nil {
		t.Errorf("the note is %q (error %v)", value, err)
	}
}

// TestEmbeddedJournalIsTrimmed moves the numbers on, as if nearly JournalLength entries had been recorded after the first ones.
func TestEmbeddedJournalIsTrimmed(t *testing.T) {
	dir := t.TempDir()
	var actions []string
	record := func(action string, sequence uint64) {
		t.Helper()
		if sequence > 0 {
			inFile(t, dir, func(tx *bbolt.Tx) error { return tx.Bucket([]byte("journal")).SetSequence(sequence) })
		}
		s := openEmbedded(t, dir)
		defer closeEmbedded(t, s)
		if err := s.Record(t.Context(), store.Entry{Action: action}); err != nil {
			t.Fatal(err)
		}
		entries, err := s.Entries(t.Context(), "", 10)
		if err != nil {
			t.Fatal(err)
		}
		actions = nil
		for _, e := range entries {
			actions = append(actions, e.Action)
		}
	}
	for i := range 3 {
		record(fmt.Sprint(i), 0)
	}
	record("full", store.JournalLength)
	if want := []string{"full", "2", "1"}; !slices.Equal(actions, want) {
		t.Errorf("the entries are %v, want %v", actions, want)
	}
	record("later", store.JournalLength+98)
	record("last", 0)
	if want := []string{"last", "later", "full"}; !slices.Equal(actions, want) {
		t.Errorf("the entries are %v, want %v", actions, want)
	}
	if n := length(t, dir, "journal"); n != 3 {
		t.Errorf("the file has %d entries, want 3", n)
	}
}

func TestEmbeddedEntriesRefusesAWrongID(t *testing.T) {
	s := openEmbedded(t, t.TempDir())
	defer closeEmbedded(t, s)
	if err := s.Record(t.Context(), store.Entry{Action: "one"}); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"x", "-1", "1-0", strings.Repeat("9", 21)} {
		if list, err := s.Entries(t.Context(), id, 10); err == nil {
			t.Errorf("before %q come %v", id, list)
		}
	}
	for id, want := range map[string]int{"0": 0, "1": 0, "2": 1, "18446744073709551615": 1} {
		if list, err := s.Entries(t.Context(), id, 10); err != nil || len(list) != want {
			t.Errorf("before %q come %v (error %v), want %d", id, list, err, want)
		}
	}
}

// TestEmbeddedForgetsNotes claims a note a minute, each for an hour: the file has those of the last hour and no more than a few others.
func TestEmbeddedForgetsNotes(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := openEmbedded(t, dir)
		defer closeEmbedded(t, s)
		for i := range 500 {
			if found, err := s.Claim(t.Context(), fmt.Sprint("note", i), []byte("value"), time.Hour); found != nil || err != nil {
				t.Fatalf("note %d is %q (error %v)", i, found, err)
			}
			time.Sleep(time.Minute)
		}
		if found, err := s.Claim(t.Context(), "note499", []byte("other"), time.Hour); string(found) != "value" || err != nil {
			t.Errorf("the newest note is %q (error %v)", found, err)
		}
		if found, err := s.Claim(t.Context(), "note440", []byte("other"), time.Hour); found != nil || err != nil {
			t.Errorf("a note that has ended to the minute is %q (error %v)", found, err)
		}
	})
	for _, bucket := range []string{"notes", "note_ends"} {
		if n := length(t, dir, bucket); n != 60 {
			t.Errorf("%s has %d records, want 60", bucket, n)
		}
	}
}
