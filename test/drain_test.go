package test

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestDrain ends an instance under load, as a roll-out does: clients with open connections go on asking it until its readiness says that they should ask another. No request may fail.
func TestDrain(t *testing.T) {
	redis := startRedis(t)
	flags := []string{"--redis-url", redis.url(), "--key-limit", "off", "--drain", "1s"}
	staying, leaving := startGate(t, flags...), startGate(t, flags...)
	key := staying.mustKey("acme", nil)
	for i := range rounds(3, 50) {
		load := startLoad(t, key.Secret, leaving.data, staying.data)
		load.await(t, 200)
		leaving.program.signal(syscall.SIGTERM)
		if err := awaitReadiness(leaving.ops, http.StatusServiceUnavailable); err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
		load.await(t, 100) // not ready, still serving, and telling clients to go
		load.moved.Store(true)
		if code := leaving.program.waitEnd(t); code != 0 {
			t.Errorf("round %d: exit code %d", i, code)
		}
		load.await(t, 100)
		load.stop()
		for _, fault := range load.faults {
			t.Errorf("round %d: %v", i, fault)
		}
		if load.closed.Load() == 0 {
			t.Errorf("round %d: no answer said that its connection ends", i)
		}
		leaving.restart()
	}
}

// awaitReadiness asks the ops listener until it gives the status that is wanted.
func awaitReadiness(ops string, status int) error {
	return eventually(patience, func() error {
		response, err := http.Get("http://" + ops + "/readyz")
		if err != nil {
			return err
		}
		_ = response.Body.Close()
		if response.StatusCode != status {
			return fmt.Errorf("readiness is %s, not %d", response.Status, status)
		}
		return nil
	})
}

// load is eight clients that ask one instance, and another one once they are told so.
type load struct {
	moved, ending  atomic.Bool
	passed, closed atomic.Int64
	running        sync.WaitGroup

	mu     sync.Mutex
	faults []error
}

func startLoad(t *testing.T, secret, first, then string) *load {
	l := &load{}
	for range 8 {
		clients := []*client{newClient(t, first), newClient(t, then)}
		l.running.Go(func() {
			for !l.ending.Load() {
				l.check(clients, secret)
			}
		})
	}
	t.Cleanup(l.stop)
	return l
}

func (l *load) check(clients []*client, secret string) {
	c := clients[0]
	if l.moved.Load() {
		c = clients[1]
	}
	got, err := c.check(secret)
	if err != nil || got.status != http.StatusOK {
		l.mu.Lock()
		l.faults = append(l.faults, fmt.Errorf("a check of %s was answered %d, %v", c.address, got.status, err))
		l.mu.Unlock()
		time.Sleep(10 * time.Millisecond)
		return
	}
	l.passed.Add(1)
	if got.closes {
		l.closed.Add(1)
	}
}

// await waits until n more checks have passed.
func (l *load) await(t *testing.T, n int64) {
	t.Helper()
	enough := l.passed.Load() + n
	if err := eventually(patience, func() error {
		if now := l.passed.Load(); now < enough {
			return fmt.Errorf("%d checks to go", enough-now)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func (l *load) stop() {
	l.ending.Store(true)
	l.running.Wait()
}
