package test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// The quota of these tests.
const (
	quota       = 20
	quotaFlag   = "20/500ms"
	quotaWindow = 500 * time.Millisecond
	// memory is how old a refusal may be.
	memory = 20 * time.Millisecond
)

// TestUsageOfInstances counts checks on two instances, one of which is killed after it has written what it counted, and the other stopped before.
func TestUsageOfInstances(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	a, b, c := startGate(t, "--redis-url", redis.url()), startGate(t, "--redis-url", redis.url()), startGate(t, "--redis-url", redis.url())
	key := a.mustKey("acme", fields{"limit": "8/1h"})
	for range 5 {
		a.status(key.Secret)
		b.status(key.Secret)
	}
	used := func() (allowed, refused int) {
		t.Helper()
		var list []struct{ Allowed, Refused int }
		if err := c.manage("GET", key.path()+"/usage", nil, &list); err != nil {
			t.Fatal(err)
		}
		for _, u := range list {
			allowed, refused = allowed+u.Allowed, refused+u.Refused
		}
		return allowed, refused
	}
	b.stop()
	if err := eventually(15*time.Second, func() error {
		if allowed, refused := used(); allowed != 8 || refused != 2 {
			return fmt.Errorf("counted %d allowed and %d refused, want 8 and 2", allowed, refused)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	a.crash()
	if allowed, refused := used(); allowed != 8 || refused != 2 {
		t.Errorf("counted %d allowed and %d refused, want 8 and 2", allowed, refused)
	}
}

// TestQuotaOfInstances sends bursts from eight clients to two instances on one Redis, at the edges of the windows that bursts before have opened, and judges every answer
// by when it was asked and answered: what was admitted certainly within one window must be no more than the quota, and nobody may be refused while it certainly was not used up.
func TestQuotaOfInstances(t *testing.T) {
	redis := startRedis(t)
	for _, test := range []struct {
		name  string
		keys  int // all of one workspace
		flags []string
		exact bool // nothing else refuses
	}{
		{"of a key", 1, []string{"--key-limit", quotaFlag}, true},
		{"of a workspace", 3, []string{"--key-limit", "off", "--workspace-limit", quotaFlag}, true},
		{"of both", 3, []string{"--key-limit", "15/500ms", "--workspace-limit", quotaFlag}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			flags := append([]string{"--redis-url", redis.url(), "--redis-prefix", freeAddress(t)}, test.flags...)
			b := newBurst(t, startGate(t, flags...), startGate(t, flags...), test.keys)
			random := rand.New(rand.NewPCG(1, uint64(test.keys)))
			for i := range rounds(16, 200) {
				b.fire(t, 5)
				pause := quotaWindow - 40*time.Millisecond + time.Duration(random.IntN(60))*time.Millisecond
				if i%4 == 3 { // in the midst of a window
					pause = time.Duration(random.Int64N(int64(quotaWindow)))
				}
				time.Sleep(max(0, time.Until(b.started.Add(pause)))) // real time is what is tested
			}
			judge(t, b.answers, test.exact)

			time.Sleep(quotaWindow + 2*memory)
			b.answers = nil
			b.fire(t, 5)
			if n := len(admitted(b.answers)); n < quota {
				t.Errorf("after a pause of one window only %d requests were admitted, of %d", n, quota)
			}
		})
	}
}

// burst is clients that ask all at once, each about one key of several.
type burst struct {
	clients []*client
	secrets []string
	started time.Time

	mu      sync.Mutex
	answers []answer
}

// newBurst makes the keys on one of two instances, and eight clients, four for each.
func newBurst(t *testing.T, one, other *gate, keys int) *burst {
	t.Helper()
	b := &burst{}
	for range keys {
		b.secrets = append(b.secrets, one.mustKey("acme", nil).Secret)
	}
	for range 4 {
		b.clients = append(b.clients, newClient(t, one.data), newClient(t, other.data))
	}
	return b
}

// fire lets each client ask n times, as fast as it is answered.
func (b *burst) fire(t *testing.T, n int) {
	t.Helper()
	b.started = time.Now()
	var asking sync.WaitGroup
	for i, c := range b.clients {
		asking.Go(func() {
			for j := range n {
				got, err := c.check(b.secrets[(i+j)%len(b.secrets)])
				if err != nil || got.status != http.StatusOK && got.status != http.StatusTooManyRequests {
					t.Errorf("a check was answered %d, %v", got.status, err)
					return
				}
				b.mu.Lock()
				b.answers = append(b.answers, got)
				b.mu.Unlock()
			}
		})
	}
	asking.Wait()
}

func admitted(answers []answer) []answer {
	return slices.DeleteFunc(slices.Clone(answers), func(a answer) bool { return a.status != http.StatusOK })
}

// judge looks for answers that no exact window can have given. Of each request it is only known that it was decided between being sent and being answered.
func judge(t *testing.T, answers []answer, exact bool) {
	t.Helper()
	passed := admitted(answers)
	slices.SortFunc(passed, func(x, y answer) int { return x.sent.Compare(y.sent) })
	most := 0
	for i, first := range passed {
		within := 0
		for _, other := range passed[i:] { // sent at the same time or later
			if other.received.Sub(first.sent) < quotaWindow {
				within++
			}
		}
		most = max(most, within)
	}
	if most > quota {
		t.Errorf("%d requests were admitted within less than %s: the quota is %d", most, quotaWindow, quota)
	}
	refused := 0
	for _, r := range answers {
		if r.status == http.StatusOK {
			continue
		}
		refused++
		used := 0
		for _, p := range passed {
			if p.received.After(r.sent.Add(-quotaWindow-memory)) && p.sent.Before(r.received) {
				used++
			}
		}
		if exact && used < quota {
			t.Errorf("a request was refused when at most %d of %d were used", used, quota)
		}
	}
	t.Logf("%d admitted, %d refused, at most %d in one window", len(passed), refused, most)
	if refused == 0 || len(passed) < 2*quota {
		t.Errorf("the bursts have not tested the quota: %d admitted, %d refused", len(passed), refused)
	}
}
