package store

import (
	"cmp"
	"encoding/binary"
	"slices"
	"time"
)

// chunk is one script call of a flight.
type chunk struct {
	calls   []*call
	script  *script
	nonce   [nonceLength]byte
	repeats bool // some ask for several permits, or for the same key
	full    bool // send the text, since Redis does not know the script
	done    bool // there is an answer; else the chunk is open
}

// chunks divides a flight into script calls, leaving out what is too late to be sent.
func (p *pilot) chunks(f *flight, now time.Time) []chunk {
	f.chunks = f.chunks[:0]
	p.divide(f, f.verifies, now)
	p.divide(f, f.lookups, now)
	return f.chunks
}

// divide is chunks for one kind of calls.
func (p *pilot) divide(f *flight, calls []*call, now time.Time) {
	if len(calls) > 1 {
		slices.SortStableFunc(calls, p.compare)
	}
	var current *chunk
	for i, c := range calls {
		if !now.Before(c.until) {
			p.end(c, errNoLane)
			current = nil
			continue
		}
		if current == nil || len(current.calls) == maxEntries || p.compare(current.calls[0], c) != 0 {
			f.chunks = append(f.chunks, chunk{})
			current = &f.chunks[len(f.chunks)-1]
			current.calls, current.script, current.nonce, current.repeats = calls[i:i], p.scriptFor(c), p.nextNonce(), f.repeats
		}
		current.calls = current.calls[:len(current.calls)+1]
	}
}

// scriptFor returns the script that decides a call.
func (p *pilot) scriptFor(c *call) *script {
	if c.place == (place{}) {
		return &p.lookup
	}
	return &p.verify
}

// compare is 0 for calls that can go in one script call.
func (p *pilot) compare(a, b *call) int {
	switch {
	case p.oneSlot && a.slot != b.slot:
		return cmp.Compare(a.slot, b.slot)
	case a.shared != b.shared:
		return int(digit(a.shared)) - int(digit(b.shared))
	default:
		return int(digit(a.asking)) - int(digit(b.asking))
	}
}

func (p *pilot) nextNonce() (nonce [nonceLength]byte) {
	copy(nonce[:], p.nonce[:])
	binary.BigEndian.PutUint64(nonce[8:], p.count.Add(1))
	return nonce
}
