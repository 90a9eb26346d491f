package store

import (
	"encoding/binary"
	"hash/maphash"
	"slices"
	"time"
)

// call is a check on its way, and after it the answer.
type call struct {
	digest   Digest
	place    place // zero: a look-up in the index
	slot     uint16
	asking   bool // redirected by ASK
	shared   bool // the workspace's quota is, or may be, on
	deadline time.Time

	permits int        // of this call and those merged into it
	merged  *call      // the next caller of the same entry
	until   time.Time  // the earliest deadline of them all
	wake    chan *lane // nil: there is an answer; a lane: lead the next flight over it

	answer
}

// answer is what came back for an entry.
type answer struct {
	verdict  byte // of verify.lua or lookup.lua; 0: no answer, err says why
	granted  int  // of the permits that the entry asked for
	standing Standing
	found    place  // by a look-up
	redirect string // Redis did not run the script and says where to ask, or to ask again
	err      error
}

// share answers the callers that were merged into c, wakes them, and leaves c its own answer.
func (c *call) share(self *call) {
	m := c.merged
	for i := 1; m != nil; i++ {
		next := m.merged
		m.answer = c.answer
		m.keep(i)
		if m != self {
			m.wake <- nil
		}
		m = next
	}
	c.keep(0)
}

// keep leaves of an entry's answer what is the i-th caller's: permits go to the first ones, each with one less remaining than the one before.
func (a *answer) keep(i int) {
	if i < a.granted {
		a.standing.Remaining += a.granted - 1 - i
		a.granted = 1
	} else {
		a.granted = 0
	}
}

// flight is a batch of calls: gathering, then under way.
type flight struct {
	lane     *lane
	verifies []*call
	lookups  []*call
	chunks   []chunk             // once under way; they share the memory of the two lists
	index    [2]map[uint64]*call // of look-ups by part of the digest, and of verifies by a hash of the key's id
	repeats  bool                // two checks on board may be of one key
	first    time.Time           // the earliest deadline of all on board
	last     *call               // one with the latest, or less than a [pace] before it: whose goroutine flies, so that it need not wait beyond its own
}

func (f *flight) entries() int { return len(f.verifies) + len(f.lookups) }

// shared reports whether there is more than one check on board.
func (f *flight) shared() bool {
	return f.entries() > 1 || len(f.verifies) == 1 && f.verifies[0].permits > 1 || len(f.lookups) == 1 && f.lookups[0].permits > 1
}

func (f *flight) empty() bool { return f.entries() == 0 }

var idSeed = maphash.MakeSeed()

// mark is where the index has a call: the same for all checks of one key, whichever of its digests they name.
func (c *call) mark() uint64 {
	if c.place == (place{}) {
		return binary.LittleEndian.Uint64(c.digest[:])
	}
	return maphash.String(idSeed, c.place.id)
}

// add enters a call, merging it with the one before of its key if they ask the same.
func (f *flight) add(c *call) {
	c.permits, c.merged, c.until = 1, nil, c.deadline
	f.note(c)
	list, index := &f.lookups, f.index[0]
	if c.place != (place{}) {
		list, index = &f.verifies, f.index[1]
	}
	mark := c.mark()
	head, ok := index[mark]
	f.repeats = f.repeats || ok
	if ok && head.digest == c.digest && head.permits < maxPermits && head.place == c.place && head.asking == c.asking && head.shared == c.shared && c.deadline.Sub(head.until).Abs() <= mergeWithin {
		head.permits++
		c.merged, head.merged = head.merged, c
		head.until = earlier(head.until, c.deadline)
		return
	}
	index[mark] = c
	*list = append(*list, c)
}

// late moves the entries that end by now over to another flight.
func (f *flight) late(to *flight, now time.Time) {
	split := func(list []*call, index map[uint64]*call, late *[]*call) []*call {
		return slices.DeleteFunc(list, func(c *call) bool {
			if now.Before(c.until) {
				return false
			}
			if mark := c.mark(); index[mark] == c {
				delete(index, mark)
			}
			*late = append(*late, c)
			return true
		})
	}
	f.lookups = split(f.lookups, f.index[0], &to.lookups)
	f.verifies = split(f.verifies, f.index[1], &to.verifies)
	f.first, f.last = time.Time{}, nil
	for _, list := range [][]*call{f.verifies, f.lookups} {
		for _, c := range list {
			for ; c != nil; c = c.merged {
				f.note(c)
			}
		}
	}
}

// note keeps first and last true when a call comes on board.
func (f *flight) note(c *call) {
	if f.first.IsZero() || c.deadline.Before(f.first) {
		f.first = c.deadline
	}
	if f.last == nil || c.deadline.Sub(f.last.deadline) > pace {
		f.last = c
	}
}

// reset empties a flight, to be used again.
func (f *flight) reset() {
	f.lane, f.repeats, f.first, f.last = nil, false, time.Time{}, nil
	clear(f.verifies)
	clear(f.lookups)
	clear(f.chunks)
	f.verifies, f.lookups = f.verifies[:0], f.lookups[:0]
	clear(f.index[0])
	clear(f.index[1])
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// finish hands each entry's answer to its callers and wakes them. Afterwards no call but self may be touched.
func (f *flight) finish(self *call) {
	for _, list := range [][]*call{f.verifies, f.lookups} {
		for _, head := range list {
			if head.merged != nil {
				head.share(self)
			}
			if head != self {
				head.wake <- nil
			}
		}
	}
}
