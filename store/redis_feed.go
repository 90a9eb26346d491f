package store

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// announceSize is how many revocations are sent to Redis at once.
const announceSize = 500

// Announce appends to the feed, a stream of bounded length.
func (r *Redis) Announce(ctx context.Context, revocations []Revocation) error {
	defer r.metrics.observe("announce", time.Now())
	for len(revocations) > 0 {
		n := min(len(revocations), announceSize)
		_, err := r.control.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, rev := range revocations[:n] {
				p.XAdd(ctx, &redis.XAddArgs{Stream: r.names.revocations(), MaxLen: FeedLength, Values: []any{"workspace", rev.Workspace, "key", rev.KeyID}})
			}
			return nil
		})
		if err != nil {
			return r.failed("announce", err)
		}
		revocations = revocations[n:]
	}
	return nil
}

// Revocations reads on in the feed. What was cut off its beginning is a gap; so is an id ahead of its end, which a failover has lost.
func (r *Redis) Revocations(ctx context.Context, after string, limit int) ([]Revocation, error) {
	defer r.metrics.observe("revocations", time.Now())
	at, ok := parseStreamID(after)
	if !ok {
		return nil, ErrGap
	}
	var length *redis.IntCmd
	var oldest, newest, next *redis.XMessageSliceCmd
	_, err := r.control.TxPipelined(ctx, func(p redis.Pipeliner) error {
		stream := r.names.revocations()
		length, oldest, newest = p.XLen(ctx, stream), p.XRangeN(ctx, stream, "-", "+", 1), p.XRevRangeN(ctx, stream, "+", "-", 1)
		next = p.XRangeN(ctx, stream, "("+after, "+", int64(limit))
		return nil
	})
	if err != nil {
		return nil, r.failed("revocations", err)
	}
	cut := length.Val() >= FeedLength && at.before(firstID(oldest.Val()))
	if ahead := firstID(newest.Val()).before(at); cut || ahead {
		return nil, ErrGap
	}
	list := make([]Revocation, len(next.Val()))
	for i, m := range next.Val() {
		list[i].ID = m.ID
		list[i].Workspace, _ = m.Values["workspace"].(string)
		list[i].KeyID, _ = m.Values["key"].(string)
	}
	return list, nil
}

// LastRevocation returns the id of the newest revocation.
func (r *Redis) LastRevocation(ctx context.Context) (string, error) {
	defer r.metrics.observe("revocations", time.Now())
	newest, err := r.control.XRevRangeN(ctx, r.names.revocations(), "+", "-", 1).Result()
	return firstID(newest).String(), r.failed("revocations", err)
}

// streamID is the id of an entry of a stream: milliseconds, and a number within them.
type streamID struct{ ms, number uint64 }

func (id streamID) String() string { return fmt.Sprintf("%d-%d", id.ms, id.number) }

func (id streamID) before(other streamID) bool {
	return id.ms < other.ms || (id.ms == other.ms && id.number < other.number)
}

// parseStreamID reads an id as String writes it.
func parseStreamID(text string) (id streamID, ok bool) {
	_, err := fmt.Sscanf(text, "%d-%d", &id.ms, &id.number)
	return id, err == nil && id.String() == text
}

// firstID is the id of the first message; zero if there is none.
func firstID(messages []redis.XMessage) (id streamID) {
	if len(messages) > 0 {
		id, _ = parseStreamID(messages[0].ID)
	}
	return id
}
