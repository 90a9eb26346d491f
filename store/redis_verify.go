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

// check is a check on its way through Verify. Whoever makes its decision fills it in.
type check struct {
	digest          Digest
	start, deadline time.Time
	decision        Decision
}

// Verify decides one check: one round trip if this process knows the key's place, two if not. See [Verifier].
func (r *Redis) Verify(digest Digest, deadline time.Time) Decision {
	k := check{digest: digest, start: time.Now(), deadline: deadline}
	h := r.hints.get(digest)
	if h == nil || !r.repeat(&k, h) && !r.decide(&k, h) {
		r.find(&k, h)
	}
	return k.decision
}

// repeat gives the answer that refused the key a moment ago, if it still holds.
func (r *Redis) repeat(k *check, h *hint) bool {
	refusal := h.refused.Load()
	if refusal == nil || !refusal.holds(k.start, r.hints.changes.Load()) {
		return false
	}
	k.decision = Decision{Verdict: Limited, Workspace: h.place.workspace, KeyID: h.place.id, Standing: refusal.standing}
	k.decision.Standing.Wait -= k.start.Sub(refusal.at)
	r.tally.count(&h.metered, Limited)
	return true
}

// find decides a check of a key whose place is not known, or is not where the hint says.
func (r *Redis) find(k *check, h *hint) {
	found := r.look(k)
	if h != nil && k.decision.Verdict == Unknown {
		r.hints.drop(k.digest)
	}
	if found == (place{}) || (h != nil && found == h.place) {
		return
	}
	r.decide(k, r.hints.put(k.digest, found, slotOf(found.workspace)))
}

// look finds the place of a digest. Without one, the decision stands.
func (r *Redis) look(k *check) place {
	c := newCall(k.digest, k.deadline)
	defer calls.Put(c)
	c.slot = r.names.bucketOf(k.digest).slot
	r.checks.ask(c)
	k.decision = Decision{Verdict: Unknown}
	switch c.verdict {
	case 'F':
		return c.found
	case 'U':
	default:
		k.decision = r.undecided("lookup", c)
	}
	return place{}
}

// decide asks for one permit of the key at the hint's place and words the answer. It returns false if there is no such key.
func (r *Redis) decide(k *check, h *hint) bool {
	changes, d := r.hints.changes.Load(), &k.decision
	c := newCall(k.digest, k.deadline)
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
			h.refuse(&c.standing, changes, k.start)
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
		*d = r.undecided("verify", c)
		return true
	}
	r.tally.count(&h.metered, d.Verdict)
	return true
}

// undecided words an answer that proves nothing.
func (r *Redis) undecided(operation string, c *call) Decision {
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
	return Decision{Verdict: Unavailable, Err: err}
}

// newCall returns a call that asks for nothing yet. Whoever has it puts it back.
func newCall(digest Digest, deadline time.Time) *call {
	c := calls.Get().(*call)
	c.digest, c.deadline, c.place, c.asking, c.shared = digest, deadline, place{}, false, false
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
