package store_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"tpgate/store"
)

// TestRedisRefuses lets Redis refuse what a check asks of it: the check is not decided, says why, and is decided again once Redis is willing.
func TestRedisRefuses(t *testing.T) {
	addr := redisServer(t)
	direct := redis.NewClient(&redis.Options{Addr: addr})
	defer direct.Close()
	set := func(t *testing.T, parameter, value string) {
		t.Helper()
		if err := direct.ConfigSet(t.Context(), parameter, value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name       string
		start, end func(t *testing.T)
		says       string
	}{
		{"out of memory", func(t *testing.T) { set(t, "maxmemory", "1mb") }, func(t *testing.T) { set(t, "maxmemory", "0") }, "OOM"},
		{"too few replicas", func(t *testing.T) { set(t, "min-replicas-to-write", "1") }, func(t *testing.T) { set(t, "min-replicas-to-write", "0") }, "NOREPLICAS"},
		{"a replica", func(t *testing.T) {
			host, port, _ := net.SplitHostPort(store.FreeAddr(t)) // of a master that is not there, so that it keeps its data
			if err := direct.ReplicaOf(t.Context(), host, port).Err(); err != nil {
				t.Fatal(err)
			}
		}, func(t *testing.T) {
			if err := direct.ReplicaOf(t.Context(), "NO", "ONE").Err(); err != nil {
				t.Fatal(err)
			}
		}, "READONLY"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := openRedis(t, redisConfig(addr))
			key := newKey(t, s, "acme", "")
			want := func(verdict store.Verdict) store.Decision {
				t.Helper()
				d := s.Verify(key.Digest, time.Now().Add(150*time.Millisecond))
				if d.Verdict != verdict {
					t.Fatalf("the check came to %+v, want verdict %d", d, verdict)
				}
				return d
			}
			want(store.Allowed)
			c.start(t)
			d := want(store.Unavailable)
			if !strings.Contains(fmt.Sprint(d.Err), c.says) {
				t.Errorf("the error is %q, want one that says %s", d.Err, c.says)
			}
			c.end(t)
			want(store.Allowed)
		})
	}
}

// TestRedisFullOfClients takes all connections that Redis allows.
func TestRedisFullOfClients(t *testing.T) {
	addr := redisServer(t, "--maxclients", "20")
	s := openRedis(t, redisConfig(addr))
	key := newKey(t, s, "acme", "off")
	var others []net.Conn
	for range 40 {
		if conn, err := net.Dial("tcp", addr); err == nil {
			others = append(others, conn)
		}
	}
	for range 20 { // the first check opens the connection that checks need; it may come before or after Redis has noticed all others
		d := s.Verify(key.Digest, time.Now().Add(150*time.Millisecond))
		if d.Verdict != store.Unavailable && d.Verdict != store.Allowed {
			t.Fatalf("the check came to %+v", d)
		}
		time.Sleep(5 * time.Millisecond)
	}
	for _, conn := range others {
		conn.Close()
	}
	recovers(t, s, key, 3*time.Second)
}

// TestRedisEmptied empties Redis under a running instance: every check is undecided from then on, of known keys and of unknown ones.
func TestRedisEmptied(t *testing.T) {
	addr := redisServer(t)
	direct := redis.NewClient(&redis.Options{Addr: addr})
	defer direct.Close()
	s := openRedis(t, redisConfig(addr))
	key, fresh := newKey(t, s, "acme", "off"), newKey(t, s, "acme", "off")
	if d := s.Verify(key.Digest, time.Now().Add(time.Second)); d.Verdict != store.Allowed {
		t.Fatalf("the check came to %+v", d)
	}
	if err := direct.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	for name, digest := range map[string]store.Digest{"known": key.Digest, "never asked for": fresh.Digest, "unknown": {7}} {
		if d := s.Verify(digest, time.Now().Add(time.Second)); d.Verdict != store.Unavailable || !strings.Contains(fmt.Sprint(d.Err), "missing in Redis") {
			t.Errorf("the check of a digest that was %s came to %+v", name, d)
		}
	}
	if err := s.Ready(context.Background()); err == nil {
		t.Error("the store says that it is ready")
	}
	if _, err := s.Create(t.Context(), key); err == nil {
		t.Error("a key was created")
	}
}
