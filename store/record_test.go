package store

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"tpgate/limiter"
)

// FuzzRecord holds that a record is read as it was written, and that no bytes are read as two different keys, let alone crash who reads them.
func FuzzRecord(f *testing.F) {
	own, _ := limiter.Parse("10/1s,600/1m")
	for _, key := range []Key{
		{Name: "ci", Hint: "tp_abcd…", CreatedAt: time.UnixMilli(1_795_000_000_000).UTC(), Version: 1},
		{Name: "\"}{\x7f", Digest: Digest{1}, Previous: Digest{2}, PreviousUntil: time.UnixMilli(5).UTC(), ExpiresAt: time.UnixMilli(1).UTC(), Limit: own, Disabled: true, CreatedAt: time.UnixMilli(0).UTC(), LastUsedAt: time.UnixMilli(7).UTC(), Version: 999_999_999_999},
		{Legacy: Legacy{Lookup: "0123456789abcdef", Hash: "$2y$10$x"}, Fingerprint: Digest{3}, CreatedAt: time.UnixMilli(2).UTC()},
		{Limit: limiter.Off, CreatedAt: time.UnixMilli(-1).UTC()},
	} {
		f.Add(appendRecord(nil, &key, firstEpoch))
	}
	f.Add([]byte{})
	f.Add([]byte("2" + strings.Repeat("9", 57) + strings.Repeat("\x00", 7) + "\x01\x00\x8c" + strings.Repeat("\x00", 16) + strings.Repeat("9", 53) + "{}" + strings.Repeat("x", 16)))
	f.Fuzz(func(t *testing.T, record []byte) {
		given := bytes.Clone(record)
		key, epoch, err := parseRecord("acme", "id", record)
		if !bytes.Equal(given, record) {
			t.Fatal("the record was changed by reading it")
		}
		if err != nil {
			if !reflect.DeepEqual(key, Key{}) || epoch != "" {
				t.Fatalf("a damaged record is read as %+v of epoch %q", key, epoch)
			}
			return
		}
		again, epochAgain, err := parseRecord("acme", "id", appendRecord(nil, &key, epoch))
		if err != nil || epochAgain != epoch || !reflect.DeepEqual(again, key) {
			t.Fatalf("%q is read as\n%+v, and written and read again as\n%+v (error %v)", record, key, again, err)
		}
	})
}

// TestRecordOfOddUse has keys whose last use lies outside of what a record can say: they are read with the nearest that it can.
func TestRecordOfOddUse(t *testing.T) {
	for _, c := range []struct{ at, want time.Time }{
		{time.Time{}, time.Time{}},
		{time.Unix(-1, 0), time.UnixMilli(1).UTC()},
		{time.UnixMicro(1), time.UnixMilli(1).UTC()},
		{time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)},
		{time.UnixMicro(maxUse + 1), time.UnixMilli(maxUse / 1000).UTC()},
	} {
		key, _, err := parseRecord("acme", "id", appendRecord(nil, &Key{CreatedAt: time.Unix(0, 0), LastUsedAt: c.at}, firstEpoch))
		if err != nil || !key.LastUsedAt.Equal(c.want) {
			t.Errorf("used at %s is read as %s (error %v), want %s", c.at, key.LastUsedAt, err, c.want)
		}
	}
}

func FuzzSettings(f *testing.F) {
	const id = "0123456789abcdef"
	own, _ := limiter.Parse("600/1m")
	for _, s := range []settings{{epoch: firstEpoch}, {Workspace: Workspace{Suspended: true, Limit: own, Version: 3}, epoch: "00000007"}} {
		f.Add(appendSettings(nil, id, &s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := parseSettings("acme", id, text)
		if err != nil {
			return
		}
		again, err := parseSettings("acme", id, appendSettings(nil, id, &s))
		if err != nil || !reflect.DeepEqual(again, s) {
			t.Fatalf("%q is read as\n%+v, and written and read again as\n%+v (error %v)", text, s, again, err)
		}
	})
}
