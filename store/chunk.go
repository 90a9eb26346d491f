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
}

// chunks divides a flight into script calls, leaving out what is too late to be sent.
func (p *pilot) chunks(f *flight, now time.Time) []chunk {
	chunks := f.chunks[:0]
	for _, part := range []struct {
		calls  []*call
		script *script
	}{{f.verifies, &p.verify}, {f.lookups, &p.lookup}} {
		slices.SortStableFunc(part.calls, p.compare)
		var current *chunk
		for i, c := range part.calls {
			if !now.Before(c.until) {
				p.end(c, errNoLane)
				current = nil
				continue
			}
			if current == nil || len(current.calls) == maxEntries || p.compare(current.calls[0], c) != 0 {
				chunks = append(chunks, chunk{calls: part.calls[i:i], script: part.script, nonce: p.nextNonce(), repeats: f.repeats})
				current = &chunks[len(chunks)-1]
			}
			current.calls = current.calls[:len(current.calls)+1]
		}
	}
	f.chunks = chunks
	return chunks
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
