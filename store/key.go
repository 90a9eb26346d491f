package store

import (
	"fmt"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"

	"tpgate/limiter"
)

// Key is one API key. Times are UTC with millisecond precision; the zero time means never (or none).
type Key struct {
	ID        string // random, stays through rotation, 1–64 of [A-Za-z0-9_-]
	Workspace string
	Name      string
	Hint      string // "tp_" + 4 characters + "…"
	Digest    Digest
	// Previous is the digest before the last rotation; it is valid until PreviousUntil, exclusively.
	Previous      Digest
	PreviousUntil time.Time
	ExpiresAt     time.Time     // the first instant at which the key is expired
	Limit         limiter.Limit // the key's own; not set: the service's default
	Disabled      bool
	CreatedAt     time.Time
	LastUsedAt    time.Time // at most 60 s behind
	Version       int64     // 1 at creation, +1 with every change
	// Legacy is the bcrypt hash of a secret that was imported and not used since. The secret's digest, here or as Previous, is then that of its look-up ([LookupDigest]) and verifies nothing.
	Legacy Legacy
	// Fingerprint tells what the key was imported from; zero: it was made here. It outlives the key.
	Fingerprint Digest
}

// Legacy is a row of TryPost's table of keys: what is needed to verify the key once more with bcrypt.
type Legacy struct {
	Lookup string // the first 16 characters of the secret behind the prefix
	Hash   string // bcrypt of the whole key, such as $2y$12$…
}

// JournalLength is how many entries of the audit trail are kept.
const JournalLength = 100_000

// Entry is one line of the audit trail.
type Entry struct {
	ID        string // grows with time; unique
	Time      time.Time
	Actor     string // name of the admin token
	Action    string // such as "key.create"
	Workspace string
	KeyID     string
	Address   string // that the request came from
}

// FeedLength is how many revocations are kept.
const FeedLength = 10_000

// Revocation says that a key, or a secret of it, stopped being valid. Without a key: whatever is remembered of any key may be wrong.
type Revocation struct {
	ID        string // grows with time; unique
	Workspace string
	KeyID     string
}

// Workspace is what is set for all keys of a workspace together.
type Workspace struct {
	ID        string
	Limit     limiter.Limit // shared by all keys; not set: the service's default
	Suspended bool
	Keys      int   // number of keys
	Version   int64 // +1 with every change
}

// Status is what a list of keys shows.
type Status string

// The statuses of a key, as lists show them.
const (
	StatusActive   Status = "active"
	StatusExpired  Status = "expired"
	StatusDisabled Status = "disabled"
)

// StatusAt returns the key's status at now. A disabled key is "disabled" even after it expired, as a check says it too.
func (k *Key) StatusAt(now time.Time) Status {
	switch {
	case k.Disabled:
		return StatusDisabled
	case !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt):
		return StatusExpired
	default:
		return StatusActive
	}
}

// IsLegacy reports whether only a bcrypt hash is known of the key's secret, the present one.
func (k *Key) IsLegacy() bool {
	return k.Legacy.Hash != "" && k.Digest == LookupDigest(k.Legacy.Lookup)
}

// digests returns the digests under which the key may be found.
func (k *Key) digests() []Digest {
	if k.Previous == (Digest{}) {
		return []Digest{k.Digest}
	}
	return []Digest{k.Digest, k.Previous}
}

// digestsBut returns those of its digests that other has not.
func (k *Key) digestsBut(other *Key) []Digest {
	held := other.digests()
	return slices.DeleteFunc(k.digests(), func(d Digest) bool { return slices.Contains(held, d) })
}

// found reports whether Find may return the key at now for this digest, one of its own.
func (k *Key) found(digest Digest, now time.Time) bool {
	return k.Digest == digest || (k.Previous == digest && now.Before(k.PreviousUntil))
}

// Verdict is what a check comes to. The zero Verdict denies.
type Verdict uint8

// The verdicts of a store, in their order of precedence after Unavailable and Allowed.
const (
	Unavailable Verdict = iota // nothing could be proven
	Allowed
	Unknown // no such key: never made, or deleted, or rotated away
	Disabled
	Expired
	Suspended
	Limited
)

// Decision is the outcome of one check.
type Decision struct {
	Verdict   Verdict
	Workspace string // of the key, whenever the key was found
	KeyID     string
	Standing  Standing // with Allowed and Limited; zero when no limit applies
	Err       error    // with Unavailable: why, for the log
}

// Standing is how a quota stands after a decision, told of the window that is closest to its end.
type Standing struct {
	Scope     Scope
	Window    limiter.Window
	Remaining int           // permits left
	Reset     time.Time     // when Remaining next grows
	Wait      time.Duration // from the decision to Reset, on the clock that decided; more than 0
}

// Scope says whose quota it is. The zero Scope: no limit applies.
type Scope uint8

// The scopes of a quota.
const (
	ScopeNone Scope = iota
	ScopeKey
	ScopeWorkspace
)

// ValidID reports whether s can be the id of a workspace or a key: 1–64 of [A-Za-z0-9_-].
func ValidID(s string) bool {
	if len(s) < 1 || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		if !alphanumeric[s[i]] && s[i] != '_' && s[i] != '-' {
			return false
		}
	}
	return true
}

// CheckName returns an error that says what is wrong with a key's name, nil for a good one: 1–255 characters of UTF-8 without control characters.
func CheckName(name string) error {
	switch n := utf8.RuneCountInString(name); {
	case n == 0:
		return fmt.Errorf("the name is empty")
	case !utf8.ValidString(name):
		return fmt.Errorf("the name is not UTF-8")
	case n > 255:
		return fmt.Errorf("the name has %d characters: at most 255 are allowed", n)
	}
	for _, r := range name {
		if unicode.IsControl(r) {
			return fmt.Errorf("the name contains a control character (%U)", r)
		}
	}
	return nil
}
