package store_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"tpgate/limiter/limitertest"
	"tpgate/store"
)

// TestRedisStandsStill stops Redis under checks, without a word to anybody, and lets it go on.
func TestRedisStandsStill(t *testing.T) {
	program, addr := limitertest.RedisProgram(t), store.FreeAddr(t)
	process := startRedis(t, program, addr, "--dir", t.TempDir())
	s := openRedis(t, redisConfig(addr))
	keys := []store.Key{newKey(t, s, "w0", "1000000/1h"), newKey(t, s, "w1", "off"), newKey(t, s, "w2", "10/200ms")}
	sum := hammer(s, keys, func() {
		for _, still := range []time.Duration{50 * time.Millisecond, faultTime(), 1500 * time.Millisecond} {
			time.Sleep(100 * time.Millisecond)
			if err := process.Signal(syscall.SIGSTOP); err != nil {
				t.Error(err)
			}
			time.Sleep(still)
			if err := process.Signal(syscall.SIGCONT); err != nil {
				t.Error(err)
			}
			recovers(t, s, keys[1], time.Second)
		}
	})
	sum.judge(t, 10, 200*time.Millisecond, 2)
	chargedOnce(t, addr, sum, keys[:1])
}

// TestRedisDies kills Redis under checks and starts it anew with what it had on disk.
func TestRedisDies(t *testing.T) {
	program, addr, dir := limitertest.RedisProgram(t), store.FreeAddr(t), t.TempDir()
	args := []string{"--dir", dir, "--appendonly", "yes", "--appendfsync", "always"}
	process := startRedis(t, program, addr, args...)
	s := openRedis(t, redisConfig(addr))
	keys := []store.Key{newKey(t, s, "w0", "1000000/1h"), newKey(t, s, "w1", "off"), newKey(t, s, "w2", "10/300ms")}
	sum := hammer(s, keys, func() {
		for range 3 {
			time.Sleep(200 * time.Millisecond)
			if err := process.Kill(); err != nil {
				t.Error(err)
			}
			time.Sleep(faultTime() / 4)
			process = startRedis(t, program, addr, args...)
			recovers(t, s, keys[1], time.Second)
		}
	})
	sum.judge(t, 10, 300*time.Millisecond, 2)
	chargedOnce(t, addr, sum, keys[:1])
	fresh := newKey(t, s, "w3", "off") // the control plane has found back too
	recovers(t, s, fresh, time.Second)
}

// TestRedisGoneWhileIdle breaks the connections of a service that has been idle, and lets the new ones hang: a check does not wait for them longer than it may.
func TestRedisGoneWhileIdle(t *testing.T) {
	l := newLine(t, redisServer(t))
	s := openRedis(t, redisConfig(l.address))
	key := newKey(t, s, "acme", "off")
	recovers(t, s, key, time.Second)
	time.Sleep(150 * time.Millisecond) // long enough that the connection is looked at before it is used
	l.swallow.Store(true)
	l.cut()
	sum := hammer(s, []store.Key{key}, func() { time.Sleep(300 * time.Millisecond) })
	sum.judge(t, 0, 0)
	if total(sum.allowed) > 0 || total(sum.unavailable) == 0 {
		t.Errorf("%d checks were allowed, %d not decided", total(sum.allowed), total(sum.unavailable))
	}
	l.heal()
	recovers(t, s, key, 3*time.Second)
}

// chargedIn returns how often a key, whose window has lost nothing, was charged.
func chargedIn(t *testing.T, direct *redis.Client, prefix string, key store.Key) int64 {
	t.Helper()
	record, err := direct.Get(t.Context(), fmt.Sprintf("%s:{%s}:k:%s", prefix, key.Workspace, key.ID)).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return store.Admissions(record)
}

// chargedOnce fails unless each admission of these keys, whose windows have lost none, stands there once: those that were told, and of those that were not decided, some.
func chargedOnce(t *testing.T, addr string, sum *ledger, keys []store.Key) {
	t.Helper()
	direct := redis.NewClient(&redis.Options{Addr: addr})
	defer direct.Close()
	for i, key := range keys {
		allowed, unavailable := sum.allowed[i].Load(), sum.unavailable[i].Load()
		charged := chargedIn(t, direct, "tpgate", key)
		if charged < allowed || charged > allowed+unavailable {
			t.Errorf("key %d: %d charged, %d allowed, %d not decided", i, charged, allowed, unavailable)
		}
		t.Logf("key %d: %d charged, %d allowed, %d not decided", i, charged, allowed, unavailable)
	}
}
