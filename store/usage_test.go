package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.etcd.io/bbolt"

	"tpgate/limiter"
)

func TestAppendUsage(t *testing.T) {
	now := time.Date(2026, 4, 1, 10, 30, 0, 0, time.UTC)
	value := make([]byte, usageLength)
	for hour := range 24 {
		value[8*hour+3], value[8*hour+7] = byte(hour), 1
	}
	days := lastDays(now)
	if len(days) != 31 || days[30] != dayOf(now) {
		t.Fatalf("the days are %v", days)
	}
	var list []Usage
	for _, day := range days {
		list = appendUsage(list, day, value, now)
	}
	if first := list[0]; first.Hour != time.Date(2026, 3, 2, 11, 0, 0, 0, time.UTC) || first.Allowed != 11 || first.Refused != 1 {
		t.Errorf("the first hour is %+v", first)
	}
	for name, short := range map[string][]byte{"nothing": nil, "less than an hour": value[:7], "zeroes": make([]byte, usageLength)} {
		if list := appendUsage(nil, days[30], short, now); len(list) != 0 {
			t.Errorf("%s: %v", name, list)
		}
	}
	if list := appendUsage(nil, days[30], value[:16], now); fmt.Sprint(list) != "[{2026-04-01 00:00:00 +0000 UTC 0 1} {2026-04-01 01:00:00 +0000 UTC 1 1}]" {
		t.Errorf("a short day: %v", list)
	}
}

func openWithUsage(t *testing.T, dir string) *Embedded {
	t.Helper()
	e, err := OpenEmbedded(EmbeddedConfig{
		Dir: dir, Defaults: Defaults{KeyLimit: limiter.Off, WorkspaceLimit: limiter.Off}, Metrics: NewMetrics(prometheus.NewRegistry()), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestEmbeddedDamagedUsage damages what nothing reads until it is written to: checks go on, changes do not, and the process lives.
func TestEmbeddedDamagedUsage(t *testing.T) {
	dir := t.TempDir()
	e := openWithUsage(t, dir)
	key, err := e.Create(t.Context(), Key{ID: "k", Workspace: "acme", Name: "ci", Digest: Digest{1}, CreatedAt: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	var list []counts
	for i := range 3000 {
		list = append(list, counts{place{"acme", fmt.Sprintf("key%06d", i)}, 1, 0})
	}
	now := time.Now()
	if err := errors.Join(e.addUsage(now, list), e.Close()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "keys.db")
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const pageSize, leaf = 4096, 2 // of bbolt, and the flag of a page with values
	for page := range slices.Chunk(file, pageSize) {
		if binary.LittleEndian.Uint16(page[8:]) == leaf && bytes.Contains(page, append(binary.BigEndian.AppendUint64(nil, uint64(dayOf(now))), "acme/key"...)) {
			copy(page[16:], bytes.Repeat([]byte{0xff}, pageSize))
		}
	}
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	e = openWithUsage(t, dir)
	for range 2 {
		if err := e.addUsage(now, list[:1]); err == nil || !strings.Contains(err.Error(), "the key file "+path+" is damaged, restore it from a backup") {
			t.Errorf("error %v, want one that says that the file is damaged", err)
		}
	}
	if _, err := e.UpdateKey(t.Context(), "acme", "k", func(k *Key) error { k.Name = "new"; return nil }); err == nil || !strings.Contains(err.Error(), "until tpgate is restarted") {
		t.Errorf("changed after that: %v", err)
	}
	if d := e.Verify(key.Digest, time.Now()); d.Verdict != Allowed {
		t.Errorf("a check is answered %v", d.Verdict)
	}
	_ = e.Close() // what it writes it cannot
}

// TestTallyIsBounded counts keys that nobody remembers between their checks, as when there are more of them than places for hints.
func TestTallyIsBounded(t *testing.T) {
	added := 0
	tl := tally{add: func(_ time.Time, list []counts) error { added += len(list); return nil }}
	for range maxWaiting + 5000 {
		tl.count(&metered{}, Allowed)
	}
	late := &metered{}
	tl.count(late, Limited)
	if len(tl.waiting) != maxWaiting || late.refused.Load() != 0 {
		t.Errorf("%d wait, of which at most %d may; one more has %d", len(tl.waiting), maxWaiting, late.refused.Load())
	}
	if _, err := tl.flush(); err != nil || added != tallySize {
		t.Fatalf("%d added, %v", added, err)
	}
	tl.count(late, Limited)
	tl.count(late, Limited)
	if late.refused.Load() != 2 || tl.waiting[len(tl.waiting)-1] != late {
		t.Errorf("with places free again, %d is counted", late.refused.Load())
	}
}

func TestEmbeddedKeepsUsage(t *testing.T) {
	dir := t.TempDir()
	e := openWithUsage(t, dir)
	key, err := e.Create(t.Context(), Key{ID: "k", Workspace: "acme", Name: "ci", Digest: Digest{1}, CreatedAt: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	e.Verify(key.Digest, time.Now())
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = openWithUsage(t, dir)
	defer e.Close()
	if list, err := e.Usage(t.Context(), "acme", "k"); err != nil || len(list) != 1 || list[0].Allowed != 1 {
		t.Errorf("after a restart: %v %v", list, err)
	}
}

func TestEmbeddedForgetsUsage(t *testing.T) {
	e := openWithUsage(t, t.TempDir())
	defer e.Close()
	now := time.Now().UTC().Truncate(time.Hour)
	for _, days := range []int{40, 31, 29, 0} {
		if err := e.addUsage(now.AddDate(0, 0, -days), []counts{{place{"acme", fmt.Sprint(days)}, 1, 0}}); err != nil {
			t.Fatal(err)
		}
	}
	left := 0
	_ = e.file.view(func(tx *bbolt.Tx) error {
		left = tx.Bucket(bucketUsage).Stats().KeyN
		return nil
	})
	if left != 2 {
		t.Errorf("%d days are left, want 2", left)
	}
}

func TestRedisUsageEnds(t *testing.T) {
	r := openHere(t, "off", "off")
	p := place{"acme", "k"}
	for range 2 {
		if err := r.addUsage(time.Now().UTC().Truncate(time.Hour), []counts{{p, 1, 0}}); err != nil {
			t.Fatal(err)
		}
		left, err := r.control.PTTL(t.Context(), r.names.usage(p, dayOf(time.Now()))).Result()
		if err != nil || left < 31*24*time.Hour || left > usageLife {
			t.Errorf("it is kept for %s, %v", left, err)
		}
	}
}

func TestTallyTakesSome(t *testing.T) {
	var added []int
	tally := tally{add: func(_ time.Time, list []counts) error {
		added = append(added, len(list))
		return nil
	}}
	for range 2*tallySize + 5 {
		tally.count(&metered{}, Allowed)
	}
	for _, last := range []bool{false, false, true, true} {
		if all, err := tally.flush(); all != last || err != nil {
			t.Fatalf("after %v: all %t, %v", added, all, err)
		}
	}
	for range tallySize + 7 {
		tally.count(&metered{}, Limited)
	}
	stop := make(chan struct{})
	close(stop)
	tally.flushForever(stop, slog.New(slog.DiscardHandler))
	if got, want := fmt.Sprint(added), fmt.Sprint([]int{tallySize, tallySize, 5, tallySize, 7}); got != want {
		t.Errorf("added %s, want %s", got, want)
	}
}
