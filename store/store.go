// Package store holds what a key is and where keys live.
//
// The path of one check: token.go turns a presented credential into a [Digest]; Verify finds the key that the digest belongs to, takes its permits and says what was
// decided, in one atomic step. Two stores keep one contract, which package storetest tests on both: [Redis] (redis*.go, and the scripts beside them), shared by any number of
// instances, and [Embedded] (embedded*.go), a file of one process.
package store

import (
	"context"
	"errors"
	"time"

	"tpgate/limiter"
)

// Errors on which callers branch. All others mean that the store could not answer or do what it was asked.
var (
	ErrNotFound = errors.New("no such key in this workspace")
	ErrExists   = errors.New("the key or its id exists already")
	ErrIDTaken  = errors.New("there is a key of this id with another secret")
	ErrGap      = errors.New("revocations may be missing")
	ErrInUse    = errors.New("in use by another tpgate process") // the embedded store
	ErrConflict = errors.New("the key was changed by others at the same time too often: try again")
)

// Verifier decides checks.
type Verifier interface {
	// Verify decides one check of the key with this digest and takes its permits, atomically. It MUST return by the deadline, and MUST answer [Unavailable] whenever it could not
	// prove the answer; the permit may then have been taken. A verdict other than [Allowed] takes nothing. The decision MUST reflect every change whose
	// method returned before Verify was called, on any instance; only [Limited] may be up to 20 ms old.
	Verify(digest Digest, deadline time.Time) Decision
}

// Keys keeps the keys of all workspaces. Methods return when the change is durable and holds for every check that starts afterwards, on every instance.
type Keys interface {
	// Create adds the key as given, with Version 1. ErrExists if its digest or its id in the workspace is taken.
	Create(ctx context.Context, key Key) (Key, error)
	// Key returns one key. ErrNotFound if the workspace has none of that id.
	Key(ctx context.Context, workspace, id string) (Key, error)
	// ListKeys returns up to limit keys of the workspace that come after the position, newest first (CreatedAt, then ID, both descending). The zero Position is before the newest.
	// A key that exists throughout appears exactly once in a walk over all pages, whatever is created or deleted meanwhile.
	ListKeys(ctx context.Context, workspace string, after Position, limit int) ([]Key, error)
	// UpdateKey applies change to the key as it is now and stores the outcome with Version+1, unless the key has changed in between: then it starts anew, so that no update is lost.
	// change may run several times; its error is returned as it is and nothing is stored. ID, Workspace, CreatedAt and LastUsedAt cannot be changed. A changed Digest is found at once and must be new (ErrExists).
	UpdateKey(ctx context.Context, workspace, id string, change func(*Key) error) (Key, error)
	// DeleteKey removes the key for good. ErrNotFound if there is none.
	DeleteKey(ctx context.Context, workspace, id string) error
	// DeleteKeys removes all keys that the workspace has, in one step. No error if there are none.
	DeleteKeys(ctx context.Context, workspace string) error
}

// Importer takes over keys that were made elsewhere, and finds those that are not verified by a digest yet.
type Importer interface {
	// Import adds keys as Create does, many in few steps, and returns one error a key: nil, ErrExists, or why it could not be added. A key with a Fingerprint that was imported before, be it deleted
	// since, is ErrExists, and keys[i].ID is then the id that it has, or had. One that is not there, but whose id is, is ErrIDTaken. It sets the ids of keys that have none. What is done stays done if ctx ends.
	Import(ctx context.Context, keys []Key) []error
	// Foresee returns the error that Import would return for this key alone, and changes nothing but the key's id, which it sets to that of what is there if the error is ErrExists.
	Foresee(ctx context.Context, key *Key) error
	// Find returns the key of a digest that is not verified but looked up: that of a bcrypt row ([LookupDigest]). ErrNotFound if there is none.
	Find(ctx context.Context, digest Digest) (Key, error)
	// HasLegacy reports whether there may be keys with a Legacy hash. After an import by another instance it may be a second late.
	HasLegacy() bool
}

// Journal keeps the audit trail: the newest [JournalLength] entries.
type Journal interface {
	// Record appends an entry and returns when it is durable. It sets the entry's ID.
	Record(ctx context.Context, entry Entry) error
	// Entries returns up to limit entries, newest first, that are older than the one of this id ("": from the newest).
	Entries(ctx context.Context, before string, limit int) ([]Entry, error)
}

// Meter tells how often keys are used.
type Meter interface {
	// Usage returns the hours of the last 30 days in which the key was checked, oldest first. What other instances have counted is ten seconds behind, for each 10,000 keys that
	// are in use there.
	Usage(ctx context.Context, workspace, id string) ([]Usage, error)
}

// Feed tells those who listen which keys stopped being valid: the newest [FeedLength] revocations.
type Feed interface {
	// Announce appends revocations, and returns when every instance can read them. It sets no ids.
	Announce(ctx context.Context, revocations []Revocation) error
	// Revocations returns up to limit revocations that were announced after the one of this id, oldest first. ErrGap if some of them may be gone, or there never was such an id.
	Revocations(ctx context.Context, after string, limit int) ([]Revocation, error)
	// LastRevocation returns the id after which nothing was announced yet.
	LastRevocation(ctx context.Context) (string, error)
}

// Notes keeps small values for a time, so that a repeated request is known on every instance.
type Notes interface {
	// Claim stores value under name for ttl and returns nil, unless there is a value: then it returns that and stores nothing.
	Claim(ctx context.Context, name string, value []byte, ttl time.Duration) ([]byte, error)
	// Replace stores value under name for ttl if the value there is old, and reports whether it was. A nil value removes it.
	Replace(ctx context.Context, name string, old, value []byte, ttl time.Duration) (bool, error)
}

// Workspaces keeps what is set for a workspace as a whole. Every well-formed workspace exists.
type Workspaces interface {
	// Workspace returns the workspace, with zero settings if nothing was ever set.
	Workspace(ctx context.Context, id string) (Workspace, error)
	// ListWorkspaces returns up to limit workspaces that have or had keys or settings, with ids greater than after, in the order of their ids.
	ListWorkspaces(ctx context.Context, after string, limit int) ([]Workspace, error)
	// UpdateWorkspace is UpdateKey for a workspace. ID and Keys cannot be changed.
	UpdateWorkspace(ctx context.Context, id string, change func(*Workspace) error) (Workspace, error)
}

// Store is where keys live.
type Store interface {
	Verifier
	Keys
	Importer
	Workspaces
	Journal
	Feed
	Meter
	Notes
	// Ready returns nil if the store can answer checks now, else why it cannot. It reads only, and returns within a second.
	Ready(ctx context.Context) error
	// Close ends the store; no method may be called afterwards.
	Close() error
}

// Defaults are the limits of keys and workspaces that have none of their own. Both are set.
type Defaults struct {
	KeyLimit       limiter.Limit
	WorkspaceLimit limiter.Limit
}

// Position is a place in a workspace's list of keys: that of the last key seen.
type Position struct {
	CreatedAt time.Time
	ID        string
}
