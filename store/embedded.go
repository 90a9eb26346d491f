package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"tpgate/limiter"
)

// EmbeddedConfig says where an embedded store lives.
type EmbeddedConfig struct {
	Dir      string // the keys are in Dir/keys.db; both are made if missing, for this user alone
	Defaults Defaults
	Metrics  *Metrics
	Logger   *slog.Logger
}

// Embedded keeps keys in a file of this process alone, and all of them in memory for reading. Use [OpenEmbedded].
//
// A change (embedded_keys.go, embedded_workspaces.go) is committed to the file and fsynced (embedded_file.go), then applied to memory (embedded_memory.go), then acknowledged: memory
// is never ahead of the file. The fingerprints of imported keys, the audit trail and notes (embedded_import.go, embedded_journal.go, embedded_notes.go) are in the file alone. A check (embedded_verify.go) reads memory only, so it goes on when the file cannot be written. Times of last use follow later (embedded_used.go). Windows are in memory alone.
//
// Locks, in the order in which they may be taken: writing, mu, a workspace's mu, a shard's mu.
type Embedded struct {
	defaults Defaults
	metrics  *Metrics
	logger   *slog.Logger
	opened   time.Time

	index   digestIndex
	used    usedKeys
	legacy  atomic.Int64 // number of keys with a Legacy hash
	journal pendingEntries
	feed    *feed
	tally   tally

	writing sync.Mutex // one change at a time, from reading memory to applying the outcome
	file    *keyFile   // under writing

	mu         sync.RWMutex
	workspaces map[string]*embeddedWorkspace
	names      []string // of workspaces, in order

	stop  chan struct{}
	tasks sync.WaitGroup
}

var _ Store = (*Embedded)(nil)

// OpenEmbedded opens the store of this directory. Only one process at a time can have it open.
func OpenEmbedded(config EmbeddedConfig) (*Embedded, error) {
	e := newEmbedded(config)
	file, err := openKeyFile(config.Dir)
	if err != nil {
		return nil, err
	}
	if err := undamaged(file.db.Path(), "opening", func() error { return file.load(e) }); err != nil {
		return nil, errors.Join(err, file.db.Close())
	}
	e.file, e.tally.add = file, e.addUsage
	e.tasks.Go(e.flushForever)
	e.tasks.Go(func() { e.tally.flushForever(e.stop, e.logger) })
	return e, nil
}

// CheckEmbedded reads the store of this directory, which is there, and returns why it could not be opened. It changes nothing.
func CheckEmbedded(config EmbeddedConfig) error {
	file, err := openDatabase(config.Dir, &bbolt.Options{ReadOnly: true}, func(f *keyFile) error { return f.load(newEmbedded(config)) })
	if err != nil {
		return err
	}
	return file.db.Close()
}

func newEmbedded(config EmbeddedConfig) *Embedded {
	opened := time.Now()
	return &Embedded{
		defaults: config.Defaults, metrics: config.Metrics, logger: config.Logger, opened: opened,
		index: newDigestIndex(), workspaces: map[string]*embeddedWorkspace{}, feed: newFeed(opened), stop: make(chan struct{}),
	}
}

// Pacer returns a pacer of this process.
func (e *Embedded) Pacer() limiter.Pacer { return limiter.NewLocalPacer() }

// Ready returns nil: checks need only memory.
func (e *Embedded) Ready(context.Context) error { return nil }

// Close writes what the file does not have yet and ends the store.
func (e *Embedded) Close() error {
	close(e.stop)
	e.tasks.Wait()
	flushed := e.flush()
	e.writing.Lock()
	defer e.writing.Unlock()
	if err := errors.Join(flushed, e.file.db.Close()); err != nil {
		return fmt.Errorf("closing the key file: %w", err)
	}
	return nil
}

// exclusive runs a change while no other change runs. It observes the time, waiting included.
func (e *Embedded) exclusive(ctx context.Context, operation string, change func() error) error {
	defer e.metrics.observe(operation, time.Now())
	e.writing.Lock()
	defer e.writing.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("store: %s: %w", operation, err)
	}
	return change()
}

// commit writes to the file, durably when it returns nil. The caller is within exclusive.
func (e *Embedded) commit(operation string, write func(*bbolt.Tx) error) error {
	if err := e.file.commit(write); err != nil {
		e.metrics.errors.WithLabelValues(operation, "file").Inc()
		return fmt.Errorf("store: %s: %w", operation, err)
	}
	return nil
}

// workspace returns the workspace of this id, nil if it never had keys or settings.
func (e *Embedded) workspace(id string) *embeddedWorkspace {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.workspaces[id]
}

// embeddedWorkspace is a workspace in memory. Whoever changes anything but admissions and times of use is within exclusive as well, and may read without mu there.
type embeddedWorkspace struct {
	mu         sync.Mutex
	settings   Workspace // Keys is not kept here
	admissions limiter.Admissions
	keys       map[string]*embeddedKey
	order      []*embeddedKey // oldest first
}

// embeddedKey is a key in memory, guarded by its workspace's mu.
type embeddedKey struct {
	Key // LastUsedAt is not kept here
	metered
	workspace  *embeddedWorkspace
	admissions limiter.Admissions
	used       int64 // time of last use in ms since 1970, 0: never
	waiting    bool  // for its time of last use to be written
	gone       bool  // deleted; somebody may have found it just before
}

func newEmbeddedKey(key *Key) *embeddedKey {
	return &embeddedKey{Key: *key, metered: metered{place: place{key.Workspace, key.ID}}, used: millis(key.LastUsedAt)}
}

// snapshot returns the key as it is now.
func (k *embeddedKey) snapshot() Key {
	key := k.Key
	key.LastUsedAt = timeOf(k.used)
	return key
}

// digestIndex finds keys by their digests. It is in shards, so that checks on several processors do not wait for each other; digests are random, so nobody can choose one's shard.
type digestIndex []digestShard

type digestShard struct {
	mu   sync.RWMutex
	keys map[Digest]*embeddedKey
	_    [32]byte // a cache line of its own
}

func newDigestIndex() digestIndex {
	index := make(digestIndex, 64)
	for i := range index {
		index[i].keys = map[Digest]*embeddedKey{}
	}
	return index
}

func (x digestIndex) find(digest Digest) *embeddedKey {
	shard := &x[int(digest[0])%len(x)]
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	return shard.keys[digest]
}

// taken reports whether a digest of key belongs to another key than owner.
func (x digestIndex) taken(key *Key, owner *embeddedKey) bool {
	for _, digest := range key.digests() {
		if found := x.find(digest); found != nil && found != owner {
			return true
		}
	}
	return false
}

func (x digestIndex) enter(k *embeddedKey, digests []Digest) {
	for _, digest := range digests {
		shard := &x[int(digest[0])%len(x)]
		shard.mu.Lock()
		shard.keys[digest] = k
		shard.mu.Unlock()
	}
}

func (x digestIndex) drop(digests []Digest) {
	for _, digest := range digests {
		shard := &x[int(digest[0])%len(x)]
		shard.mu.Lock()
		delete(shard.keys, digest)
		shard.mu.Unlock()
	}
}
