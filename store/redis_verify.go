package store

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// calls are used again: a check makes no garbage.
var calls = sync.Pool{New: func() any { return &call{wake: make(chan *lane, 1)} }}

// Verify decides one check: one round trip if this process knows the key's place, two if not. See [Verifier].
func (r *Redis) Verify(digest Digest, deadline time.Time) (d Decision) {
	start := time.Now()
	h := r.hints.get(&digest)
	if h == nil || !r.repeat(h, start, &d) && !r.decide(&digest, h, start, deadline, &d) {
		r.find(&digest, h, start, deadline, &d)
	}
	return d
}

// repeat gives the answer that refused the key a moment ago, if it still holds.
func (r *Redis) repeat(h *hint, now time.Time, d *Decision) bool {
	refusal := h.refused.Load()
	if refusal == nil || !refusal.holds(now, r.hints.changes.Load()) {
		return false
	}
	d.Verdict, d.Workspace, d.KeyID, d.Standing = Limited, h.place.workspace, h.place.id, refusal.standing
	d.Standing.Wait -= now.Sub(refusal.at)
	r.tally.count(&h.metered, Limited)
	return true
}

// find decides a check of a key whose place is not known, or is not where the hint says.
func (r *Redis) find(digest *Digest, h *hint, start, deadline time.Time, d *Decision) {
	found := r.look(digest, deadline, d)
	if h != nil && d.Verdict == Unknown {
		r.hints.drop(digest)
	}
	if found == (place{}) || (h != nil && found == h.place) {
		return
	}
	r.decide(digest, r.hints.put(digest, found, slotOf(found.workspace)), start, deadline, d)
}

// look finds the place of a digest. Without one, the decision stands.
func (r *Redis) look(digest *Digest, deadline time.Time, d *Decision) place {
	c := newCall(digest, deadline)
	defer calls.Put(c)
	c.slot = r.names.bucketOf(*digest).slot
	r.checks.ask(c)
	*d = Decision{Verdict: Unknown}
	switch c.verdict {
	case 'F':
		return c.found
	case 'U':
	default:
		r.undecided("lookup", c, d)
	}
	return place{}
}

// decide asks for one permit of the key at the hint's place and words the answer. It returns false if there is no such key. start is some moment before.
func (r *Redis) decide(digest *Digest, h *hint, start, deadline time.Time, d *Decision) bool {
	changes := r.hints.changes.Load()
	c := newCall(digest, deadline)
	defer calls.Put(c)
	c.place, c.slot, c.shared = h.place, h.slot, r.shared || h.shared.Load()
	r.checks.ask(c)
	if c.verdict == 'N' { // nothing was taken
		h.shared.Store(true)
		c.shared = true
		r.checks.ask(c)
	}
	*d = Decision{Workspace: h.place.workspace, KeyID: h.place.id}
	switch c.verdict {
	case 'A':
		d.Verdict, d.Standing = Allowed, c.standing
		if c.granted == 0 {
			d.Verdict = Limited
			h.refuse(&c.standing, changes, start)
		}
	case 'U':
		*d = Decision{Verdict: Unknown}
		return false
	case 'D':
		d.Verdict = Disabled
	case 'E':
		d.Verdict = Expired
	case 'S':
		d.Verdict = Suspended
	default:
		r.undecided("verify", c, d)
		return true
	}
	r.tally.count(&h.metered, d.Verdict)
	return true
}

// undecided words an answer that proves nothing.
func (r *Redis) undecided(operation string, c *call, d *Decision) {
	err := c.err
	switch c.verdict {
	case 0: // counted where it failed
	case 'R': // told by the script
	case 'L':
		err = errLost
	default:
		err = fmt.Errorf("key %s of workspace %s: %w", c.place.id, c.place.workspace, errBroken)
	}
	if c.verdict != 0 {
		r.metrics.errors.WithLabelValues(operation, errorKind(err)).Inc()
	}
	*d = Decision{Verdict: Unavailable, Err: err}
}

// newCall returns a call that asks for nothing yet. Whoever has it puts it back.
func newCall(digest *Digest, deadline time.Time) *call {
	c := calls.Get().(*call)
	c.digest, c.deadline, c.place, c.asking, c.shared = *digest, deadline, place{}, false, false
	return c
}

// ask sends one check on its way and follows refusals that prove that nothing was run, until the deadline. The answer is in c.
func (r *router) ask(c *call) {
	g, err := r.of(c.slot)
	if err != nil {
		c.answer = answer{err: err}
		return
	}
	c.asking = false
	var said error
	for {
		c.answer = answer{}
		g.do(c)
		if said != nil && errors.Is(c.err, errNoLane) {
			c.err = said // no time was left to follow it up
		}
		if c.redirect != "" || c.err != nil {
			r.moved.Store(true)
		}
		if c.redirect == "" || time.Until(c.deadline) < followPause {
			return
		}
		refusal := c.redirect
		said = c.err
		if g, c.asking = r.follow(refusal, g, c.slot); g == nil {
			c.answer = answer{err: errors.New("no node of the Redis Cluster serves this part: " + refusal)}
			return
		}
	}
}

// followPause is how long to wait before a script is sent again to a node that says "not now".
const followPause = 5 * time.Millisecond

// follow says where to ask after a refusal, and whether with ASKING.
func (r *router) follow(refusal string, g *gatherer, slot uint16) (*gatherer, bool) {
	word, rest, _ := strings.Cut(refusal, " ")
	switch word {
	case "ASK", "MOVED":
		_, addr, _ := strings.Cut(rest, " ")
		node := r.node(strings.TrimSpace(addr))
		if word == "MOVED" {
			r.learn(slot, node)
		}
		return node, word == "ASK"
	case "READONLY", "MASTERDOWN": // this node is no master any more: its connections lead nowhere
		g.drop()
	}
	time.Sleep(followPause)
	return g, false
}
