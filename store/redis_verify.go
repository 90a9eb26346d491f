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

// check is a check on its way through Verify.
type check struct {
	digest          Digest
	start, deadline time.Time
	changes         int64 // hints.changes when it was asked for
}

// Verify decides one check: one round trip if this process knows the key's place, two if not. See [Verifier].
//
// From here down to where it waits for Redis, what each function keeps on the stack is kept small (go tool objdump tells): the goroutine of a connection keeps for good what its deepest check needed, and all
// of it, with what fasthttp takes, fits in 4 kB. So the decision is filled in where the caller wants it, structs are not copied, and what is rare stands in functions of its own.
func (r *Redis) Verify(digest Digest, deadline time.Time) (decision Decision) {
	var k check // not a literal, which would be made elsewhere and copied
	k.digest, k.start, k.deadline = digest, time.Now(), deadline
	h := r.hints.get(digest)
	if h == nil || !r.repeat(&k, h, &decision) && !r.decide(&k, h, &decision) {
		r.find(&k, h, &decision)
	}
	return decision
}

// repeat gives the answer that refused the key a moment ago, if it still holds.
func (r *Redis) repeat(k *check, h *hint, d *Decision) bool {
	refusal := h.refused.Load()
	if refusal == nil || !refusal.holds(k.start, r.hints.changes.Load()) {
		return false
	}
	d.Verdict, d.Workspace, d.KeyID, d.Standing = Limited, h.place.workspace, h.place.id, refusal.standing
	d.Standing.Wait -= k.start.Sub(refusal.at)
	r.tally.count(&h.metered, Limited)
	return true
}

// find decides a check of a key whose place is not known, or is not where the hint says.
func (r *Redis) find(k *check, h *hint, d *Decision) {
	found := r.look(k, d)
	if h != nil && d.Verdict == Unknown {
		r.hints.drop(k.digest)
	}
	if found == (place{}) || (h != nil && found == h.place) {
		return
	}
	r.decide(k, r.hints.put(k.digest, found, slotOf(found.workspace)), d)
}

// look finds the place of a digest. Without one, the decision stands.
func (r *Redis) look(k *check, d *Decision) place {
	c := newCall(k)
	defer calls.Put(c)
	c.slot = r.names.bucketOf(k.digest).slot
	r.checks.ask(c)
	*d = Decision{Verdict: Unknown}
	switch c.verdict {
	case 'F':
		return c.found
	case 'U':
	default:
		r.undecided(d, "lookup", c)
	}
	return place{}
}

// decide asks for one permit of the key at the hint's place and words the answer. It returns false if there is no such key.
func (r *Redis) decide(k *check, h *hint, d *Decision) bool {
	k.changes = r.hints.changes.Load()
	c := newCall(k)
	c.place, c.slot, c.shared = h.place, h.slot, r.shared || h.shared.Load()
	r.checks.ask(c)
	if c.verdict == 'N' { // nothing was taken
		h.shared.Store(true)
		c.shared = true
		r.checks.ask(c)
	}
	found := r.word(k, h, c, d)
	calls.Put(c)
	return found
}

// word makes a decision of an answer. It returns false if there is no such key.
func (r *Redis) word(k *check, h *hint, c *call, d *Decision) bool {
	switch c.verdict {
	case 'A':
		d.Verdict, d.Standing = Allowed, c.standing
		if c.granted == 0 {
			d.Verdict = Limited
			h.refuse(&c.standing, k.changes, k.start)
		}
	case 'U':
		d.Verdict = Unknown
		return false
	case 'D':
		d.Verdict = Disabled
	case 'E':
		d.Verdict = Expired
	case 'S':
		d.Verdict = Suspended
	default:
		r.undecided(d, "verify", c)
		return true
	}
	d.Workspace, d.KeyID = h.place.workspace, h.place.id
	r.tally.count(&h.metered, d.Verdict)
	return true
}

// undecided words an answer that proves nothing.
func (r *Redis) undecided(d *Decision, operation string, c *call) {
	d.Verdict, d.Err = Unavailable, c.err
	switch c.verdict {
	case 0: // counted where it failed
		return
	case 'R': // told by the script
	case 'L':
		d.Err = errLost
	default:
		d.Err = fmt.Errorf("key %s of workspace %s: %w", c.place.id, c.place.workspace, errBroken)
	}
	r.metrics.errors.WithLabelValues(operation, errorKind(d.Err)).Inc()
}

// newCall returns a call that asks for nothing yet. Whoever has it puts it back.
func newCall(k *check) *call {
	c := calls.Get().(*call)
	c.digest, c.deadline, c.place, c.asking, c.shared = k.digest, k.deadline, place{}, false, false
	return c
}

// ask sends one check on its way. The answer is in c.
func (r *router) ask(c *call) {
	c.asking = false
	c.answer = answer{}
	var g *gatherer
	if g, c.err = r.of(c.slot); g == nil {
		return
	}
	g.do(c)
	if c.redirect != "" || c.err != nil {
		r.pursue(c, g)
	}
}

// pursue follows refusals that prove that nothing was run, until the deadline.
func (r *router) pursue(c *call, g *gatherer) {
	for c.redirect != "" || c.err != nil {
		r.moved.Store(true)
		if c.redirect == "" || time.Until(c.deadline) < followPause {
			return
		}
		refusal, said := c.redirect, c.err
		if g, c.asking = r.follow(refusal, g, c.slot); g == nil {
			c.answer = answer{err: errors.New("no node of the Redis Cluster serves this part: " + refusal)}
			return
		}
		c.answer = answer{}
		g.do(c)
		if errors.Is(c.err, errNoLane) || isTimeout(c.err) { // no time was left to follow it up
			c.err = fmt.Errorf("%w; then %w", said, c.err)
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
