package test

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// revocations are all the ways in which a key ends, and what it is answered from then on.
var revocations = []struct {
	name   string
	revoke func(g *gate, key apiKey) error
	status int
	denial string
}{
	{"deleted", func(g *gate, key apiKey) error { return g.manage("DELETE", key.path(), nil, nil) }, 401, "invalid_api_key"},
	{"disabled", func(g *gate, key apiKey) error { return g.manage("PATCH", key.path(), fields{"disabled": true}, nil) }, 401, "invalid_api_key"},
	{"rotated", func(g *gate, key apiKey) error {
		return g.manage("POST", key.path()+"/rotate", fields{"overlap": "0s"}, nil)
	}, 401, "invalid_api_key"},
	{"expired", func(g *gate, key apiKey) error {
		return g.manage("PATCH", key.path(), fields{"expires_at": "2026-01-01T00:00:00Z"}, nil)
	}, 401, "expired_api_key"},
	{"suspended", func(g *gate, key apiKey) error {
		return g.manage("PATCH", "/v1/workspaces/"+key.Workspace, fields{"suspended": true}, nil)
	}, 403, "workspace_suspended"},
	{"all deleted", func(g *gate, key apiKey) error {
		return g.manage("DELETE", "/v1/workspaces/"+key.Workspace+"/keys", nil, nil)
	}, 401, "invalid_api_key"},
}

// TestRevocation ends keys on one instance while a client uses them on another: no check that starts after the management call was answered may pass there.
func TestRevocation(t *testing.T) {
	redis := startRedis(t)
	flags := []string{"--redis-url", redis.url(), "--key-limit", "off"}
	a, b := startGate(t, flags...), startGate(t, flags...)
	hammering, asking := newClient(t, b.data), newClient(t, b.data)
	for n, r := range revocations {
		t.Run(r.name, func(t *testing.T) {
			checked := 0
			for i := range rounds(60, 500) {
				key := a.mustKey(fmt.Sprintf("w%d-%d", n, i), nil)
				h := startHammer(t, hammering, key.Secret)
				h.await(t, 3)
				if err := r.revoke(a, key); err != nil {
					t.Fatal(err)
				}
				answered := time.Now()
				if got, err := asking.check(key.Secret); err != nil || got.status != r.status || got.name != r.denial {
					t.Errorf("round %d: the first check afterwards was answered %d %s, %v", i, got.status, got.name, err)
				}
				h.await(t, 10)
				answers, err := h.stop()
				if err != nil {
					t.Fatal(err)
				}
				for _, got := range answers {
					if got.sent.After(answered) && (got.status != r.status || got.name != r.denial) {
						t.Errorf("round %d: a check that started %s after the answer was answered %d %s", i, got.sent.Sub(answered), got.status, got.name)
					}
					if got.received.Before(answered) && got.status != http.StatusOK && got.status != r.status {
						t.Errorf("round %d: before, a check was answered %d %s", i, got.status, got.name)
					}
				}
				checked += len(answers)
			}
			t.Logf("%d checks", checked)
		})
	}
}

// hammer asks about one key again and again.
type hammer struct {
	ending  atomic.Bool
	count   atomic.Int64
	ended   chan struct{} // closed when answers and err are final
	answers []answer
	err     error
}

func startHammer(t *testing.T, c *client, secret string) *hammer {
	h := &hammer{ended: make(chan struct{})}
	go func() {
		defer close(h.ended)
		for !h.ending.Load() && h.err == nil {
			var got answer
			got, h.err = c.check(secret)
			h.answers = append(h.answers, got)
			h.count.Add(1)
		}
	}()
	t.Cleanup(func() { _, _ = h.stop() })
	return h
}

// await waits until n more checks were answered.
func (h *hammer) await(t *testing.T, n int64) {
	t.Helper()
	for enough := h.count.Load() + n; h.count.Load() < enough; time.Sleep(100 * time.Microsecond) {
		select {
		case <-h.ended:
			t.Fatalf("the hammering client: %v", h.err)
		default:
		}
	}
}

// stop returns all answers.
func (h *hammer) stop() ([]answer, error) {
	h.ending.Store(true)
	<-h.ended
	return h.answers, h.err
}
