package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"tpgate/limiter"
)

// A key in Redis is one packed string that verify.lua reads by position; a workspace's settings are another. All numbers in front are ASCII digits of fixed width, so that
// Lua compares them as strings. What no script needs stands behind them as JSON. The first byte is the layout's version.
//
//	record    layout 1 | digest 32 | previous digest 32 | its end 15 | expiry 15 | epoch 8 | last used 15 | disabled 1 | limit 52 | version 12 | JSON
//	settings  layout 1 | store id 16 | epoch 8 | suspended 1 | limit 52 | version 12 | JSON
//
// Times are milliseconds since 1970. The epoch counts how often all keys of the workspace were deleted at once; a record of an older epoch is dead.
const (
	layout         = '1'
	recordHead     = 1 + 32 + 32 + 15 + 15 + 8 + 15 + 1 + limiter.EncodedSize + 12
	epochOffset    = 1 + 32 + 32 + 15 + 15 // in a record
	lastUsedOffset = epochOffset + 8
	versionOffset  = recordHead - 12
	settingsHead   = 1 + storeIDLength + 8 + 1 + limiter.EncodedSize + 12
	storeIDLength  = 16
	never          = "999999999999999" // as an expiry
	zeroTime       = "000000000000000"
)

var errBroken = errors.New("the record is damaged or of a newer version of tpgate")

// recordTail is what follows a record's fixed part.
type recordTail struct {
	Name      string `json:"name"`
	Hint      string `json:"hint"`
	Limit     string `json:"limit,omitempty"` // as it was written
	CreatedAt int64  `json:"created_at"`      // ms
}

// appendRecord appends the key as a record of this epoch.
func appendRecord(dst []byte, key *Key, epoch string) []byte {
	dst = append(dst, layout)
	dst = append(dst, key.Digest[:]...)
	dst = append(dst, key.Previous[:]...)
	dst = appendTime(dst, key.PreviousUntil)
	if key.ExpiresAt.IsZero() {
		dst = append(dst, never...)
	} else {
		dst = appendTime(dst, key.ExpiresAt)
	}
	dst = append(dst, epoch...)
	dst = appendTime(dst, key.LastUsedAt)
	dst = append(dst, '0'+boolDigit(key.Disabled))
	dst = append(dst, key.Limit.Encode()...)
	dst = fmt.Appendf(dst, "%012d", key.Version)
	tail, _ := json.Marshal(recordTail{Name: key.Name, Hint: key.Hint, Limit: key.Limit.String(), CreatedAt: key.CreatedAt.UnixMilli()}) // strings and a number always encode
	return append(dst, tail...)
}

// parseRecord reads a record and returns the key with its epoch.
func parseRecord(workspace, id string, record []byte) (Key, string, error) {
	if len(record) < recordHead || record[0] != layout {
		return Key{}, "", errBroken
	}
	key := Key{ID: id, Workspace: workspace}
	r := fields{rest: record[1:]}
	copy(key.Digest[:], r.next(32))
	copy(key.Previous[:], r.next(32))
	key.PreviousUntil = r.time()
	if expiry := r.peek(15); string(expiry) == never {
		r.next(15)
	} else {
		key.ExpiresAt = r.time()
	}
	epoch := string(r.next(8))
	key.LastUsedAt = r.time()
	key.Disabled = r.next(1)[0] != '0'
	r.next(limiter.EncodedSize)
	key.Version = r.number(12)
	var tail recordTail
	if err := json.Unmarshal(r.rest, &tail); err != nil || r.broken {
		return Key{}, "", errBroken
	}
	limit, err := parseStoredLimit(tail.Limit)
	if err != nil {
		return Key{}, "", errBroken
	}
	key.Name, key.Hint, key.Limit, key.CreatedAt = tail.Name, tail.Hint, limit, time.UnixMilli(tail.CreatedAt).UTC()
	return key, epoch, nil
}

// settings are a workspace's settings as they are stored.
type settings struct {
	Workspace
	epoch string
}

type settingsTail struct {
	Limit string `json:"limit,omitempty"`
}

func appendSettings(dst []byte, storeID string, s *settings) []byte {
	dst = append(dst, layout)
	dst = append(dst, storeID...)
	dst = append(dst, s.epoch...)
	dst = append(dst, '0'+boolDigit(s.Suspended))
	dst = append(dst, s.Limit.Encode()...)
	dst = fmt.Appendf(dst, "%012d", s.Version)
	tail, _ := json.Marshal(settingsTail{Limit: s.Limit.String()}) // a string always encodes
	return append(dst, tail...)
}

func parseSettings(workspace, storeID string, text []byte) (settings, error) {
	if len(text) < settingsHead || text[0] != layout || !bytes.Equal(text[1:1+storeIDLength], []byte(storeID)) {
		return settings{}, fmt.Errorf("the settings of workspace %s are damaged or belong to another store", workspace)
	}
	s := settings{Workspace: Workspace{ID: workspace}}
	r := fields{rest: text[1+storeIDLength:]}
	s.epoch = string(r.next(8))
	s.Suspended = r.next(1)[0] != '0'
	r.next(limiter.EncodedSize)
	s.Version = r.number(12)
	var tail settingsTail
	if err := json.Unmarshal(r.rest, &tail); err != nil || r.broken {
		return settings{}, errBroken
	}
	limit, err := parseStoredLimit(tail.Limit)
	s.Limit = limit
	return s, err
}

// fields reads fixed-width fields from the front; the caller has checked the length.
type fields struct {
	rest   []byte
	broken bool
}

func (f *fields) peek(n int) []byte { return f.rest[:n] }

func (f *fields) next(n int) []byte {
	field := f.rest[:n]
	f.rest = f.rest[n:]
	return field
}

func (f *fields) number(n int) int64 {
	v, err := strconv.ParseUint(string(f.next(n)), 10, 63)
	f.broken = f.broken || err != nil
	return int64(v)
}

func (f *fields) time() time.Time {
	ms := f.number(15)
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func appendTime(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(dst, zeroTime...)
	}
	return fmt.Appendf(dst, "%015d", min(max(t.UnixMilli(), 1), 999_999_999_999_998))
}

func boolDigit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func parseStoredLimit(text string) (limiter.Limit, error) {
	if text == "" {
		return limiter.Limit{}, nil
	}
	return limiter.Parse(text)
}
