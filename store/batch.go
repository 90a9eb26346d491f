package store

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Checks leave for Redis in batches ("flights"). On a quiet service each flies at once and alone, so that nobody waits; when more than [maxAtOnce] come together, they begin to share flights. Then checks that
// arrive while a flight is under way gather, those of one key as one entry, and leave together when it is back, or when [pace] has passed since the last departure: close to Redis the
// first comes first and batches grow with the load, far from it the second does and nobody waits for somebody else's round trip. Enough of them leave before, so that Redis always has
// the next batch at hand, which is worth up to a twentieth of the rate. A flight with one check on board ends that, until more come together again.
// The goroutine of one gathered check, the one that may wait longest, flies for all others and wakes them; there is no goroutine in between. Before it takes off it yields once, so that checks
// which are just being read come along: on a busy service that doubles the batches. On a quiet one it would cost the waking of a thread, so there nobody yields.
const (
	pace        = time.Millisecond       // the longest a check gathers while a connection is free
	enough      = 12                     // entries that leave at once though flights are under way; of fewer, each pays too much for the script call
	maxAtOnce   = 4                      // flights under way with which single checks, or enough entries, leave; with more, all gather
	maxLanes    = 64                     // connections to one node; reached only when a round trip takes 64 ms
	maxPermits  = 1000                   // permits that one entry asks for; further checks of the key form another entry
	mergeWithin = 5 * time.Millisecond   // by how much deadlines of one entry may differ, as it ends with the first of them
	retryDial   = 100 * time.Millisecond // after a connection failed; until then checks are answered 503 at once. And while one hangs
)

var errNoLane = errors.New("no connection to Redis in time")

// gatherer gathers the checks for one Redis node and owns the connections to it.
type gatherer struct {
	pilot *pilot

	mu       sync.Mutex
	waiting  *flight
	idle     []*lane
	lanes    int // open, or being opened
	opening  int
	boarding bool        // somebody is about to fly with all that waits
	shared   atomic.Bool // the last flight had more than one check on board: the service is not quiet
	underway int
	departed time.Time
	tried    time.Time // when a connection was last begun to be opened
	failed   time.Time // when a connection could last not be opened
	fault    error
	timer    *time.Timer // runs while checks wait
	closed   bool
	flights  sync.Pool
}

func newGatherer(p *pilot) *gatherer {
	g := &gatherer{pilot: p}
	g.flights.New = func() any {
		return &flight{index: [2]map[uint64]*call{make(map[uint64]*call), make(map[uint64]*call)}}
	}
	g.waiting = g.flights.Get().(*flight)
	g.timer = time.AfterFunc(time.Hour, g.tick)
	g.timer.Stop()
	return g
}

// do returns when c has an answer: by c.deadline, or about a [pace] later.
func (g *gatherer) do(c *call) {
	g.mu.Lock()
	if g.lanes == 0 && time.Since(g.failed) < retryDial {
		err := g.fault
		g.mu.Unlock()
		g.pilot.end(c, err)
		return
	}
	idle := g.waiting.empty()
	g.waiting.add(c)
	l := g.depart()
	if l == nil && idle {
		g.timer.Reset(pace)
	}
	g.mu.Unlock()
	for l == nil || !g.fly(l, c) {
		if l = <-c.wake; l == nil {
			return
		}
	}
}

// depart returns a connection for what has gathered, if that may leave now and one is free; then boarding has begun, and somebody must fly. If only the connection is missing, it has
// one opened. The caller holds the lock.
func (g *gatherer) depart() *lane {
	if g.waiting.empty() || g.boarding {
		return nil
	}
	if g.underway > 0 && (g.underway >= maxAtOnce || g.shared.Load() && g.waiting.entries() < enough) && time.Since(g.departed) < pace {
		return nil
	}
	if len(g.idle) == 0 {
		g.widen()
		return nil
	}
	l := g.idle[len(g.idle)-1]
	g.idle = g.idle[:len(g.idle)-1]
	g.boarding = true
	return l
}

// lead has the call with the latest deadline fly over l, if there is one. The caller holds the lock, or nothing waits for l.
func (g *gatherer) lead(l *lane) {
	if l != nil {
		g.waiting.last.wake <- l
	}
}

// board ends boarding, and detaches the flight. Who has less time left than a round trip takes is answered before, unless that is all of them: with its deadline on board, the others would be cut off, too. It
// returns nil if somebody may wait longer than self and flies instead.
func (g *gatherer) board(l *lane, self *call) *flight {
	if g.shared.Load() {
		runtime.Gosched()
	}
	g.mu.Lock()
	if g.waiting.last.deadline.Sub(self.deadline) > pace {
		g.lead(l)
		g.mu.Unlock()
		return nil
	}
	f := g.detach()
	f.lane = l
	g.shared.Store(f.shared())
	g.boarding = false
	g.underway++
	g.departed = time.Now()
	back := g.departed
	g.mu.Unlock()
	if usual := back.Add(time.Duration(g.pilot.usual.Load())); usual.Before(f.last.deadline) {
		back = usual
	}
	g.giveUp(f, back, self)
	return f
}

// fly makes the round trip for all that has gathered, self among them, sends the next flight off and wakes everyone else. It returns false if somebody else does that.
func (g *gatherer) fly(l *lane, self *call) bool {
	f := g.board(l, self)
	if f == nil {
		return false
	}
	err := g.pilot.roundTrip(f)
	g.mu.Lock()
	g.underway--
	if err == nil && !g.closed {
		g.idle = append(g.idle, f.lane)
	} else {
		f.lane.close()
		g.lanes--
	}
	g.lead(g.depart())
	g.mu.Unlock()
	f.finish(self)
	g.recycle(f)
	return true
}

// tick runs a pace after a call began to wait: it sends off what may leave, and answers those whose deadline has passed.
func (g *gatherer) tick() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lead(g.depart())
	if !g.boarding {
		g.giveUp(g.waiting, time.Now(), nil)
	}
	if !g.waiting.empty() {
		g.timer.Reset(pace)
	}
}

// close ends the connections that are idle; those under way end when they are back. Nobody is left waiting for one.
func (g *gatherer) close() {
	g.mu.Lock()
	g.closed = true
	g.timer.Stop()
	if !g.boarding {
		g.strand(g.detach(), errNoLane, nil)
	}
	g.mu.Unlock()
	g.drop()
}

// detach returns what waits, and has an empty flight wait in its place. The caller holds the lock.
func (g *gatherer) detach() *flight {
	f := g.waiting
	g.waiting = g.flights.Get().(*flight)
	return f
}

func (g *gatherer) recycle(f *flight) {
	f.reset()
	g.flights.Put(f)
}

// giveUp answers the entries of a flight that end by then, and wakes their callers but for self.
func (g *gatherer) giveUp(f *flight, then time.Time, self *call) {
	if f.first.After(then) {
		return
	}
	late := g.flights.Get().(*flight)
	f.late(late, then)
	g.strand(late, errNoLane, self)
}

// strand answers all calls of a flight that never left, and wakes them but for self.
func (g *gatherer) strand(f *flight, err error, self *call) {
	for _, list := range [][]*call{f.verifies, f.lookups} {
		for _, c := range list {
			g.pilot.end(c, err)
		}
	}
	f.finish(self)
	g.recycle(f)
}
