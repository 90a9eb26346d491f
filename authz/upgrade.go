package authz

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"

	"tpgate/store"
)

// Upgrader is the part of a store that moves a key to another digest.
type Upgrader interface {
	Find(ctx context.Context, digest store.Digest) (store.Key, error)
	UpdateKey(ctx context.Context, workspace, id string, change func(*store.Key) error) (store.Key, error)
	HasLegacy() bool
}

// Bounds of the work for keys that are not stored under the current digest.
const (
	// upgradeTimeout is a deadline of its own for bcrypt and what follows; the check that asked for it may have been answered 503 meanwhile, and a retry finds the work done.
	upgradeTimeout = 2 * time.Second
	// maxRefused is how many secrets that are not those of a row are remembered; one more empties the memory.
	maxRefused = 10_000
	// maxUpgrades is how many keys may wait for their upgrade at once; one more is answered 503.
	maxUpgrades = 256
)

// errBusy means that too many imported keys are being verified for the first time at once.
var errBusy = errors.New("too many imported keys are used for the first time at this moment")

// errChanged ends an update of a key that is not any more what it was when it was verified.
var errChanged = errors.New("the key was changed meanwhile")

// upgrades verifies and moves keys that are stored under an older pepper, or as a bcrypt row. Each key is worked on once at a time, and bcrypt, which takes a core
// for a quarter of a second, only as often at once as leaves cores for the others.
type upgrades struct {
	keys    Upgrader
	logger  *slog.Logger
	cores   chan struct{}
	mu      sync.Mutex
	pending map[store.Digest]*upgrade
	// refused has the bcrypt hashes that secrets, named by their digests, do not match. A comparison may take longer than a check may: whoever asks again finds it done.
	refused map[store.Digest]string
}

// upgrade is the work for one key; done is closed when it is over.
type upgrade struct {
	done chan struct{}
	err  error
}

func newUpgrades(keys Upgrader, logger *slog.Logger) *upgrades {
	return &upgrades{keys: keys, logger: logger, cores: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)), pending: map[store.Digest]*upgrade{}, refused: map[store.Digest]string{}}
}

// start begins work for the key of this digest, unless it is under way. It returns nil if there is too much work.
func (u *upgrades) start(digest store.Digest, work func(context.Context) error) *upgrade {
	u.mu.Lock()
	defer u.mu.Unlock()
	if job, ok := u.pending[digest]; ok {
		return job
	}
	if len(u.pending) >= maxUpgrades {
		return nil
	}
	job := &upgrade{done: make(chan struct{})}
	u.pending[digest] = job
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), upgradeTimeout)
		defer cancel()
		job.err = work(ctx)
		u.mu.Lock()
		delete(u.pending, digest)
		u.mu.Unlock()
		close(job.done)
	}()
	return job
}

// adopt moves a key from an older digest to the current one, in the background: the check need not wait, and the next use tries again if it fails.
func (u *upgrades) adopt(d *store.Decision, older, current store.Digest) {
	workspace, id := d.Workspace, d.KeyID
	u.start(current, func(ctx context.Context) error {
		_, err := u.keys.UpdateKey(ctx, workspace, id, func(k *store.Key) error {
			switch older {
			case k.Digest:
				k.Digest = current
			case k.Previous:
				k.Previous = current
			default:
				return errChanged
			}
			return nil
		})
		if err != nil && !errors.Is(err, errChanged) {
			u.logger.Warn("key not moved to the current pepper", "key_id", id, "error", err)
		}
		return err
	})
}

// legacy verifies a key that was imported as a bcrypt row, and stores it under its digest. It returns an error unless that is done by the deadline, or there is no such key.
func (u *upgrades) legacy(key string, lookup, current store.Digest, deadline time.Time) error {
	job := u.start(current, func(ctx context.Context) error { return u.verify(ctx, key, lookup, current) })
	if job == nil {
		return errBusy
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-job.done:
		return job.err
	case <-timer.C:
		return context.DeadlineExceeded
	}
}

// verify is the work of legacy. A row that was deleted or changed since it was read stays as it is.
func (u *upgrades) verify(ctx context.Context, key string, lookup, current store.Digest) error {
	row, err := u.keys.Find(ctx, lookup)
	if errors.Is(err, store.ErrNotFound) || (err == nil && row.Legacy.Hash == "") {
		return nil
	}
	if err != nil {
		return err
	}
	if matches, err := u.compare(ctx, key, current, row.Legacy.Hash); err != nil || !matches {
		return err
	}
	_, err = u.keys.UpdateKey(ctx, row.Workspace, row.ID, func(k *store.Key) error {
		if k.Legacy != row.Legacy {
			return errChanged
		}
		if k.IsLegacy() {
			k.Digest = current
		} else {
			k.Previous = current // rotated since, with an overlap
		}
		k.Legacy = store.Legacy{}
		return nil
	})
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, errChanged) {
		return nil
	}
	return err
}

// compare reports whether a key has this bcrypt hash.
func (u *upgrades) compare(ctx context.Context, key string, current store.Digest, hash string) (bool, error) {
	u.mu.Lock()
	refused := u.refused[current] == hash
	u.mu.Unlock()
	if refused {
		return false, nil
	}
	select {
	case u.cores <- struct{}{}:
		defer func() { <-u.cores }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	if bcrypt.CompareHashAndPassword([]byte(hash), []byte(key)) == nil {
		return true, nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.refused) >= maxRefused {
		clear(u.refused)
	}
	u.refused[current] = hash
	return false, nil
}
