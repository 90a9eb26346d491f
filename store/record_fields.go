package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"tpgate/limiter"
)

// fields reads fields from the front. After something was missing or malformed, broken is true and what it returns means nothing.
type fields struct {
	rest   []byte
	broken bool
}

func (f *fields) next(n int) []byte {
	if len(f.rest) < n {
		f.broken, f.rest = true, make([]byte, n)
	}
	field := f.rest[:n]
	f.rest = f.rest[n:]
	return field
}

func (f *fields) flag() byte { return f.next(1)[0] }

func (f *fields) number(n int) int64 {
	v, ok := digits(f.next(n))
	f.broken = f.broken || !ok
	return v
}

// stamp reads an admission.
func (f *fields) stamp() limiter.Stamp {
	return limiter.Stamp(binary.BigEndian.Uint64(f.next(stampLength)))
}

func (f *fields) time() time.Time {
	ms := f.number(15)
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// use reads a time of last use. In an admission's form it is more exact than times are anywhere else.
func (f *fields) use() time.Time {
	at := f.stamp()
	f.broken = f.broken || at < 0 || at > maxUse
	if at == 0 {
		return time.Time{}
	}
	return time.UnixMilli(max(int64(at)/1000, 1)).UTC()
}

func (f *fields) expiry() time.Time {
	if bytes.HasPrefix(f.rest, []byte(never)) {
		f.next(len(never))
		return time.Time{}
	}
	t := f.time()
	f.broken = f.broken || t.IsZero()
	return t
}

// limit returns an encoded limit, that of the scripts, of which the first byte stood elsewhere. How it was written stands in the JSON, and must mean the same.
func (f *fields) limit(first byte) string {
	length := limiter.EncodedLength(first)
	if length == 0 {
		f.broken = true
		return ""
	}
	return string(first) + string(f.next(length-1))
}

func appendUse(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(dst, make([]byte, stampLength)...)
	}
	return binary.BigEndian.AppendUint64(dst, uint64(min(max(t.UnixMicro(), 1000), maxUse)))
}

func appendTime(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(dst, zeroTime...)
	}
	return fmt.Appendf(dst, "%015d", min(max(t.UnixMilli(), 1), 999_999_999_999_998))
}

func digit(b bool) byte {
	if b {
		return '1'
	}
	return '0'
}

func parseStoredLimit(text string) (limiter.Limit, error) {
	if text == "" {
		return limiter.Limit{}, nil
	}
	return limiter.Parse(text)
}
