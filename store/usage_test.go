package store

import (
	"fmt"
	"log/slog"
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
