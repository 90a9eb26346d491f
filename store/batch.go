package store

import (
	"errors"
	"sync"
	"time"
)

// Checks leave for Redis in batches ("flights"). The first check that finds nothing under way flies at once and alone: an idle service adds no waiting. Checks that arrive while a
// flight is under way gather, those of one key as one entry, and leave together when it is back, or when [pace] has passed since the last departure: close to Redis the
// first comes first and batches grow with the load, far from it the second does and nobody waits for somebody else's round trip.
// The goroutine of a gathered check, its leader, flies for all others and wakes them; there is no goroutine in between.
const (
	pace       = time.Millisecond       // the longest a check gathers while a connection is free
	maxLanes   = 64                     // connections to one node; reached only when a round trip takes 64 ms
	maxPermits = 1000                   // permits that one entry asks for; further checks of the key form another entry
	retryDial  = 100 * time.Millisecond // after a connection failed; until then checks are answered 503 at once
)

var errNoLane = errors.New("no connection to Redis in time")

// call is a check on its way, and after it the answer.
type call struct {
	digest   Digest
	place    place // zero: a look-up in the index
	slot     uint16
	asking   bool // redirected by ASK
	shared   bool // the workspace's quota is, or may be, on
	deadline time.Time

	permits int   // of this call and those merged into it
	merged  *call // the next caller of the same entry
	wake    chan *flight

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

// flight is a batch: gathering, then under way.
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

// gatherer gathers the checks for one Redis node and owns the connections to it.
type gatherer struct {
	pilot *pilot

	mu       sync.Mutex
	waiting  *flight
	idle     []*lane
	lanes    int // open, or being opened
	opening  int
	underway int
	departed time.Time
	failed   time.Time // when a connection could last not be opened
	fault    error
	timer    *time.Timer // runs while checks wait
	closed   bool
	flights  sync.Pool
}

func newGatherer(p *pilot) *gatherer {
	g := &gatherer{pilot: p}
	g.flights.New = func() any {
		return &flight{index: [2]map[Digest]*call{make(map[Digest]*call), make(map[Digest]*call)}}
	}
	g.waiting = g.flights.Get().(*flight)
	g.timer = time.AfterFunc(time.Hour, g.tick)
	g.timer.Stop()
	return g
}

// do returns when c has an answer: by c.deadline, or about a [pace] later where c was not the first of its flight.
func (g *gatherer) do(c *call) {
	g.mu.Lock()
	if g.lanes == 0 && time.Since(g.failed) < retryDial {
		c.answer = answer{err: g.fault}
		g.mu.Unlock()
		return
	}
	idle := g.waiting.empty()
	g.waiting.add(c)
	f := g.depart()
	if f == nil && idle {
		g.timer.Reset(pace)
	}
	g.mu.Unlock()
	if f == nil {
		f = <-c.wake
	}
	if f != nil {
		g.fly(f, c)
	}
}

// depart detaches what has gathered if it may leave now and a connection is free; if only the connection is missing, it has one opened. The caller holds the lock.
func (g *gatherer) depart() *flight {
	if g.waiting.empty() || (g.underway > 0 && time.Since(g.departed) < pace) {
		return nil
	}
	if len(g.idle) == 0 {
		if g.lanes < maxLanes && g.opening <= g.lanes/2 && time.Since(g.failed) >= retryDial && !g.closed {
			g.lanes++
			g.opening++
			go g.open()
		}
		return nil
	}
	f := g.waiting
	f.lane = g.idle[len(g.idle)-1]
	g.idle = g.idle[:len(g.idle)-1]
	g.waiting = g.flights.Get().(*flight)
	g.underway++
	g.departed = time.Now()
	return f
}

// fly makes the round trip for all calls of f, sends the next flight off and wakes everyone but self, the leader.
func (g *gatherer) fly(f *flight, self *call) {
	err := g.pilot.roundTrip(f)
	g.mu.Lock()
	g.underway--
	if err == nil && !g.closed {
		g.idle = append(g.idle, f.lane)
	} else {
		f.lane.close()
		g.lanes--
	}
	next := g.depart()
	g.mu.Unlock()
	if next != nil {
		next.leader().wake <- next
	}
	f.finish(self)
	g.recycle(f)
}

// open adds a connection, in a goroutine of its own since the handshake takes several round trips, and sends off what waits for it.
func (g *gatherer) open() {
	l, err := g.pilot.open()
	g.mu.Lock()
	g.opening--
	var next, stranded *flight
	switch {
	case err != nil:
		g.lanes--
		g.failed, g.fault = time.Now(), err
		if g.lanes == 0 {
			stranded, g.waiting = g.waiting, g.flights.Get().(*flight)
		}
	case g.closed:
		g.lanes--
		defer l.close()
	default:
		g.idle = append(g.idle, l)
		next = g.depart()
	}
	g.mu.Unlock()
	if next != nil {
		next.leader().wake <- next
	}
	if stranded != nil {
		g.strand(stranded, err)
	}
}

// tick runs a pace after a call began to wait: it sends off what may leave, and answers those whose deadline has passed.
func (g *gatherer) tick() {
	g.mu.Lock()
	late := g.flights.Get().(*flight)
	next := g.depart()
	g.waiting.late(late, time.Now())
	if !g.waiting.empty() {
		g.timer.Reset(pace)
	}
	g.mu.Unlock()
	if next != nil {
		next.leader().wake <- next
	}
	g.strand(late, errNoLane)
}

// drop ends the idle connections, since they lead to a node that no longer decides.
func (g *gatherer) drop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, l := range g.idle {
		l.close()
	}
	g.lanes -= len(g.idle)
	g.idle = nil
}

// close ends the connections that are idle; those under way end when they are back.
func (g *gatherer) close() {
	g.mu.Lock()
	g.closed = true
	g.timer.Stop()
	g.mu.Unlock()
	g.drop()
}

func (g *gatherer) recycle(f *flight) {
	f.lane = nil
	clear(f.verifies)
	clear(f.lookups)
	f.verifies, f.lookups = f.verifies[:0], f.lookups[:0]
	clear(f.index[0])
	clear(f.index[1])
	g.flights.Put(f)
}

// strand answers all calls of a flight that never left.
func (g *gatherer) strand(f *flight, err error) {
	for _, list := range [][]*call{f.verifies, f.lookups} {
		for _, c := range list {
			c.answer = answer{err: err}
		}
	}
	f.finish(nil)
	g.recycle(f)
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
