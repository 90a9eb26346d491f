package store

import (
	"strconv"
	"time"

	"tpgate/limiter"
)

// The arguments and answers of verify.lua and lookup.lua, laid out as their headers draw them.

// appendVerify appends keys and arguments of a verify call.
func (p *pilot) appendVerify(dst []byte, c *chunk) []byte {
	for _, call := range c.calls {
		dst = p.appendName(dst, call.place, ":key:", true)
	}
	for _, call := range c.calls {
		dst = p.appendName(dst, call.place, ":settings", false)
	}
	for _, call := range c.calls {
		dst = p.appendName(dst, call.place, ":window:", true)
	}
	for _, call := range c.calls {
		dst = p.appendName(dst, call.place, ":window", false)
	}
	dst = appendBulk(dst, string(c.nonce[:]))
	dst = appendBulk(dst, p.storeID)
	dst = appendBulk(dst, p.key)
	dst = appendBulk(dst, p.workspace)
	for _, call := range c.calls {
		dst = appendBulk(dst, string(call.digest[:]))
	}
	for _, call := range c.calls {
		dst = appendNumber(dst, call.permits)
	}
	return dst
}

// appendLookup appends keys and arguments of a look-up call.
func (p *pilot) appendLookup(dst []byte, c *chunk) []byte {
	for _, call := range c.calls {
		dst = appendBulk(dst, p.names.bucketOf(call.digest))
	}
	dst = appendBulk(dst, string(c.nonce[:]))
	dst = appendBulk(dst, p.storeID)
	for _, call := range c.calls {
		dst = appendBulk(dst, string(call.digest[:]))
	}
	return dst
}

// appendName appends the name PREFIX:{WORKSPACE}WHAT, followed by the key's id if withID.
func (p *pilot) appendName(dst []byte, at place, what string, withID bool) []byte {
	id := ""
	if withID {
		id = at.id
	}
	dst = append(dst, '$')
	dst = strconv.AppendInt(dst, int64(len(p.names.prefix)+len(":{}")+len(at.workspace)+len(what)+len(id)), 10)
	dst = append(dst, "\r\n"...)
	dst = append(dst, p.names.prefix...)
	dst = append(dst, ":{"...)
	dst = append(dst, at.workspace...)
	dst = append(dst, '}')
	dst = append(dst, what...)
	dst = append(dst, id...)
	return append(dst, "\r\n"...)
}

func appendBulk(dst []byte, s string) []byte {
	dst = append(dst, '$')
	dst = strconv.AppendInt(dst, int64(len(s)), 10)
	dst = append(dst, "\r\n"...)
	dst = append(dst, s...)
	return append(dst, "\r\n"...)
}

func appendNumber(dst []byte, n int) []byte {
	var digits [20]byte
	text := strconv.AppendInt(digits[:0], int64(n), 10)
	dst = append(dst, '$')
	dst = strconv.AppendInt(dst, int64(len(text)), 10)
	dst = append(dst, "\r\n"...)
	dst = append(dst, text...)
	return append(dst, "\r\n"...)
}

const (
	stampLength   = 16
	verdictLength = 1 + 1 + 4 + 17 + 7 + stampLength + len(Digest{})
)

// enterVerdicts enters the answers of verify.lua. It returns false, whatever was entered, unless each is well-formed and names the digest that was asked.
func enterVerdicts(calls []*call, reply []byte) bool {
	if len(reply) != stampLength+len(calls)*verdictLength {
		return false
	}
	now, ok := digits(reply[:stampLength])
	reply = reply[stampLength:]
	for i, c := range calls {
		r := fields{rest: reply[i*verdictLength : (i+1)*verdictLength]}
		a := answer{verdict: r.next(1)[0]}
		scope := r.next(1)[0]
		granted, ok1 := digits(r.next(4))
		permits, ok2 := digits(r.next(7))
		length, ok3 := digits(r.next(10))
		remaining, ok4 := digits(r.next(7))
		oldest, ok5 := digits(r.next(stampLength))
		if !ok || !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || Digest(r.rest) != c.digest || granted > int64(c.permits) {
			return false
		}
		a.granted = int(granted)
		if scope != '-' {
			window := limiter.Window{Permits: int(permits), Length: time.Duration(length) * time.Millisecond}
			a.standing = standingOf(scope, window, int(remaining), limiter.Stamp(oldest), limiter.Stamp(now))
		}
		c.answer = a
	}
	return true
}

func standingOf(scope byte, window limiter.Window, remaining int, oldest, now limiter.Stamp) Standing {
	s := Standing{Scope: ScopeKey, Window: window, Remaining: remaining}
	if scope == 'W' {
		s.Scope = ScopeWorkspace
	}
	reset := oldest.Time().Add(window.Length)
	s.Reset, s.Wait = reset, reset.Sub(now.Time())
	return s
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
				a.verdict = 'B'
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
