package store

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// A key in Redis is one packed string that verify.lua reads by position; a workspace's settings are another. Numbers are ASCII digits of fixed width, so that Lua compares them
// as strings. What no script needs stands behind it as JSON, and at the end the newest admissions of the quota. The first byte is the layout's version. Short is fast: a byte of a
// record costs Redis ten instructions a check.
//
//	record    layout 1 | digest 32 | epoch 8 | flag 1 | expiry 15 | windows 1 | last used 8 | quota 18 | version 12 | rotated 1 | if rotated: previous digest 32, its end 15 | 17 a window | JSON | admissions
//	settings  layout 1 | store id 16 | epoch 8 | suspended 1 | windows 1 | quota 18 | version 12 | 17 a window | JSON, if a limit is set | admissions
//
// Times are milliseconds since 1970, but that of last use is like an admission: microseconds, big-endian, since Lua compares numbers faster than strings. The epoch counts how often
// all keys of the workspace were deleted at once; a record of an older epoch is dead. The windows of the limit are those of limiter.Limit.Encode, the first byte apart from the others.
// The quota's header and the admissions are window.lua's: a new record has none, and who replaces one keeps them (update.lua, settings.lua).
const (
	layout        = '3'
	storeIDLength = 16
	never         = "999999999999999"       // as an expiry
	quotaLength   = 18                      // of the quota's header, which begins with where the admissions do, from 1, in 2 bytes
	stampLength   = 8                       // of an admission
	maxUse        = 999_999_999_999_999_999 // as far as the other times reach
	zeroTime      = "000000000000000"
)

var errBroken = errors.New("the record is damaged or of another version of tpgate: export the keys with that version and import them with this one")

// Where the quota's header stands in a record and in settings.
const (
	recordQuota   = 1 + 32 + 8 + 1 + 15 + 1 + stampLength
	settingsQuota = 1 + storeIDLength + 8 + 1 + 1
)

// recordTail is the JSON of a record.
type recordTail struct {
	Name      string `json:"name"`
	Hint      string `json:"hint"`
	Limit     string `json:"limit,omitempty"` // as it was written
	CreatedAt int64  `json:"created_at"`      // ms
	// Of imported keys.
	Lookup      string `json:"lookup,omitempty"`
	Hash        string `json:"hash,omitempty"`
	Fingerprint []byte `json:"fingerprint,omitempty"`
}

// appendRecord appends the key as a record of this epoch.
func appendRecord(dst []byte, key *Key, epoch string) []byte {
	start, limit := len(dst), key.Limit.Encode()
	dst = append(dst, layout)
	dst = append(dst, key.Digest[:]...)
	dst = append(dst, epoch...)
	dst = append(dst, keyFlag(key))
	if key.ExpiresAt.IsZero() {
		dst = append(dst, never...)
	} else {
		dst = appendTime(dst, key.ExpiresAt)
	}
	dst = append(dst, limit[0])
	dst = appendUse(dst, key.LastUsedAt)
	quota := len(dst)
	dst = append(dst, make([]byte, quotaLength)...)
	dst = fmt.Appendf(dst, "%012d", key.Version)
	rotated := key.Previous != Digest{}
	dst = append(dst, digit(rotated))
	if rotated {
		dst = append(dst, key.Previous[:]...)
		dst = appendTime(dst, key.PreviousUntil)
	}
	dst = append(dst, limit[1:]...)
	tail := recordTail{Name: key.Name, Hint: key.Hint, Limit: key.Limit.String(), CreatedAt: key.CreatedAt.UnixMilli(), Lookup: key.Legacy.Lookup, Hash: key.Legacy.Hash}
	if key.Fingerprint != (Digest{}) {
		tail.Fingerprint = key.Fingerprint[:]
	}
	text, _ := json.Marshal(tail) // strings, bytes and a number always encode
	return noAdmissions(append(dst, text...), start, quota)
}

// noAdmissions has the header at quota say, of a value that begins at start in dst and ends where dst does, that no admissions follow.
func noAdmissions(dst []byte, start, quota int) []byte {
	binary.BigEndian.PutUint16(dst[quota:], uint16(len(dst)-start+1))
	return dst
}

// withoutAdmissions returns a record, or settings, up to the admissions, given where the quota's header stands. What it returns of damaged ones is damaged, too.
func withoutAdmissions(value []byte, quota int) []byte {
	if len(value) < quota+quotaLength {
		return nil
	}
	end := int(binary.BigEndian.Uint16(value[quota:])) - 1
	if end < quota+quotaLength || end > len(value) || (len(value)-end)%stampLength != 0 {
		return nil
	}
	return value[:end]
}

// parseRecord reads a record and returns the key with its epoch.
func parseRecord(workspace, id string, record []byte) (Key, string, error) {
	r := fields{rest: withoutAdmissions(record, recordQuota)}
	key := Key{ID: id, Workspace: workspace}
	r.broken = r.flag() != layout
	copy(key.Digest[:], r.next(32))
	epoch := string(r.next(8))
	flag := r.flag()
	key.Disabled = flag == disabled || flag == legacyDisabled
	key.ExpiresAt = r.expiry()
	windows := r.flag()
	key.LastUsedAt = r.use()
	r.next(quotaLength)
	key.Version = r.number(12)
	if r.flag() == '1' {
		copy(key.Previous[:], r.next(32))
		key.PreviousUntil = r.time()
		r.broken = r.broken || key.Previous == Digest{}
	}
	encoded := r.limit(windows)
	var tail recordTail
	if err := json.Unmarshal(r.rest, &tail); err != nil || r.broken {
		return Key{}, "", errBroken
	}
	limit, err := parseStoredLimit(tail.Limit)
	if err != nil || limit.Encode() != encoded {
		return Key{}, "", errBroken
	}
	key.Legacy = Legacy{Lookup: tail.Lookup, Hash: tail.Hash}
	if keyFlag(&key) != flag {
		return Key{}, "", errBroken
	}
	if len(tail.Fingerprint) == len(key.Fingerprint) {
		key.Fingerprint = Digest(tail.Fingerprint)
	}
	key.Name, key.Hint, key.Limit, key.CreatedAt = tail.Name, tail.Hint, limit, time.UnixMilli(tail.CreatedAt).UTC()
	return key, epoch, nil
}

// The flags of a record. A key of which only a bcrypt hash is known is unknown to every check, whatever its digest says.
const (
	active         = '0'
	disabled       = '1'
	legacy         = 'l'
	legacyDisabled = 'L'
)

func keyFlag(key *Key) byte {
	switch {
	case key.IsLegacy() && key.Disabled:
		return legacyDisabled
	case key.IsLegacy():
		return legacy
	case key.Disabled:
		return disabled
	default:
		return active
	}
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
	start, limit := len(dst), s.Limit.Encode()
	dst = append(dst, layout)
	dst = append(dst, storeID...)
	dst = append(dst, s.epoch...)
	dst = append(dst, digit(s.Suspended))
	dst = append(dst, limit[0])
	quota := len(dst)
	dst = append(dst, make([]byte, quotaLength)...)
	dst = fmt.Appendf(dst, "%012d", s.Version)
	dst = append(dst, limit[1:]...)
	if s.Limit.IsSet() {
		tail, _ := json.Marshal(settingsTail{Limit: s.Limit.String()}) // a string always encodes
		dst = append(dst, tail...)
	}
	return noAdmissions(dst, start, quota)
}

func parseSettings(workspace, storeID string, text []byte) (settings, error) {
	r := fields{rest: withoutAdmissions(text, settingsQuota)}
	s := settings{Workspace: Workspace{ID: workspace}}
	if r.flag() != layout || string(r.next(storeIDLength)) != storeID {
		return settings{}, fmt.Errorf("the settings of workspace %s are damaged or belong to another store", workspace)
	}
	s.epoch = string(r.next(8))
	s.Suspended = r.flag() != '0'
	windows := r.flag()
	r.next(quotaLength)
	s.Version = r.number(12)
	encoded := r.limit(windows)
	var tail settingsTail
	if len(r.rest) > 0 && json.Unmarshal(r.rest, &tail) != nil {
		return settings{}, errBroken
	}
	limit, err := parseStoredLimit(tail.Limit)
	if err != nil || r.broken || limit.Encode() != encoded {
		return settings{}, errBroken
	}
	s.Limit = limit
	return s, nil
}
