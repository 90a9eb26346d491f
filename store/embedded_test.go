package store_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.etcd.io/bbolt"

	"tpgate/limiter"
	"tpgate/store"
	"tpgate/store/storetest"
)

func TestEmbedded(t *testing.T) {
	storetest.Run(t, func(t *testing.T, defaults store.Defaults) store.Store {
		s, err := store.OpenEmbedded(embeddedConfig(t.TempDir(), defaults))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { closeEmbedded(t, s) })
		return s
	})
}

func embeddedConfig(dir string, defaults store.Defaults) store.EmbeddedConfig {
	return store.EmbeddedConfig{Dir: dir, Defaults: defaults, Metrics: store.NewMetrics(prometheus.NewRegistry()), Logger: slog.New(slog.DiscardHandler)}
}

// openEmbedded opens a store without limits; the test closes it.
func openEmbedded(t testing.TB, dir string) *store.Embedded {
	t.Helper()
	s, err := store.OpenEmbedded(embeddedConfig(dir, store.Defaults{KeyLimit: limiter.Off, WorkspaceLimit: limiter.Off}))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closeEmbedded(t testing.TB, s *store.Embedded) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// addKey creates a key of workspace acme with this digest.
func addKey(t testing.TB, s store.Store, digest store.Digest) store.Key {
	t.Helper()
	key, err := s.Create(t.Context(), store.Key{ID: store.NewID(), Workspace: "acme", Name: "ci", Hint: "tp_abcd…", Digest: digest, CreatedAt: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestEmbeddedFileIsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	s := openEmbedded(t, dir)
	defer closeEmbedded(t, s)
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "keys.db"): 0o600} {
		got, err := os.Stat(path)
		if err != nil || got.Mode().Perm() != want {
			t.Errorf("%s has mode %v (error %v), want %v", path, got.Mode(), err, want)
		}
	}
}

func TestEmbeddedIsForOneProcess(t *testing.T) {
	dir := t.TempDir()
	s := openEmbedded(t, dir)
	_, err := store.OpenEmbedded(embeddedConfig(dir, store.Defaults{}))
	want := filepath.Join(dir, "keys.db") + " is in use by another tpgate process: stop it, or give this one another --data-dir, or use --redis-url to run several"
	if err == nil || err.Error() != want {
		t.Errorf("the second opener gets %v, want %s", err, want)
	}
	closeEmbedded(t, s)
	closeEmbedded(t, openEmbedded(t, dir))
}

func TestEmbeddedKeepsEverything(t *testing.T) {
	dir := t.TempDir()
	s := openEmbedded(t, dir)
	tenth, err := limiter.Parse("10/1s,600/1m")
	if err != nil {
		t.Fatal(err)
	}
	first, second, rotated, gone := store.Digest{1}, store.Digest{2}, store.Digest{3}, store.Digest{4}
	key := addKey(t, s, first)
	addKey(t, s, second)
	until := time.Now().Add(time.Hour)
	_, updated := s.UpdateKey(t.Context(), "acme", key.ID, func(k *store.Key) error {
		k.Name, k.Limit, k.ExpiresAt = "näme", tenth, until
		k.Previous, k.PreviousUntil, k.Digest = first, until, rotated
		return nil
	})
	deleted := s.DeleteKey(t.Context(), "acme", addKey(t, s, gone).ID)
	_, set := s.UpdateWorkspace(t.Context(), "other", func(w *store.Workspace) error {
		w.Limit, w.Suspended = tenth, true
		return nil
	})
	for _, err := range []error{updated, deleted, set} {
		if err != nil {
			t.Fatal(err)
		}
	}
	s.Verify(rotated, time.Time{})
	keys, workspaces := everything(t, s)
	closeEmbedded(t, s)

	s = openEmbedded(t, dir)
	defer closeEmbedded(t, s)
	if again, settings := everything(t, s); again != keys || settings != workspaces {
		t.Errorf("after opening anew:\n%s\n%s\nbefore:\n%s\n%s", again, settings, keys, workspaces)
	}
	for digest, want := range map[store.Digest]store.Verdict{first: store.Allowed, second: store.Allowed, rotated: store.Allowed, gone: store.Unknown} {
		if d := s.Verify(digest, time.Time{}); d.Verdict != want {
			t.Errorf("digest %x…: verdict %v, want %v", digest[:1], d.Verdict, want)
		}
	}
}

func TestEmbeddedRefusesDamage(t *testing.T) {
	for name, c := range map[string]struct {
		bucket string
		damage func(record []byte) []byte
		want   string
	}{
		"a flipped bit":       {"keys", func(r []byte) []byte { r[len(r)-3] ^= 1; return r }, "checksum"},
		"a short record":      {"keys", func(r []byte) []byte { return r[:3] }, "too short"},
		"a newer layout":      {"keys", func(r []byte) []byte { r[0] = '2'; return r }, "newer tpgate"},
		"a damaged workspace": {"workspaces", func(r []byte) []byte { r[7] ^= 1; return r }, "checksum"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := openEmbedded(t, dir)
			key := addKey(t, s, store.Digest{1})
			closeEmbedded(t, s)
			record := map[string]string{"keys": "acme/" + key.ID, "workspaces": "acme"}[c.bucket]
			rewrite(t, dir, c.bucket, record, c.damage)
			_, err := store.OpenEmbedded(embeddedConfig(dir, store.Defaults{}))
			if err == nil || !strings.Contains(err.Error(), record) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one that names %s and says %q", err, record, c.want)
			}
		})
	}
}

func TestEmbeddedRefusesAFileThatIsNotWhole(t *testing.T) {
	dir := t.TempDir()
	s := openEmbedded(t, dir)
	for i := range 100 {
		addKey(t, s, store.Digest{byte(i)})
	}
	closeEmbedded(t, s)
	path := filepath.Join(dir, "keys.db")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"a quarter": whole[:len(whole)/4], "half": whole[:len(whole)/2], "other content": []byte(strings.Repeat("keys ", 9999)),
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := store.OpenEmbedded(embeddedConfig(dir, store.Defaults{}))
		if err == nil { // what is missing was empty
			if w, err := s.Workspace(t.Context(), "acme"); err != nil || w.Keys != 100 {
				t.Errorf("%s is opened and has %d keys (error %v)", name, w.Keys, err)
			}
			closeEmbedded(t, s)
		} else if !strings.Contains(err.Error(), "the key file "+path) {
			t.Errorf("%s: error %v, want one that names the file", name, err)
		}
		if err := os.Remove(path); err != nil { // a new one: the old one may still be locked
			t.Fatal(err)
		}
	}
}

func TestEmbeddedRefusesIDsThatItCouldNotReadBack(t *testing.T) {
	s := openEmbedded(t, t.TempDir())
	defer closeEmbedded(t, s)
	for _, id := range []string{"", "a/b", "é"} {
		if _, err := s.Create(t.Context(), store.Key{ID: id, Workspace: "acme"}); err == nil {
			t.Errorf("a key with id %q is created", id)
		}
		if _, err := s.Create(t.Context(), store.Key{ID: "x", Workspace: id}); err == nil {
			t.Errorf("a key of workspace %q is created", id)
		}
		if _, err := s.UpdateWorkspace(t.Context(), id, func(*store.Workspace) error { return nil }); err == nil {
			t.Errorf("workspace %q gets settings", id)
		}
	}
}

func rewrite(t *testing.T, dir, bucket, name string, change func([]byte) []byte) {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(dir, "keys.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte(bucket))
		return b.Put([]byte(name), change(append([]byte{}, b.Get([]byte(name))...)))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestEmbeddedWritesLastUse looks at copies of the file, as a crash would leave it.
func TestEmbeddedWritesLastUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := openEmbedded(t, dir)
		defer closeEmbedded(t, s)
		used, unused := addKey(t, s, store.Digest{1}), addKey(t, s, store.Digest{2})
		for range 3 {
			time.Sleep(17 * time.Second)
			s.Verify(used.Digest, time.Time{})
			at := time.Now().UTC().Truncate(time.Millisecond)
			time.Sleep(31 * time.Second)
			synctest.Wait()
			crashed := openEmbedded(t, copyOf(t, dir))
			got, err := crashed.Key(t.Context(), "acme", used.ID)
			if err != nil || !got.LastUsedAt.Equal(at) {
				t.Errorf("31 s after its use at %s the file says %s (error %v)", at, got.LastUsedAt, err)
			}
			if got, err := crashed.Key(t.Context(), "acme", unused.ID); err != nil || !got.LastUsedAt.IsZero() {
				t.Errorf("the unused key was used at %s (error %v)", got.LastUsedAt, err)
			}
			closeEmbedded(t, crashed)
		}
	})
}

func copyOf(t *testing.T, dir string) string {
	t.Helper()
	file, err := os.ReadFile(filepath.Join(dir, "keys.db"))
	if err != nil {
		t.Fatal(err)
	}
	copied := t.TempDir()
	if err := os.WriteFile(filepath.Join(copied, "keys.db"), file, 0o600); err != nil {
		t.Fatal(err)
	}
	return copied
}

func TestEmbeddedVerifyDoesNotAllocate(t *testing.T) {
	s := openEmbedded(t, t.TempDir())
	defer closeEmbedded(t, s)
	key := addKey(t, s, store.Digest{1})
	limit, err := limiter.Parse("1000/1ms,1000000/1m")
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.UpdateKey(t.Context(), "acme", key.ID, func(k *store.Key) error { k.Limit = limit; return nil })
	if err != nil {
		t.Fatal(err)
	}
	for _, digest := range []store.Digest{key.Digest, {9}} {
		if n := testing.AllocsPerRun(2000, func() { s.Verify(digest, time.Time{}) }); n != 0 {
			t.Errorf("a check of digest %x… allocates %v times", digest[:1], n)
		}
	}
}

func BenchmarkEmbeddedVerify(b *testing.B) {
	s, err := store.OpenEmbedded(embeddedConfig(b.TempDir(), store.Defaults{KeyLimit: mustLimit(b, "1000000/1m"), WorkspaceLimit: limiter.Off}))
	if err != nil {
		b.Fatal(err)
	}
	defer closeEmbedded(b, s)
	for i := range 100 {
		addKey(b, s, store.Digest{byte(i)})
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			s.Verify(store.Digest{byte(i % 100)}, time.Time{})
		}
	})
}

func mustLimit(t testing.TB, text string) limiter.Limit {
	t.Helper()
	limit, err := limiter.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return limit
}
