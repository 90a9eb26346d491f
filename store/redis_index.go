package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"tpgate/limiter"
)

// claimDigest enters a digest into the index. An entry of another place is respected only while a record proves it: a crash or a deleted workspace may have left it behind.
func (r *Redis) claimDigest(ctx context.Context, digest Digest, p place) error {
	believed := ""
	for range maxConflicts {
		found, err := r.setIndex(ctx, digest, believed, p.String())
		if err != nil || found == "" || found == p.String() {
			return err
		}
		taken, err := r.proves(ctx, digest, found)
		if err != nil {
			return err
		}
		if taken {
			return ErrExists
		}
		believed = found
	}
	return ErrConflict
}

// proves reports whether the key at this place has the digest.
func (r *Redis) proves(ctx context.Context, digest Digest, text string) (bool, error) {
	p, ok := parsePlace(text)
	if !ok {
		return false, nil
	}
	key, _, err := r.read(ctx, p)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return key.Digest == digest || key.Previous == digest, err
}

// dropDigests removes index entries that name this place. If it cannot, the entries stay and mean nothing, as no record proves them. Afterwards it looks whether a record proves them all the same: a
// key that came into this place meanwhile wrote its record first, and may have found the entry there.
func (r *Redis) dropDigests(ctx context.Context, p place, digests []Digest) {
	ctx = context.WithoutCancel(ctx)
	for _, d := range digests {
		_, err := r.setIndex(ctx, d, p.String(), "")
		proven, failure := r.proves(ctx, d, p.String())
		if proven {
			failure = r.claimDigest(ctx, d, p)
		}
		if err = errors.Join(err, failure); err != nil {
			r.logger.Warn("index entry left behind", "workspace", p.workspace, "key_id", p.id, "error", err)
		}
	}
}

// setIndex sets the entry of a digest if it is what the caller believes ("": none), and returns "" or what it is instead.
func (r *Redis) setIndex(ctx context.Context, digest Digest, believed, next string) (string, error) {
	found, err := indexScript.Run(ctx, r.control, []string{r.names.bucketOf(digest).name}, r.id, digest[:], believed, next).Text()
	if err == nil && found == "!" {
		return "", errLost
	}
	return found, err
}

// keepFor is how long, in milliseconds, a list of admissions must be kept after a limit was set: its newest may lie a widest window ahead, if the clock was put back.
func keepFor(limit *limiter.Limit) int64 { return 2*limit.Longest().Milliseconds() + 15000 }

// changed ends an operation that may have changed what checks come to.
func (r *Redis) changed(operation string, start time.Time) {
	r.hints.changes.Add(1)
	r.metrics.observe(operation, start)
}

// failed counts an error of the store and says which operation it ended. What callers branch on passes as it is.
func (r *Redis) failed(operation string, err error) error {
	if err == nil || errors.Is(err, ErrNotFound) || errors.Is(err, ErrExists) || errors.Is(err, ErrIDTaken) || errors.Is(err, ErrConflict) {
		return err
	}
	r.metrics.errors.WithLabelValues(operation, errorKind(err)).Inc()
	return fmt.Errorf("store: %s: %w", operation, err)
}

// errorKind is the metrics' label of an error, from a closed set.
func errorKind(err error) string {
	switch {
	case errors.Is(err, errLost):
		return "lost"
	case errors.Is(err, errBroken):
		return "broken"
	case errors.Is(err, errMisdelivered):
		return "misdelivered"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, errNoLane), isTimeout(err):
		return "timeout"
	case errors.Is(err, context.Canceled):
		return "canceled"
	}
	if _, ok := errors.AsType[redis.Error](err); ok {
		return "refused"
	}
	if _, ok := errors.AsType[errReply](err); ok {
		return "refused"
	}
	return "connection"
}
