package store_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"tpgate/store"
)

func TestCheckRedisURL(t *testing.T) {
	for url, good := range map[string]bool{
		"redis://127.0.0.1:6379": true, "redis://127.0.0.1": true, "redis://:hunter2@127.0.0.1:6379/2": true, "rediss://user:hunter2@redis.example:6380/0": true,
		"unix:///run/redis.sock": true, "unix://user:hunter2@/run/redis.sock?db=1": true,
		"redis://:hunter2@a:1?addr=b:2&addr=c:3": true, "redis://:hunter2@a:1?master_name=tpgate&addr=b:2": true, "redis://:hunter2@sentinel:26379/1?master_name=tpgate": true,
		"": false, "127.0.0.1:6379": false, "http://127.0.0.1:6379": false, "redis://:hunter2@127.0.0.1:port": false, "redis://:hunter2@127.0.0.1:6379/x": false,
		"redis://:hunter2@127.0.0.1:6379?hunter3=1": false, "redis://:hunter2@127.0.0.1:6379 ": false, "redis://:hun%ter2@127.0.0.1:6379": false, "redis://:hunter2@a:1?addr=b:2&nonsense=1": false,
		"redis://:hunter2@127.0.0.1\x00": false, "http://:hunter2@127.0.0.1": false, "redis://:hunter2@[::1": false, "redis://:hunter2@a:1?addr=b:2&db=1": false,
	} {
		err := store.CheckRedisURL(url)
		if (err == nil) != good {
			t.Errorf("%q: error %v, want a good one: %t", url, err, good)
		}
		if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "hun%ter2")) {
			t.Errorf("%q: the error tells the password: %v", url, err)
		}
	}
}

// TestRedisIsTheKnownOne opens stores in a Redis that is not what the installation has known: refused with what to do, unless told otherwise.
func TestRedisIsTheKnownOne(t *testing.T) {
	addr := redisServer(t)
	direct := redis.NewClient(&redis.Options{Addr: addr})
	defer direct.Close()
	config := redisConfig(addr)
	s := openRedis(t, config)
	first := s.ID()
	key := newKey(t, s, "acme", "off")
	open := func(known string, accept bool) (string, error) {
		config := config
		config.KnownID, config.AcceptEmpty = known, accept
		again, err := store.OpenRedis(t.Context(), config)
		if err != nil {
			return "", err
		}
		defer again.Close()
		return again.ID(), nil
	}
	opens := func(known string, accept bool, want string) string {
		t.Helper()
		id, err := open(known, accept)
		if err != nil || (want != "" && id != want) {
			t.Fatalf("known as %q, accepted if empty: %t: opened as %q (error %v), want %q", known, accept, id, err, want)
		}
		return id
	}
	refuses := func(known string, says ...string) {
		t.Helper()
		_, err := open(known, false)
		for _, word := range append(says, "--accept-empty-store") {
			if !strings.Contains(fmt.Sprint(err), word) {
				t.Errorf("known as %q: error %v, want one that says %s", known, err, word)
			}
		}
	}
	opens("", false, first)
	opens(first, false, first)
	refuses("another-store-id", first, "another-store-id")
	opens("another-store-id", true, first)
	recovers(t, s, key, time.Second) // nothing was lost by it

	if err := direct.Del(t.Context(), "tpgate:index:0007").Err(); err != nil {
		t.Fatal(err)
	}
	refuses(first, "1 of 1024")
	opens(first, true, first)
	opens(first, false, first)

	if err := direct.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	refuses(first, first, "empty")
	second := opens(first, true, "")
	if second == first || len(second) != len(first) {
		t.Errorf("the emptied store has id %q, was %q", second, first)
	}
	refuses(first, first, second)
	opens(second, false, second)
	if d := s.Verify(key.Digest, time.Now().Add(time.Second)); d.Verdict != store.Unavailable {
		t.Errorf("an instance that knows the former store answers %+v", d)
	}
	if err := direct.HSet(t.Context(), "tpgate:store", "id", "short").Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := open("", false); err == nil || !strings.Contains(err.Error(), "--redis-prefix") {
		t.Errorf("a store with an id that nobody has written: error %v", err)
	}
}

// TestRedisClaimedAtOnce opens an empty Redis from many instances at once: it gets one id, and is complete for all of them.
func TestRedisClaimedAtOnce(t *testing.T) {
	addr := redisServer(t)
	for round := range 5 {
		config := redisConfig(addr)
		config.Prefix = fmt.Sprint("round", round)
		stores := make([]*store.Redis, 4)
		var instances sync.WaitGroup
		for i := range stores {
			instances.Go(func() {
				config := config
				config.Metrics = redisConfig(addr).Metrics
				s, err := store.OpenRedis(context.Background(), config)
				if err != nil {
					t.Error(err)
					return
				}
				t.Cleanup(func() { _ = s.Close() })
				stores[i] = s
			})
		}
		instances.Wait()
		if t.Failed() {
			return
		}
		key := newKey(t, stores[0], "acme", "off")
		for _, s := range stores {
			if s.ID() != stores[0].ID() {
				t.Errorf("instances know the store as %s and as %s", s.ID(), stores[0].ID())
			}
			recovers(t, s, key, time.Second)
		}
	}
}

// TestRedisMustFit opens stores in a Redis that would throw keys away.
func TestRedisMustFit(t *testing.T) {
	for policy, good := range map[string]bool{"noeviction": true, "allkeys-lru": false, "volatile-ttl": false, "allkeys-random": false} {
		s, err := store.OpenRedis(t.Context(), redisConfig(redisServer(t, "--maxmemory-policy", policy)))
		if good != (err == nil) {
			t.Errorf("policy %s: error %v", policy, err)
		}
		if err == nil {
			_ = s.Close()
		} else if !strings.Contains(err.Error(), policy) || !strings.Contains(err.Error(), "CONFIG SET maxmemory-policy noeviction") {
			t.Errorf("policy %s: the error does not say what to do: %v", policy, err)
		}
	}
	if _, err := store.OpenRedis(t.Context(), redisConfig(store.FreeAddr(t))); err == nil || !strings.Contains(err.Error(), "connecting to Redis") {
		t.Errorf("without a Redis: error %v", err)
	}
	config := redisConfig(redisServer(t, "--requirepass", "hunter2"))
	if _, err := store.OpenRedis(t.Context(), config); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("without the password: error %v", err)
	}
	config.Password = "hunter2"
	key := newKey(t, openRedis(t, config), "acme", "off")
	config.URL = strings.Replace(config.URL, "redis://", "redis://:wrong@", 1) // the file's password wins
	config.Metrics = redisConfig("").Metrics
	recovers(t, openRedis(t, config), key, time.Second)
}
