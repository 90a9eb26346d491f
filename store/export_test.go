package store

import (
	"context"
	"encoding/binary"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

// Sweep removes what is dead now.
func (r *Redis) Sweep(ctx context.Context) error { return r.sweep(ctx) }

// Repair looks through all keys now.
func (r *Redis) Repair(ctx context.Context) error { return r.repair(ctx) }

// Lanes returns how many connections for checks there are to a node of the Cluster.
func (r *Redis) Lanes(addr string) int {
	r.checks.mu.Lock()
	defer r.checks.mu.Unlock()
	g := r.checks.nodes[addr]
	if g == nil {
		return 0
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.lanes
}

// Alone decides checks of a store with a round trip for each, over connections that no two share: what batching is measured against.
type Alone struct {
	store *Redis
	free  chan *lane
}

// NewAlone opens that many connections.
func NewAlone(tb testing.TB, r *Redis, lanes int) *Alone {
	tb.Helper()
	a := &Alone{r, make(chan *lane, lanes)}
	for range lanes {
		l, err := r.checks.single.pilot.open(time.Now().Add(dialTimeout))
		if err != nil {
			tb.Fatal(err)
		}
		a.free <- l
	}
	tb.Cleanup(func() {
		for range lanes {
			(<-a.free).close()
		}
	})
	return a
}

// Verify decides one check of a key that the store has verified before.
func (a *Alone) Verify(digest Digest, deadline time.Time) Decision {
	h := a.store.hints.get(digest)
	c, g := newCall(&check{digest: digest, deadline: deadline}), a.store.checks.single
	defer calls.Put(c)
	c.place, c.slot, c.answer = h.place, h.slot, answer{}
	f := g.flights.Get().(*flight)
	f.add(c)
	f.lane = <-a.free
	err := g.pilot.roundTrip(f)
	a.free <- f.lane
	f.finish(c)
	g.recycle(f)
	switch {
	case err != nil:
		return Decision{Verdict: Unavailable, Err: err}
	case c.verdict != 'A' || c.granted != 1:
		return Decision{Verdict: Unknown}
	}
	a.store.tally.count(&h.metered, Allowed)
	return Decision{Verdict: Allowed, Workspace: h.place.workspace, KeyID: h.place.id, Standing: c.standing}
}

// Admissions returns how many admissions a key's record speaks of.
func Admissions(record []byte) int64 {
	held := len(record) - len(withoutAdmissions(record, recordQuota))
	elements := binary.BigEndian.Uint32(record[recordQuota+2:]) & 0xffffff // behind the head's count
	return int64(32*elements) + int64(held/stampLength)
}

// lastPort is the last that FreeAddr has looked at. Its ports are below the range from which the kernel chooses those of connections, so that none of them takes one meanwhile.
var lastPort atomic.Int32

// FreeAddr returns an address on loopback that nobody listens on, each once.
func FreeAddr(t testing.TB) string {
	t.Helper()
	lastPort.CompareAndSwap(0, int32(2000+os.Getpid()%4000))
	for port := lastPort.Add(1); port < 10000; port = lastPort.Add(1) {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port)))
		if ln, err := net.Listen("tcp", addr); err == nil {
			_ = ln.Close()
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}
