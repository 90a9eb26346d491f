package authz

import (
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

const (
	// readAhead holds the usual request whole. What a longer one has beyond is read into fasthttp's own buffer.
	readAhead = 4 << 10
	// deadlineSlack is by how much a wait may end before its deadline.
	deadlineSlack = 20 * time.Millisecond
	// lingerTimeout is how long a client that is still sending has to read its answer.
	lingerTimeout = 2 * time.Second
)

// clientConn is a client's connection. A net.TCPConn would do but for three things:
//   - At rest it holds no buffer. With ReduceMemoryUsage, fasthttp gives its buffers back after each request and waits for a single byte of the next, which would cost every request
//     one system call more. Here that byte comes together with what follows it, in a buffer that is taken once there is something to read.
//   - Its deadlines cost nothing while nobody waits. fasthttp sets three for each request.
//   - It can linger (RFC 9112 section 9.6): take what a client still sends before it closes. Closed with bytes unread it would be reset, and the answer lost on the way.
//
// Close is for any goroutine, everything else for one at a time.
type clientConn struct {
	*net.TCPConn
	raw               syscall.RawConn
	receive, transmit func(fd uintptr) bool // tryRead and tryWrite, made once

	in        []byte           // where tryRead reads to; nil: ahead
	ahead     *[readAhead]byte // what from to end of it holds, nobody has read yet; nil if there is nothing
	from, end int
	out       []byte // what tryWrite still has to write
	n         int    // how much tryRead read
	err       error  // of the last system call

	readBy, writeBy deadline
	linger          bool
}

var aheads = sync.Pool{New: func() any { return new([readAhead]byte) }}

func newConn(tcp *net.TCPConn) (net.Conn, error) {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, err
	}
	c := &clientConn{TCPConn: tcp, raw: raw}
	c.receive, c.transmit = c.tryRead, c.tryWrite
	return c, nil
}

// Read waits until there is something to read, or for the read deadline (see [io.Reader]).
func (c *clientConn) Read(p []byte) (int, error) {
	if c.ahead == nil {
		c.in = p
		if len(p) == 1 {
			c.in = nil
		}
		err := c.raw.Read(c.receive)
		c.in = nil
		if err == nil {
			err = c.err
		}
		if err != nil || c.ahead == nil {
			return c.n, err
		}
	}
	n := copy(p, c.ahead[c.from:c.end])
	c.from += n
	if c.from == c.end {
		aheads.Put(c.ahead)
		c.ahead = nil
	}
	return n, nil
}

// tryRead reads what there is. It returns false if that is nothing yet.
func (c *clientConn) tryRead(fd uintptr) bool {
	to, ahead := c.in, (*[readAhead]byte)(nil)
	if to == nil {
		ahead = aheads.Get().(*[readAhead]byte)
		to = ahead[:]
	}
	c.n, c.err = retry(syscall.Read, fd, to)
	if c.n == 0 && c.err == nil && len(to) > 0 {
		c.err = io.EOF
	}
	if ahead != nil && c.err == nil {
		c.ahead, c.from, c.end = ahead, 0, c.n
	} else if ahead != nil {
		aheads.Put(ahead)
	}
	if c.err == syscall.EAGAIN {
		c.err = c.readBy.wait(c.TCPConn.SetReadDeadline)
		return c.err != nil
	}
	return true
}

// Write writes all of p, or as much as goes before the write deadline (see [io.Writer]).
func (c *clientConn) Write(p []byte) (int, error) {
	c.out = p
	err := c.raw.Write(c.transmit)
	if err == nil {
		err = c.err
	}
	n := len(p) - len(c.out)
	c.out = nil
	return n, err
}

// tryWrite writes as much as goes now. It returns false if there is more.
func (c *clientConn) tryWrite(fd uintptr) bool {
	n := 0
	for c.err = nil; len(c.out) > 0 && c.err == nil; c.out = c.out[n:] {
		n, c.err = retry(syscall.Write, fd, c.out)
	}
	if c.err == syscall.EAGAIN {
		c.err = c.writeBy.wait(c.TCPConn.SetWriteDeadline)
		return c.err != nil
	}
	return true
}

// retry makes a system call, again whenever a signal interrupts it. It returns how many bytes it read or wrote: 0 with an error.
func retry(do func(int, []byte) (int, error), fd uintptr, p []byte) (int, error) {
	for {
		n, err := do(int(fd), p)
		if err != syscall.EINTR {
			return max(n, 0), err
		}
	}
}

// SetReadDeadline sets until when a Read may wait.
func (c *clientConn) SetReadDeadline(t time.Time) error {
	return c.readBy.set(t, c.TCPConn.SetReadDeadline)
}

// SetWriteDeadline sets until when a Write may wait.
func (c *clientConn) SetWriteDeadline(t time.Time) error {
	return c.writeBy.set(t, c.TCPConn.SetWriteDeadline)
}

// SetDeadline sets both.
func (c *clientConn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// Close closes the connection: at once, or half of it at once and the rest when the client has closed too, or after lingerTimeout.
func (c *clientConn) Close() error {
	if c.linger && c.CloseWrite() == nil && c.TCPConn.SetReadDeadline(time.Now().Add(lingerTimeout)) == nil {
		_, _ = io.Copy(io.Discard, c.TCPConn)
	}
	return c.TCPConn.Close()
}

// deadline is one of which the runtime, for which each change is dear, knows only what it must.
type deadline struct{ wanted, known time.Time }

// set notes a deadline. The runtime hears of it if the one that it knows would end a later wait too soon; of an earlier one, wait tells it.
func (d *deadline) set(t time.Time, tell func(time.Time) error) error {
	d.wanted = t
	if d.known.IsZero() || !t.IsZero() && t.Sub(d.known) <= deadlineSlack {
		return nil
	}
	d.known = t
	return tell(t)
}

// wait is for who is about to wait.
func (d *deadline) wait(tell func(time.Time) error) error {
	if d.wanted.IsZero() || !d.known.IsZero() && !d.wanted.Before(d.known) {
		return nil
	}
	d.known = d.wanted
	return tell(d.wanted)
}
