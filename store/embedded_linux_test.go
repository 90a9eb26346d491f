package store_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tpgate/store"
)

// TestEmbeddedDiskFull makes the disk full as a process of its own sees it: its writes beyond a size fail. In this process they would be those of go test's log of the test as well.
func TestEmbeddedDiskFull(t *testing.T) {
	if os.Getenv("TPGATE_TEST_DISK_FULL") == "" {
		limited := exec.Command(os.Args[0], "-test.run=^TestEmbeddedDiskFull$")
		limited.Env = append(os.Environ(), "TPGATE_TEST_DISK_FULL=1")
		if out, err := limited.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	dir := t.TempDir()
	s := openEmbedded(t, dir)
	key := addKey(t, s, store.Digest{1})
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 8192, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		err := s.DeleteKey(t.Context(), "acme", key.ID)
		if err == nil || !strings.Contains(err.Error(), "file too large") {
			t.Errorf("on a full disk a change returns %v", err)
		}
		if d := s.Verify(key.Digest, time.Time{}); d.Verdict != store.Allowed {
			t.Errorf("on a full disk a check comes to verdict %v", d.Verdict)
		}
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteKey(t.Context(), "acme", key.ID); err != nil {
		t.Errorf("when there is room again: %v", err)
	}
	other := addKey(t, s, store.Digest{2})
	closeEmbedded(t, s)
	s = openEmbedded(t, dir)
	defer closeEmbedded(t, s)
	if d := s.Verify(key.Digest, time.Time{}); d.Verdict != store.Unknown {
		t.Errorf("opened anew, the deleted key comes to verdict %v", d.Verdict)
	}
	if d := s.Verify(other.Digest, time.Time{}); d.Verdict != store.Allowed {
		t.Errorf("opened anew, the other key comes to verdict %v", d.Verdict)
	}
}

// TestEmbeddedBrokenDisk takes the right to write away from under the store: from then on nobody knows what is on the disk.
func TestEmbeddedBrokenDisk(t *testing.T) {
	dir := t.TempDir()
	s := openEmbedded(t, dir)
	key := addKey(t, s, store.Digest{1})
	healthy := makeReadOnly(t, filepath.Join(dir, "keys.db"))
	if err := s.DeleteKey(t.Context(), "acme", key.ID); err == nil {
		t.Error("a change that could not be written is acknowledged")
	}
	healthy()
	_, err := s.UpdateKey(t.Context(), "acme", key.ID, func(k *store.Key) error { k.Disabled = true; return nil })
	if err == nil || !strings.Contains(err.Error(), "until tpgate is restarted") {
		t.Errorf("after a failed commit the next change returns %v", err)
	}
	if d := s.Verify(key.Digest, time.Time{}); d.Verdict != store.Allowed {
		t.Errorf("after a failed commit a check comes to verdict %v", d.Verdict)
	}
	if err := s.Close(); err == nil {
		t.Error("closing does not tell that the time of last use could not be written")
	}
	s = openEmbedded(t, dir)
	defer closeEmbedded(t, s)
	if err := s.DeleteKey(t.Context(), "acme", key.ID); err != nil {
		t.Errorf("opened anew: %v", err)
	}
}

// makeReadOnly replaces this process's descriptor of the file by one that cannot write, until the function returned is called.
func makeReadOnly(t *testing.T, path string) func() {
	t.Helper()
	descriptors, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range descriptors {
		if target, err := os.Readlink("/proc/self/fd/" + d.Name()); err != nil || target != path {
			continue
		}
		fd, _ := strconv.Atoi(d.Name())
		healthy, err := syscall.Dup(fd)
		if err != nil {
			t.Fatal(err)
		}
		reader, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		if err := syscall.Dup3(int(reader.Fd()), fd, 0); err != nil {
			t.Fatal(err)
		}
		return func() {
			if err := syscall.Dup3(healthy, fd, 0); err != nil {
				t.Fatal(err)
			}
			_ = syscall.Close(healthy)
		}
	}
	t.Fatalf("%s is not open", path)
	return nil
}
