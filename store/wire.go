package store

import (
	"encoding/binary"
	"strconv"
	"time"

	"tpgate/limiter"
)

// The arguments and answers of verify.lua and lookup.lua, laid out as their headers draw them.

// appendCall appends a script call as a RESP array.
func (p *pilot) appendCall(dst []byte, c *chunk) []byte {
	if c.calls[0].asking {
		dst = append(dst, "*1\r\n$6\r\nASKING\r\n"...)
	}
	n := len(c.calls)
	keys, args := n, 2+n
	if c.script == &p.verify {
		keys, args = 3*n, 5+n
		if c.calls[0].shared {
			keys += n
		}
	}
	dst = appendLength(dst, '*', 3+keys+args)
	if c.full {
		dst = appendBulk(appendBulk(dst, "EVAL"), c.script.text)
	} else {
		dst = appendBulk(appendBulk(dst, "EVALSHA"), c.script.sha1)
	}
	dst = appendNumber(dst, keys)
	if c.script == &p.verify {
		return p.appendVerify(dst, c)
	}
	return p.appendLookup(dst, c)
}

// appendVerify appends keys and arguments of a verify call.
func (p *pilot) appendVerify(dst []byte, c *chunk) []byte {
	for _, call := range c.calls {
		dst = p.appendName(dst, call.place, ":k:", true)
	}
	for _, call := range c.calls {
		dst = p.appendName(dst, call.place, ":s", false)
	}
	for _, call := range c.calls {
		dst = p.appendName(dst, call.place, ":w:", true)
	}
	shared := ""
	if c.calls[0].shared {
		shared = p.workspace
		for _, call := range c.calls {
			dst = p.appendName(dst, call.place, ":w", false)
		}
	}
	dst = appendBulk(dst, c.nonce[:])
	dst = appendBulk(dst, p.storeID)
	dst = appendBulk(dst, p.key)
	dst = appendBulk(dst, shared)
	dst = appendPermits(dst, c)
	for _, call := range c.calls {
		dst = append(appendLength(dst, '$', proofLength), layout)
		dst = append(dst, call.digest[:]...)
		dst = append(dst, "\r\n"...)
	}
	return dst
}

// appendPermits appends how many permits each call asks for, in 2 bytes each; nothing if it is one for each, and no two are of one key.
func appendPermits(dst []byte, c *chunk) []byte {
	if !c.repeats {
		return appendBulk(dst, "")
	}
	dst = appendLength(dst, '$', 2*len(c.calls))
	for _, call := range c.calls {
		dst = binary.BigEndian.AppendUint16(dst, uint16(call.permits))
	}
	return append(dst, "\r\n"...)
}

// appendLookup appends keys and arguments of a look-up call.
func (p *pilot) appendLookup(dst []byte, c *chunk) []byte {
	for _, call := range c.calls {
		dst = appendBulk(dst, p.names.bucketOf(call.digest).name)
	}
	dst = appendBulk(dst, c.nonce[:])
	dst = appendBulk(dst, p.storeID)
	for _, call := range c.calls {
		dst = appendBulk(dst, call.digest[:])
	}
	return dst
}

// appendName appends the name PREFIX:{WORKSPACE}WHAT, followed by the key's id if withID.
func (p *pilot) appendName(dst []byte, at place, what string, withID bool) []byte {
	id := ""
	if withID {
		id = at.id
	}
	dst = appendLength(dst, '$', len(p.names.prefix)+len(":{}")+len(at.workspace)+len(what)+len(id))
	dst = append(dst, p.names.prefix...)
	dst = append(dst, ":{"...)
	dst = append(dst, at.workspace...)
	dst = append(dst, '}')
	dst = append(dst, what...)
	dst = append(dst, id...)
	return append(dst, "\r\n"...)
}

// appendLength appends the line that begins a RESP array ('*') or bulk string ('$').
func appendLength(dst []byte, kind byte, n int) []byte {
	dst = strconv.AppendUint(append(dst, kind), uint64(n), 10)
	return append(dst, "\r\n"...)
}

func appendBulk[T string | []byte](dst []byte, s T) []byte {
	dst = append(appendLength(dst, '$', len(s)), s...)
	return append(dst, "\r\n"...)
}

func appendNumber(dst []byte, n int) []byte {
	var digits [20]byte
	text := strconv.AppendInt(digits[:0], int64(n), 10)
	dst = append(appendLength(dst, '$', len(text)), text...)
	return append(dst, "\r\n"...)
}

const (
	proofLength   = 1 + len(Digest{})
	verdictLength = 1 + 1 + 2 + 17 + 3 + stampLength + proofLength
)

// enterVerdicts enters the answers of verify.lua. It returns false, whatever was entered, unless each is well-formed and names the digest that was asked.
func enterVerdicts(calls []*call, reply []byte) bool {
	if len(reply) != stampLength+len(calls)*verdictLength {
		return false
	}
	r := fields{rest: reply}
	now := r.stamp()
	for _, c := range calls {
		a := &c.answer
		*a = answer{verdict: r.flag()}
		scope := r.flag()
		a.granted = int(binary.BigEndian.Uint16(r.next(2)))
		window := limiter.Window{Permits: int(r.number(7)), Length: time.Duration(r.number(10)) * time.Millisecond}
		remaining := r.next(3)
		oldest := r.stamp()
		if proof := r.next(proofLength); proof[0] != layout || Digest(proof[1:]) != c.digest || a.granted > c.permits || r.broken {
			return false
		}
		switch {
		case a.verdict == 'R':
			a.refuse(scope)
		case scope != '-':
			left := int(remaining[0])<<16 | int(remaining[1])<<8 | int(remaining[2])
			a.standing.enter(scope, window, left, oldest, now)
		}
	}
	return true
}

// refuse enters that Redis refused the script's writes. On a replica it refuses them all, so that the check may be asked again of the master.
func (a *answer) refuse(reason byte) {
	switch reason {
	case 'O':
		a.err = errReply("OOM: no memory is left for what must be written")
	case 'R':
		a.err, a.redirect = errReply("READONLY: this is a replica"), "READONLY"
	case 'N':
		a.err = errReply("NOREPLICAS: too few replicas are there for writing")
	default:
		a.err = errReply("MISCONF: Redis cannot write to its disk")
	}
}

// enter fills in a standing from an answer.
func (s *Standing) enter(scope byte, window limiter.Window, remaining int, oldest, now limiter.Stamp) {
	s.Scope, s.Window, s.Remaining = ScopeKey, window, remaining
	if scope == 'W' {
		s.Scope = ScopeWorkspace
	}
	s.Reset = oldest.Time().Add(window.Length)
	s.Wait = s.Reset.Sub(now.Time())
}

// enterLookups enters the answers of lookup.lua, as enterVerdicts does.
func enterLookups(calls []*call, reply []byte) bool {
	const head = 1 + len(Digest{}) + 3
	for _, c := range calls {
		if len(reply) < head || Digest(reply[1:1+len(Digest{})]) != c.digest {
			return false
		}
		length, ok := digits(reply[head-3 : head])
		if !ok || len(reply) < head+int(length) {
			return false
		}
		a := answer{verdict: reply[0]}
		if a.verdict == 'F' {
			if a.found, ok = parsePlace(string(reply[head : head+int(length)])); !ok {
				a = answer{verdict: 'B'}
			}
		}
		c.answer = a
		reply = reply[head+int(length):]
	}
	return len(reply) == 0
}

// digits reads an unsigned decimal number of up to 18 digits.
func digits(text []byte) (int64, bool) {
	n := int64(0)
	for _, d := range text {
		if d < '0' || d > '9' {
			return 0, false
		}
		n = n*10 + int64(d-'0')
	}
	return n, true
}
