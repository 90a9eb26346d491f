package store

import (
	"context"
	"sync"
	"time"
)

// feed keeps revocations in memory: who listens to an embedded store listens to its process, and after a restart there is a gap.
type feed struct {
	mu   sync.Mutex
	last streamID     // its ms are those of the store's opening: ids of another process are not ours
	kept []Revocation // the newest, oldest first
}

func newFeed(opened time.Time) *feed { return &feed{last: streamID{ms: uint64(opened.UnixMilli())}} }

// Announce appends to the feed.
func (e *Embedded) Announce(_ context.Context, revocations []Revocation) error {
	f := e.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, rev := range revocations {
		f.last.number++
		rev.ID = f.last.String()
		f.kept = append(f.kept, rev)
	}
	if more := len(f.kept) - FeedLength; more > 0 {
		f.kept = append(f.kept[:0:0], f.kept[more:]...)
	}
	return nil
}

// Revocations reads on in the feed.
func (e *Embedded) Revocations(_ context.Context, after string, limit int) ([]Revocation, error) {
	f := e.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	at, ok := parseStreamID(after)
	waiting := f.last.number - at.number
	if !ok || at.ms != f.last.ms || at.number > f.last.number || waiting > uint64(len(f.kept)) {
		return nil, ErrGap
	}
	next := f.kept[len(f.kept)-int(waiting):]
	return append([]Revocation(nil), next[:min(len(next), limit)]...), nil
}

// LastRevocation returns the id of the newest revocation.
func (e *Embedded) LastRevocation(context.Context) (string, error) {
	e.feed.mu.Lock()
	defer e.feed.mu.Unlock()
	return e.feed.last.String(), nil
}
