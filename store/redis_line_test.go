package store_test

import (
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tpgate/store"
)

// line is a TCP proxy in front of Redis that can do what lines do, and what they never should.
type line struct {
	address string
	delay   atomic.Int64 // nanoseconds that each reply is late
	repeat  atomic.Int64 // of a thousand replies, how many come with the one before once more
	swap    atomic.Int64 // of a thousand replies, how many are exchanged for one that was meant for another connection
	crumble atomic.Bool  // replies come byte by byte
	swallow atomic.Bool  // nothing comes through, in either direction, and nobody is told
	alter   atomic.Pointer[func(reply []byte) []byte]
	dials   atomic.Int64 // connections so far
	mu      sync.Mutex
	conns   []net.Conn
	parked  []byte
	trips   atomic.Int64 // pieces that went to Redis
	cutAt   atomic.Int64 // trips after which all connections end, before there is a reply
}

func newLine(t *testing.T, target string) *line {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{address: ln.Addr().String()}
	t.Cleanup(func() { _ = ln.Close(); l.cut() })
	go func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", target)
			if err != nil {
				_ = client.Close()
				continue
			}
			l.dials.Add(1)
			l.mu.Lock()
			l.conns = append(l.conns, client, server)
			l.mu.Unlock()
			go l.pump(server, client, false)
			go l.pump(client, server, true)
		}
	}()
	return l
}

func (l *line) pump(to io.WriteCloser, from io.Reader, replies bool) {
	defer to.Close()
	var before []byte
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		piece := buffer[:n]
		switch {
		case l.swallow.Load():
			continue
		case replies:
			time.Sleep(time.Duration(l.delay.Load()))
			before, piece = slices.Clone(piece), l.spoil(before, piece)
		default:
			l.trips.Add(1)
		}
		for step := range l.steps(piece, replies) {
			if _, err := to.Write(step); err != nil {
				return
			}
		}
		if !replies && l.trips.Load() == l.cutAt.Load() {
			l.cut()
		}
	}
}

// spoil returns what arrives in place of a reply, before which another one came over the same connection.
func (l *line) spoil(before, reply []byte) []byte {
	if before != nil && rand.Int64N(1000) < l.repeat.Load() {
		reply = append(before, reply...)
	}
	if alter := l.alter.Load(); alter != nil {
		reply = (*alter)(reply)
	}
	if rand.Int64N(1000) < l.swap.Load() {
		l.mu.Lock()
		defer l.mu.Unlock()
		reply, l.parked = l.parked, slices.Clone(reply)
	}
	return reply
}

// steps yields what is written at a time.
func (l *line) steps(piece []byte, replies bool) func(yield func([]byte) bool) {
	if replies && l.crumble.Load() {
		return slices.Chunk(piece, 1)
	}
	return func(yield func([]byte) bool) { yield(piece) }
}

// cut ends all connections.
func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		_ = c.Close()
	}
	l.conns = nil
}

// heal ends all faults but those that have broken connections.
func (l *line) heal() {
	l.delay.Store(0)
	l.repeat.Store(0)
	l.swap.Store(0)
	l.crumble.Store(false)
	l.swallow.Store(false)
	l.alter.Store(nil)
}

// ledger is what checks of several keys under faults have come to.
type ledger struct {
	allowed, unavailable []atomic.Int64 // by key
	wrong                atomic.Int64
	worst                atomic.Int64 // nanoseconds that an answer came after its deadline
	lag                  atomic.Int64 // the most that the machine itself was late with anything, so long as checks ran
	mu                   sync.Mutex
	spans                [][2][]time.Time // by key: before and after each check that was allowed
}

// hammerTime is what each check of hammer has.
const hammerTime = 150 * time.Millisecond

// hammer checks keys from eight goroutines until during returns.
func hammer(s store.Store, keys []store.Key, during func()) *ledger {
	return hammerFor(s, keys, hammerTime, during)
}

// hammerFor is hammer with another time for each check.
func hammerFor(s store.Store, keys []store.Key, each time.Duration, during func()) *ledger {
	l := &ledger{allowed: make([]atomic.Int64, len(keys)), unavailable: make([]atomic.Int64, len(keys)), spans: make([][2][]time.Time, len(keys))}
	var stop atomic.Bool
	var checks sync.WaitGroup
	for g := range 8 {
		checks.Go(func() {
			for i := g; !stop.Load(); i++ {
				n := i % len(keys)
				start := time.Now()
				d := s.Verify(keys[n].Digest, start.Add(each))
				end := time.Now()
				storeMax(&l.worst, int64(end.Sub(start)-each))
				l.enter(n, &keys[n], d, start, end)
			}
		})
	}
	checks.Go(func() {
		for !stop.Load() {
			start := time.Now()
			time.Sleep(time.Millisecond)
			storeMax(&l.lag, int64(time.Since(start)-time.Millisecond))
		}
	})
	during()
	stop.Store(true)
	checks.Wait()
	return l
}

func storeMax(most *atomic.Int64, n int64) {
	for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
	}
}

func (l *ledger) enter(n int, key *store.Key, d store.Decision, start, end time.Time) {
	switch {
	case d.Verdict == store.Unavailable:
		l.unavailable[n].Add(1)
		time.Sleep(time.Millisecond)
	case d.Workspace != key.Workspace || d.KeyID != key.ID:
		l.wrong.Add(1)
	case d.Verdict == store.Allowed:
		l.allowed[n].Add(1)
		l.mu.Lock()
		l.spans[n][0], l.spans[n][1] = append(l.spans[n][0], start), append(l.spans[n][1], end)
		l.mu.Unlock()
	case d.Verdict != store.Limited:
		l.wrong.Add(1)
	}
}

// judge fails the test if an answer was another key's, came late, or, of a key with a quota of permits in a window, was one too many.
func (l *ledger) judge(t *testing.T, permits int, window time.Duration, limited ...int) {
	t.Helper()
	if l.wrong.Load() > 0 {
		t.Errorf("%d wrong answers", l.wrong.Load())
	}
	const slack = 20 * time.Millisecond
	if worst, lag := time.Duration(l.worst.Load()), time.Duration(l.lag.Load()); worst > slack+4*lag {
		t.Errorf("an answer came %s after its deadline, on a machine that is at most %s late", worst, lag)
	}
	for _, n := range limited {
		before, after := l.spans[n][0], l.spans[n][1]
		slices.SortFunc(before, time.Time.Compare)
		slices.SortFunc(after, time.Time.Compare)
		for i := permits; i < len(after); i++ {
			if span := after[i].Sub(before[i-permits]); span < window-time.Microsecond { // the clock that decides has microseconds
				t.Fatalf("key %d: %d checks are allowed within %s", n, permits+1, span)
			}
		}
	}
}

// total is the sum of counts.
func total(counts []atomic.Int64) int64 {
	sum := int64(0)
	for i := range counts {
		sum += counts[i].Load()
	}
	return sum
}

// recovers fails unless a check of the key is allowed within this time.
func recovers(t *testing.T, s store.Store, key store.Key, within time.Duration) {
	t.Helper()
	for start := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		d := s.Verify(key.Digest, time.Now().Add(hammerTime))
		if d.Verdict == store.Allowed {
			return
		}
		if time.Since(start) > within {
			t.Fatalf("no recovery within %s: %+v", within, d)
		}
	}
}
