package store

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// lane is one connection to a Redis node for checks: dialled, authenticated and selected by go-redis, then written and read here, since for one kind of command
// whose arguments lie in memory already a general client's work costs as much as the decision.
type lane struct {
	client *redis.Client // of this one connection
	held   *redis.Conn   // keeps go-redis from using it
	conn   net.Conn
	in     *bufio.Reader
	out    []byte
	used   time.Time
}

const (
	// laneBuffer holds the answers of the largest script call (64 checks), 5 kB.
	laneBuffer = 16 << 10
	// maxReply bounds one bulk string; a longer one is not an answer to what was asked.
	maxReply = 64 << 10
	// staleAfter is the idle time after which a connection is looked at before it is used.
	staleAfter = 100 * time.Millisecond
)

// errReply is an error that Redis sent in place of an answer, which proves that the script did not run, or did not charge.
type errReply string

func (e errReply) Error() string { return "redis: " + string(e) }

// openLane dials a node. options are those of a go-redis client of it, and stay as they are.
func openLane(ctx context.Context, options redis.Options) (*lane, error) {
	l := &lane{}
	dial := options.Dialer
	var dialled atomic.Pointer[net.Conn] // by a goroutine of go-redis, which may go on after Ping gave up
	options.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err == nil {
			dialled.Store(&conn)
		}
		return conn, err
	}
	// A pool of one would, once dialling has failed, go on dialling in the background.
	options.PoolSize, options.MinIdleConns, options.MaxRetries = 2, 0, -1
	l.client = redis.NewClient(&options)
	l.held = l.client.Conn()
	if err := l.held.Ping(ctx).Err(); err != nil {
		l.close()
		return nil, fmt.Errorf("connecting to Redis at %s: %w", options.Addr, err)
	}
	l.conn = *dialled.Load()
	l.in = bufio.NewReaderSize(l.conn, laneBuffer)
	l.used = time.Now()
	return l, nil
}

// close ends the connection. Errors mean that it was broken before, which is why it is closed.
func (l *lane) close() {
	if l.conn != nil {
		_ = l.conn.Close()
	}
	_ = l.held.Close()
	_ = l.client.Close()
}

// send writes what is in out, to be answered by the deadline.
func (l *lane) send(deadline time.Time) error {
	if err := l.conn.SetDeadline(deadline); err != nil {
		return err
	}
	_, err := l.conn.Write(l.out)
	return err
}

// reply reads one reply: a bulk or simple string, or an error of Redis as errReply. The bytes hold until the next one.
func (l *lane) reply() ([]byte, error) {
	line, err := l.in.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	if len(line) < 3 || line[len(line)-2] != '\r' {
		return nil, errMisdelivered
	}
	kind, rest := line[0], line[1:len(line)-2]
	switch kind {
	case '-':
		return nil, errReply(rest)
	case '+':
		return rest, nil
	case '$':
		n, err := strconv.Atoi(string(rest))
		if err != nil || n < 0 || n > maxReply {
			return nil, errMisdelivered
		}
		return l.bulk(n)
	default:
		return nil, errMisdelivered
	}
}

func (l *lane) bulk(n int) ([]byte, error) {
	var body []byte
	var err error
	if n+2 <= l.in.Size() {
		if body, err = l.in.Peek(n + 2); err == nil {
			_, err = l.in.Discard(n + 2)
		}
	} else {
		body = make([]byte, n+2)
		_, err = io.ReadFull(l.in, body)
	}
	if err == nil && string(body[n:]) != "\r\n" {
		err = errMisdelivered
	}
	if err != nil {
		return nil, err
	}
	return body[:n], nil
}

// stale reports whether an idle connection was closed by the other side, or holds bytes that nobody asked for.
func (l *lane) stale() bool {
	if time.Since(l.used) < staleAfter {
		return false
	}
	if l.in.Buffered() > 0 {
		return true
	}
	conn := l.conn
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	direct, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := direct.SyscallConn()
	if err != nil || l.conn.SetDeadline(time.Time{}) != nil {
		return true
	}
	stale := false
	err = raw.Read(func(fd uintptr) bool {
		var one [1]byte
		n, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		stale = n > 0 || (err == nil && n == 0) || (err != nil && !errors.Is(err, syscall.EAGAIN))
		return true
	})
	return stale || err != nil
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}
