package store

import (
	"context"
	"sync"
	"time"

	"go.etcd.io/bbolt"
)

// A time of last use is at most this old in the file, plus the time that writing takes; in memory it is exact.
const flushEvery = 30 * time.Second

// flushSize is the number of times that are written at once, so that changes of keys do not have to wait long.
const flushSize = 5_000

// usedKeys are the keys whose time of last use the file does not have, each once.
type usedKeys struct {
	mu   sync.Mutex
	keys []*embeddedKey
}

func (u *usedKeys) add(keys ...*embeddedKey) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.keys = append(u.keys, keys...)
}

// takeAll empties the list and returns what it held.
func (u *usedKeys) takeAll() []*embeddedKey {
	u.mu.Lock()
	defer u.mu.Unlock()
	keys := u.keys
	u.keys = nil
	return keys
}

func (e *Embedded) flushForever() {
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	failing := false
	for {
		select {
		case <-e.stop:
			return
		case <-ticker.C:
		}
		err := e.flush()
		if err != nil && !failing {
			e.logger.Error("times of last use cannot be written; trying again every 30 s", "error", err)
		}
		failing = err != nil
	}
}

// flush writes the times of last use that the file does not have. What could not be written is tried again by the next.
func (e *Embedded) flush() error {
	waiting := e.used.takeAll()
	for len(waiting) > 0 {
		n := min(len(waiting), flushSize)
		if err := e.flushSome(waiting[:n]); err != nil {
			e.used.add(waiting...)
			return err
		}
		waiting = waiting[n:]
	}
	return nil
}

// flushSome writes the times of these keys. Those used again meanwhile wait again.
func (e *Embedded) flushSome(keys []*embeddedKey) error {
	return e.exclusive(context.Background(), "last_used", func() error {
		written := make([]int64, len(keys))
		err := e.commit("last_used", func(tx *bbolt.Tx) error {
			for i, k := range keys {
				written[i] = k.lastUse()
				if k.gone {
					continue
				}
				if err := putUsed(tx, &k.Key, written[i]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for i, k := range keys {
			if !k.settleUse(written[i]) {
				e.used.add(k)
			}
		}
		return nil
	})
}

func (k *embeddedKey) lastUse() int64 {
	k.workspace.mu.Lock()
	defer k.workspace.mu.Unlock()
	return k.used
}

// settleUse notes that this time of last use is in the file, and reports whether it still is the last.
func (k *embeddedKey) settleUse(written int64) bool {
	k.workspace.mu.Lock()
	defer k.workspace.mu.Unlock()
	k.waiting = k.used != written
	return !k.waiting
}
