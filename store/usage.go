package store

import (
	"encoding/binary"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// How often a key is used is counted in memory, and added to what the store holds for this hour every [tallyEvery]: a check pays one atomic addition. Of more than [tallySize] keys some wait for
// the next time, so that the store is not kept from checks; while [maxWaiting] wait, checks of others are not counted. What waits dies with a process that is killed. Each day of a key is one value of 24 hours, two big-endian numbers of 4 bytes each: allowed and refused.
const (
	tallyEvery = 10 * time.Second
	tallySize  = 10_000
	usageDays  = 30
	// maxWaiting bounds what waits to as many as the service remembers keys, of 100 bytes each.
	maxWaiting = maxHints
	// usageLength is the length of a day's value.
	usageLength = 24 * 2 * 4
)

// Usage is how often a key was checked in one hour.
type Usage struct {
	Hour    time.Time // its beginning, UTC
	Allowed int
	Refused int // though the key exists: over quota, disabled, expired, or its workspace suspended
}

// metered is a key whose checks are counted.
type metered struct {
	place            place
	allowed, refused atomic.Uint32 // since the last flush
}

// counts are what was counted of a key.
type counts struct {
	place            place
	allowed, refused uint32
}

// tally has the keys that have been checked since the last flush, and adds what was counted to the store.
type tally struct {
	add func(hour time.Time, list []counts) error

	mu      sync.Mutex
	waiting []*metered // a key that was both allowed and refused stands here twice
}

func (t *tally) count(c *metered, verdict Verdict) {
	number := &c.refused
	if verdict == Allowed {
		number = &c.allowed
	}
	if number.Add(1) > 1 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.waiting) >= maxWaiting {
		number.Store(0) // so that the next check of the key tries again
		return
	}
	t.waiting = append(t.waiting, c)
}

// take returns what was counted of those who wait longest, has their counts begin anew, and reports whether nobody else waits.
func (t *tally) take() (list []counts, all bool) {
	t.mu.Lock()
	n := min(len(t.waiting), tallySize)
	waiting := t.waiting[:n:n]
	t.waiting = t.waiting[n:]
	all = len(t.waiting) == 0
	t.mu.Unlock()
	list = make([]counts, 0, len(waiting))
	for _, c := range waiting {
		if taken := (counts{c.place, c.allowed.Swap(0), c.refused.Swap(0)}); taken.allowed+taken.refused > 0 {
			list = append(list, taken)
		}
	}
	return list, all
}

// flush adds what was counted to the store, and reports whether that was all. What could not be written is lost: it may have been added.
func (t *tally) flush() (all bool, err error) {
	list, all := t.take()
	if len(list) > 0 {
		err = t.add(time.Now().UTC().Truncate(time.Hour), list)
	}
	return all, err
}

// flushForever flushes until stop, and then what is left, for as long as one flush may take.
func (t *tally) flushForever(stop <-chan struct{}, logger *slog.Logger) {
	ticker := time.NewTicker(tallyEvery)
	defer ticker.Stop()
	failing := false
	for ended := false; !ended; {
		select {
		case <-stop:
			ended = true
		case <-ticker.C:
		}
		all, err := t.flush()
		for end := time.Now().Add(tallyEvery); ended && !all && err == nil && time.Now().Before(end); {
			all, err = t.flush()
		}
		if err != nil && !failing {
			logger.Error("usage of keys cannot be written, and is lost", "error", err)
		}
		failing = err != nil
	}
}

// dayOf is the number of the day since 1970.
func dayOf(t time.Time) int64 { return t.Unix() / (24 * 60 * 60) }

// lastDays returns the days of which something may be shown at now, oldest first: thirty times 24 hours begin on the first of 31.
func lastDays(now time.Time) []int64 {
	var days []int64
	for day := dayOf(now) - usageDays; day <= dayOf(now); day++ {
		days = append(days, day)
	}
	return days
}

// appendUsage appends the hours of a day's value, which may be short, that were used and begin within the last 30 days.
func appendUsage(list []Usage, day int64, value []byte, now time.Time) []Usage {
	for hour := 0; 8*hour+8 <= len(value); hour++ {
		u := Usage{
			Hour:    time.Unix((day*24+int64(hour))*60*60, 0).UTC(),
			Allowed: int(binary.BigEndian.Uint32(value[8*hour:])), Refused: int(binary.BigEndian.Uint32(value[8*hour+4:])),
		}
		if u.Allowed+u.Refused > 0 && u.Hour.After(now.Add(-usageDays*24*time.Hour)) {
			list = append(list, u)
		}
	}
	return list
}
