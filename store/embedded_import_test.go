package store_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"tpgate/store"
)

// rows returns keys as an import makes them of SHA-256 rows, in an order that has nothing to do with their times.
func rows(n int, workspace func(i int) string) []store.Key {
	keys := make([]store.Key, n)
	for i := range keys {
		digest := sha256.Sum256(fmt.Append(nil, "row", i))
		keys[i] = store.Key{
			Workspace: workspace(i), Name: fmt.Sprint("row ", i), Hint: "tp_abcd…", Digest: digest, Fingerprint: store.FingerprintOf(string(digest[:])),
			CreatedAt: time.UnixMilli(1.7e12 + int64(i)*7919%1_000_000*1000).UTC(), LastUsedAt: time.UnixMilli(1.75e12 + int64(i)).UTC(),
		}
	}
	return keys
}

// TestEmbeddedKeepsImports closes and opens a store with imported keys, alive and dead, of both kinds.
func TestEmbeddedKeepsImports(t *testing.T) {
	dir := t.TempDir()
	s := openEmbedded(t, dir)
	given := rows(8, func(i int) string { return fmt.Sprint("w", i%2) })
	for i := range 4 {
		given[i].Legacy = store.Legacy{Lookup: fmt.Sprint("lookup", i), Hash: fmt.Sprint("$2y$12$", i)}
		given[i].Digest = store.LookupDigest(given[i].Legacy.Lookup)
	}
	keys := slices.Clone(given)
	errs := s.Import(t.Context(), keys)
	real := store.Digest{1}
	_, upgraded := s.UpdateKey(t.Context(), keys[0].Workspace, keys[0].ID, func(k *store.Key) error {
		k.Digest, k.Legacy = real, store.Legacy{}
		return nil
	})
	errs = append(errs, upgraded, s.DeleteKey(t.Context(), keys[1].Workspace, keys[1].ID), s.DeleteKey(t.Context(), keys[4].Workspace, keys[4].ID))
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	before, _ := everything(t, s)
	closeEmbedded(t, s)

	s = openEmbedded(t, dir)
	defer closeEmbedded(t, s)
	if after, _ := everything(t, s); after != before {
		t.Errorf("after opening anew:\n%s\nbefore:\n%s", after, before)
	}
	again := slices.Clone(given)
	for i, err := range s.Import(t.Context(), again) {
		if !errors.Is(err, store.ErrExists) || again[i].ID != keys[i].ID {
			t.Errorf("row %d comes to %v with id %q, want ErrExists with %q", i, err, again[i].ID, keys[i].ID)
		}
	}
	for digest, want := range map[store.Digest]store.Verdict{
		real: store.Allowed, given[0].Digest: store.Unknown, given[2].Digest: store.Unknown, given[4].Digest: store.Unknown, given[5].Digest: store.Allowed,
	} {
		if d := s.Verify(digest, time.Time{}); d.Verdict != want {
			t.Errorf("digest %x…: verdict %v, want %v", digest[:2], d.Verdict, want)
		}
	}
	// Two bcrypt rows are left; without them none is.
	for i := 2; i < 4; i++ {
		if !s.HasLegacy() {
			t.Errorf("no bcrypt rows are left, want %d", 4-i)
		}
		if err := s.DeleteKeys(t.Context(), keys[i].Workspace); err != nil {
			t.Error(err)
		}
	}
	if s.HasLegacy() {
		t.Error("bcrypt rows are left, want none")
	}
}

// TestEmbeddedReadsOlderFiles opens a file that has none of the buckets which were added later.
func TestEmbeddedReadsOlderFiles(t *testing.T) {
	dir := t.TempDir()
	s := openEmbedded(t, dir)
	key := addKey(t, s, store.Digest{1})
	closeEmbedded(t, s)
	inFile(t, dir, func(tx *bbolt.Tx) error {
		var errs []error
		for _, name := range []string{"fingerprints", "journal", "notes", "note_ends"} {
			errs = append(errs, tx.DeleteBucket([]byte(name)))
		}
		return errors.Join(errs...)
	})
	s = openEmbedded(t, dir)
	defer closeEmbedded(t, s)
	if d := s.Verify(store.Digest{1}, time.Time{}); d.KeyID != key.ID {
		t.Errorf("the decision is %+v", d)
	}
	if err := errors.Join(s.Import(t.Context(), rows(3, func(int) string { return "acme" }))...); err != nil {
		t.Error(err)
	}
}

// TestEmbeddedMillion imports a million keys and opens the file again.
func TestEmbeddedMillion(t *testing.T) {
	if os.Getenv("TPGATE_FULL") != "1" {
		t.Skip("takes minutes: TPGATE_FULL=1")
	}
	const n = 1_000_000
	for name, c := range map[string]struct {
		workspace func(int) string
		bytes     uint64 // of memory, at most
	}{
		"one workspace":     {func(int) string { return "acme" }, 800},
		"a workspace a key": {func(int) string { return fmt.Sprintf("w%x", rand.Uint64()) }, 1400},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := openEmbedded(t, dir)
			start := time.Now()
			keys := rows(n, c.workspace)
			for chunk := range slices.Chunk(keys, 1000) {
				if err := errors.Join(s.Import(t.Context(), chunk)...); err != nil {
					t.Fatal(err)
				}
			}
			t.Logf("imported in %s", time.Since(start))
			closeEmbedded(t, s)
			s, keys = nil, nil
			before := heap()
			start = time.Now()
			s = openEmbedded(t, dir)
			took := time.Since(start)
			size := (heap() - before) / n
			file, err := os.Stat(filepath.Join(dir, "keys.db"))
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("opened in %s, %d bytes a key in memory, %d in the file", took, size, file.Size()/n)
			if took > 30*time.Second || size > c.bytes {
				t.Error("that is too much")
			}
			closeEmbedded(t, s)
		})
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func inFile(t *testing.T, dir string, do func(*bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(dir, "keys.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(do), db.Close()); err != nil {
		t.Fatal(err)
	}
}
