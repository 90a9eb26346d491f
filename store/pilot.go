package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"tpgate/limiter"
)

//go:embed verify.lua
var verifyText string

//go:embed lookup.lua
var lookupText string

// maxEntries is how many checks one script call decides. More would save little and make Redis' other clients wait longer.
const maxEntries = 64

// nonceLength is the length of the proof that a reply answers this very call: 8 random bytes of the process, 8 of a counter.
const nonceLength = 16

// errMisdelivered means that a reply was not the answer to what was asked: somebody else's, or no answer at all. It must never be taken for one.
var errMisdelivered = errors.New("a reply of Redis does not belong to the call that was sent")

// script is a Lua script by its text and, as Redis names it, its SHA-1.
type script struct{ text, sha1 string }

func newScript(text string) script {
	sum := sha1.Sum([]byte(text))
	return script{text: text, sha1: hex.EncodeToString(sum[:])}
}

// pilot knows how to make a flight's round trip to one node.
type pilot struct {
	options   redis.Options // of the node
	oneSlot   bool          // Cluster: all names of one call must be of one slot
	names     names
	storeID   string
	key       string // encoded default limits
	workspace string
	verify    script
	lookup    script
	nonce     [8]byte
	count     atomic.Uint64
	usual     atomic.Int64 // nanoseconds that a round trip takes; one that takes longer counts for an eighth, as it may have been held up
	metrics   *Metrics
}

func newPilot(r *Redis, options redis.Options, oneSlot bool) *pilot {
	p := &pilot{
		options: options, oneSlot: oneSlot, names: r.names, storeID: r.id, metrics: r.metrics,
		key: r.defaults.KeyLimit.Encode(), workspace: r.defaults.WorkspaceLimit.Encode(),
		verify: newScript(limiter.Script(verifyText)), lookup: newScript(lookupText),
	}
	_, _ = rand.Read(p.nonce[:]) // never returns an error: it ends the program instead (crypto/rand)
	return p
}

func (p *pilot) open(deadline time.Time) (*lane, error) {
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	return openLane(ctx, p.options)
}

// roundTrip sends everything that the flight carries at once, reads the answers and enters them. An error means that the connection must not be used again.
// What has no answer then may have been executed, and is not sent again: its calls end with the error.
func (p *pilot) roundTrip(f *flight) error {
	if f.empty() {
		return nil
	}
	if f.lane.stale() {
		if err := p.renew(f); err != nil {
			return err
		}
	}
	start := time.Now()
	chunks := p.chunks(f, start)
	if len(chunks) == 0 {
		return nil
	}
	open, err := p.exchange(f.lane, chunks)
	if err == nil && len(open) > 0 {
		_, err = p.exchange(f.lane, open)
	}
	p.clock(f, start, err == nil)
	return err
}

// clock enters how long a round trip has taken.
func (p *pilot) clock(f *flight, start time.Time, answered bool) {
	f.lane.used = time.Now()
	took := f.lane.used.Sub(start)
	if answered {
		usual := p.usual.Load()
		p.usual.Store(min(int64(took), usual+(int64(took)-usual)/8))
	}
	duration := p.metrics.verify
	if len(f.verifies) == 0 {
		duration = p.metrics.lookup
	}
	duration.Observe(took.Seconds())
}

// renew opens a connection in place of the flight's.
func (p *pilot) renew(f *flight) error {
	now := time.Now()
	fresh, err := p.open(earlier(f.first, now.Add(dialTimeout)))
	if err != nil {
		p.fail(p.chunks(f, now), err)
		return err
	}
	f.lane.close()
	f.lane = fresh
	return nil
}

// exchange sends chunks and reads their answers. It returns those that stay open, as Redis does not know their script: nothing of them was run, and the next exchange sends it along.
func (p *pilot) exchange(l *lane, chunks []chunk) (open []chunk, err error) {
	p.compose(l, chunks)
	if err = l.send(answerBy(chunks)); err == nil {
		_, err = l.in.Peek(1) // waits here, where the stack is not as deep as in receive
	}
	for i := 0; err == nil && i < len(chunks); i++ {
		err = p.receive(l, &chunks[i])
	}
	open = slices.DeleteFunc(chunks, func(c chunk) bool { return c.done })
	if err != nil {
		p.fail(open, err)
	}
	return open, err
}

// compose writes out what chunks ask.
func (p *pilot) compose(l *lane, chunks []chunk) {
	l.out = l.out[:0]
	for i := range chunks {
		l.out = p.appendCall(l.out, &chunks[i])
	}
}

// answerBy returns by when chunks must be answered: by the earliest deadline of their calls.
func answerBy(chunks []chunk) time.Time {
	deadline := chunks[0].calls[0].until
	for i := range chunks {
		for _, c := range chunks[i].calls {
			deadline = earlier(deadline, c.until)
		}
	}
	return deadline
}

// receive reads a chunk's answers.
func (p *pilot) receive(l *lane, c *chunk) error {
	if c.calls[0].asking {
		if _, err := l.reply(); err != nil { // "OK" to ASKING
			return err
		}
	}
	reply, err := l.reply()
	refusal, refused := errors.AsType[errReply](err)
	switch {
	case refused && !c.full && strings.HasPrefix(string(refusal), "NOSCRIPT"):
		c.full = true
		return nil
	case refused:
		p.refused(c, refusal)
	case err != nil:
		return err
	case !p.enter(c, reply):
		return errMisdelivered
	}
	c.done = true
	return nil
}

// enter checks a reply and enters its answers; false if it is not the reply to this chunk.
func (p *pilot) enter(c *chunk, reply []byte) bool {
	if !bytes.HasPrefix(reply, c.nonce[:]) {
		return false
	}
	if c.script == &p.lookup {
		return enterLookups(c.calls, reply[nonceLength:])
	}
	return enterVerdicts(c.calls, reply[nonceLength:])
}

// refused enters that Redis did not run a chunk's script. Some refusals say where, or that later, it would be run.
func (p *pilot) refused(c *chunk, refusal errReply) {
	word, _, _ := strings.Cut(string(refusal), " ")
	redirect := ""
	switch word {
	case "MOVED", "ASK", "TRYAGAIN", "LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN":
		redirect = string(refusal)
	}
	for _, call := range c.calls {
		p.end(call, refusal)
		call.redirect = redirect
	}
}

// fail ends all calls of these chunks without an answer.
func (p *pilot) fail(chunks []chunk, err error) {
	for i := range chunks {
		for _, call := range chunks[i].calls {
			p.end(call, err)
		}
	}
}

// end ends an entry without an answer, and counts that.
func (p *pilot) end(c *call, err error) {
	operation := "verify"
	if c.place == (place{}) {
		operation = "lookup"
	}
	p.metrics.errors.WithLabelValues(operation, errorKind(err)).Inc()
	c.answer = answer{err: err}
}
