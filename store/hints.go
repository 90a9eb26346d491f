package store

import (
	"sync"
	"sync/atomic"
	"time"
)

// hint is what this process remembers of a digest: its place, which never changes, and for a moment that its quota was used up. It is no answer: a place is proven again by
// every check, and nothing about a key's validity is kept.
type hint struct {
	metered
	slot    uint16
	shared  atomic.Bool // the workspace has had a limit of its own
	refused atomic.Pointer[refusal]
}

// refusal is a refusal over quota, repeated for up to [refusalLife].
type refusal struct {
	changes  int64 // hints.changes when it was asked for
	until    time.Time
	at       time.Time // when standing.Wait was true
	standing Standing
}

const (
	// refusalLife is how long a refusal over quota may be repeated, counted from before it was asked for.
	refusalLife = 20 * time.Millisecond
	// hintShards divides the hints, so that checks on several cores seldom meet at a lock.
	hintShards = 64
	// maxHints bounds the memory of hints to about 200 MB. The hint of a key costs about 200 bytes; without it, a check takes two round trips.
	maxHints = 1_000_000
)

// hints remembers places by digest. The zero value is empty.
type hints struct {
	// changes counts what this process has changed: a refusal from before a change is not repeated, so that a quota raised here is felt here at once.
	changes atomic.Int64
	shards  [hintShards]struct {
		sync.RWMutex
		places map[Digest]*hint
	}
}

func (h *hints) get(d Digest) *hint {
	shard := &h.shards[d[31]%hintShards]
	shard.RLock()
	defer shard.RUnlock()
	return shard.places[d]
}

// put remembers a place. A full shard forgets any one hint for it.
func (h *hints) put(d Digest, p place, slot uint16) *hint {
	shard := &h.shards[d[31]%hintShards]
	fresh := &hint{metered: metered{place: p}, slot: slot}
	shard.Lock()
	defer shard.Unlock()
	if shard.places == nil {
		shard.places = make(map[Digest]*hint)
	}
	if len(shard.places) >= maxHints/hintShards {
		for old := range shard.places {
			delete(shard.places, old)
			break
		}
	}
	shard.places[d] = fresh
	return fresh
}

func (h *hints) drop(d Digest) {
	shard := &h.shards[d[31]%hintShards]
	shard.Lock()
	defer shard.Unlock()
	delete(shard.places, d)
}

// refuse remembers a refusal that was asked for at start, after so many changes, and stands like this now.
func (h *hint) refuse(standing *Standing, changes int64, start time.Time) {
	now, until := time.Now(), start.Add(refusalLife)
	if reset := now.Add(standing.Wait); reset.Before(until) {
		until = reset
	}
	h.refused.Store(&refusal{changes: changes, until: until, at: now, standing: *standing})
}

// holds reports whether the refusal may be repeated at now, after so many changes.
func (r *refusal) holds(now time.Time, changes int64) bool {
	return r.changes == changes && now.Before(r.until)
}
