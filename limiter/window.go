// Package limiter holds what a quota is: an exact sliding window.
//
// A [Window] admits at most N requests in any span of its length. A [Limit] is up to three windows that must all admit, written "10/1s,600/1m" (parse.go).
// The window exists twice, and one test (limitertest) holds both to the same sentences: in Go over a ring of stamps (memory.go, [Take]), and in Lua over
// a string and a list of Redis (window.lua, [Script]) where several instances share it. Pacing of the management API, where smoothing is wanted and exactness is not,
// is another thing: pace.go.
package limiter

import (
	"fmt"
	"strconv"
	"time"
)

// Bounds of a window. They keep a full list of stamps below 20 MB and a length in milliseconds within ten digits.
const (
	MaxPermits = 1_000_000
	MinLength  = time.Millisecond
	MaxLength  = 31 * 24 * time.Hour
	MaxWindows = 3
)

// Window admits at most Permits requests in any span of Length. Permits is 0 to [MaxPermits]; 0 admits nothing. Length is [MinLength] to [MaxLength], in whole milliseconds.
type Window struct {
	Permits int
	Length  time.Duration
}

// Limit is what a quota allows: all of its windows must admit. The zero Limit is not set and means "the default of the next level"; [Off] admits everything.
// Limits are comparable.
type Limit struct {
	text    string
	count   int
	windows [MaxWindows]Window
}

// Off is the limit that refuses nothing.
var Off = Limit{text: "off"}

// IsSet reports whether the limit says anything, be it "off".
func (l Limit) IsSet() bool { return l.text != "" }

// Or returns l if it is set and otherwise fallback.
func (l *Limit) Or(fallback *Limit) *Limit {
	if l.IsSet() {
		return l
	}
	return fallback
}

// Windows returns the windows in the order in which they were written; none for a limit that is off or not set.
func (l *Limit) Windows() []Window { return l.windows[:l.count] }

// Longest returns the length of the longest window, 0 without one.
func (l *Limit) Longest() time.Duration {
	longest := time.Duration(0)
	for _, w := range l.Windows() {
		longest = max(longest, w.Length)
	}
	return longest
}

// String returns the limit as it was written, "off" for [Off], "" when not set.
func (l Limit) String() string { return l.text }

const (
	permitDigits = 7
	lengthDigits = 10
)

// Encode returns the limit as window.lua reads it: "-" (not set), or the number of windows as one digit ("0" is off) and for each window seven digits of permits and ten digits of
// its length in milliseconds.
func (l Limit) Encode() string {
	if !l.IsSet() {
		return "-"
	}
	text := strconv.AppendInt(nil, int64(l.count), 10)
	for _, w := range l.Windows() {
		text = fmt.Appendf(text, "%0*d%0*d", permitDigits, w.Permits, lengthDigits, w.Length.Milliseconds())
	}
	return string(text)
}

// EncodedLength returns how long the encoded limit is that begins with this byte; 0 if no encoded limit does.
func EncodedLength(first byte) int {
	switch {
	case first == '-':
		return 1
	case first >= '0' && first <= '0'+MaxWindows:
		return 1 + int(first-'0')*(permitDigits+lengthDigits)
	default:
		return 0
	}
}

// AtMost reports whether l never admits more than bound does: whether every window of bound has a window in l at least as long with at most as many permits.
// Both must be set. It is sufficient, not necessary: a limit that is stricter only by the sum of its windows is reported as wider.
func (l Limit) AtMost(bound Limit) bool {
	for _, b := range bound.Windows() {
		held := false
		for _, w := range l.Windows() {
			held = held || (w.Permits <= b.Permits && w.Length >= b.Length)
		}
		if !held {
			return false
		}
	}
	return true
}
