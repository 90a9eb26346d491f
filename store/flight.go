package store

import "time"

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

// share is the answer for the i-th caller of the entry: permits go to the first ones, each with one less remaining than the one before.
func (a answer) share(i int) answer {
	if i < a.granted {
		a.standing.Remaining += a.granted - 1 - i
		a.granted = 1
	} else {
		a.granted = 0
	}
	return a
}

// flight is a batch of calls: gathering, then under way.
type flight struct {
	lane     *lane
	verifies []*call
	lookups  []*call
	index    [2]map[Digest]*call // of look-ups and verifies
}

func (f *flight) empty() bool { return len(f.verifies)+len(f.lookups) == 0 }

// leader is the call that has waited longest, whose goroutine flies.
func (f *flight) leader() *call {
	switch {
	case len(f.verifies) == 0:
		return f.lookups[0]
	case len(f.lookups) == 0 || f.verifies[0].deadline.Before(f.lookups[0].deadline):
		return f.verifies[0]
	default:
		return f.lookups[0]
	}
}

// add enters a call, merging it with one of the same key if there is one.
func (f *flight) add(c *call) {
	c.permits, c.merged = 1, nil
	list, index := &f.lookups, f.index[0]
	if c.place != (place{}) {
		list, index = &f.verifies, f.index[1]
	}
	if head, ok := index[c.digest]; ok && head.permits < maxPermits && head.place == c.place && head.asking == c.asking && head.shared == c.shared {
		head.permits++
		c.merged, head.merged = head.merged, c
		return
	}
	index[c.digest] = c
	*list = append(*list, c)
}

// late moves the calls whose deadline has passed over to another flight. Calls wait in the order of their deadlines.
func (f *flight) late(to *flight, now time.Time) {
	split := func(list []*call, index map[Digest]*call, late *[]*call) []*call {
		n := 0
		for n < len(list) && !now.Before(list[n].deadline) {
			if index[list[n].digest] == list[n] {
				delete(index, list[n].digest)
			}
			n++
		}
		*late = append(*late, list[:n]...)
		return append(list[:0], list[n:]...)
	}
	f.lookups = split(f.lookups, f.index[0], &to.lookups)
	f.verifies = split(f.verifies, f.index[1], &to.verifies)
}

// finish hands each entry's answer to its callers and wakes them. Afterwards no call but self may be touched.
func (f *flight) finish(self *call) {
	for _, list := range [][]*call{f.verifies, f.lookups} {
		for _, head := range list {
			got, m := head.answer, head.merged
			for i := 1; m != nil; i++ {
				next := m.merged
				m.answer = got.share(i)
				if m != self {
					m.wake <- nil
				}
				m = next
			}
			head.answer = got.share(0)
			if head != self {
				head.wake <- nil
			}
		}
	}
}
