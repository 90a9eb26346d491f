package authz

import (
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// tolerantListener goes on accepting when the process or the machine is out of file descriptors or memory for a while. fasthttp's Serve would return for good.
type tolerantListener struct{ net.Listener }

// Accept waits for the next connection. Out of resources it tries again, every 5 ms at first and every second at last.
func (l tolerantListener) Accept() (net.Conn, error) {
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		conn, err := l.Listener.Accept()
		if tcp, ok := conn.(*net.TCPConn); ok {
			return newConn(tcp)
		}
		if err == nil || !passing(err) {
			return conn, err
		}
		time.Sleep(pause)
	}
}

func passing(err error) bool {
	for _, kind := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// maxConnections is the number of connections served at once: what the file descriptors allow less 100 for everything else, 1 million at most. One more is answered 503 and closed.
func maxConnections() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 1000
	}
	return int(min(max(limit.Cur, 200)-100, 1_000_000))
}

// sampler lets one line a second through to the log.
type sampler struct{ last atomic.Int64 }

func (s *sampler) due(now time.Time) bool {
	last := s.last.Load()
	return now.UnixNano()-last >= int64(time.Second) && s.last.CompareAndSwap(last, now.UnixNano())
}

// quiet drops fasthttp's own messages: they quote what clients sent.
type quiet struct{}

// Printf does nothing.
func (quiet) Printf(string, ...any) {}
