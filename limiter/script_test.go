package limiter_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"tpgate/limiter"
)

// takeScript runs window.lua with the time as an argument: KEYS lists, ARGV time, permits, encoded limits.
var takeScript = redis.NewScript(limiter.Script(`
clock(ARGV[1])
local granted, quota, window, remaining, oldest = take(tonumber(ARGV[2]), KEYS[1], limit_of(ARGV[3]), KEYS[2], ARGV[4] and limit_of(ARGV[4]))
return {granted, quota, window and window.text or '', remaining, oldest or ''}`))

// script is the window of window.lua on a real Redis.
type script struct {
	t      testing.TB
	client *redis.Client
}

func (s script) Take(now limiter.Stamp, n int, key string, limits ...limiter.Limit) limiter.Grant {
	keys, args := []string{}, []any{fmt.Sprintf("%016d", now), n}
	for i, limit := range limits {
		keys = append(keys, fmt.Sprintf("{%s}:%d", key, i))
		args = append(args, limit.Encode())
	}
	reply, err := takeScript.Run(s.t.Context(), s.client, keys, args...).Slice()
	if err != nil {
		s.t.Fatal(err)
	}
	grant := limiter.Grant{Granted: int(reply[0].(int64)), Quota: int(reply[1].(int64)) - 1}
	if grant.Quota < 0 {
		return grant
	}
	var permits, length, oldest int64
	fmt.Sscanf(reply[2].(string), "%07d%010d", &permits, &length)
	fmt.Sscanf(reply[4].(string), "%d", &oldest)
	grant.Window = limiter.Window{Permits: int(permits), Length: time.Duration(length) * time.Millisecond}
	grant.Remaining = int(reply[3].(int64))
	grant.Reset = limiter.Stamp(oldest + length*1000)
	return grant
}

func startRedis(t testing.TB) *redis.Client {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("redis-server is missing: apt-get install redis-server")
		}
		t.Skip("redis-server is missing: apt-get install redis-server")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	ln.Close()
	server := exec.Command(program, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir())
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + port, Protocol: 2})
	t.Cleanup(func() { _ = client.Close(); _ = server.Process.Kill(); _ = server.Wait() })
	for range 200 {
		if client.Ping(t.Context()).Err() == nil {
			return client
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("redis-server does not answer")
	return nil
}

type mem map[string]*limiter.Admissions

func (m mem) Take(now limiter.Stamp, n int, key string, limits ...limiter.Limit) limiter.Grant {
	var qs []limiter.Quota
	for i, l := range limits {
		k := fmt.Sprint(key, i)
		if m[k] == nil {
			m[k] = &limiter.Admissions{}
		}
		qs = append(qs, limiter.Quota{Admissions: m[k], Limit: l})
	}
	return limiter.Take(now, n, qs...)
}

func TestLuaSmoke(t *testing.T) {
	s := script{t, startRedis(t)}
	m := mem{}
	limits := []limiter.Limit{}
	for _, x := range []string{"5/10s", "5/1m", "3/10s,10/1m", "1/1s,4/10s,7/1m", "0/1m", "off", "10/1m,3/10s", "20/30s"} {
		l, err := limiter.Parse(x)
		if err != nil {
			t.Fatal(err)
		}
		limits = append(limits, l)
	}
	rng := rand.New(rand.NewPCG(3, 2))
	now := limiter.StampOf(time.Now())
	granted := 0
	for i := range 20000 {
		switch rng.IntN(20) {
		case 0:
			now -= limiter.Stamp(rng.IntN(20_000_000))
		case 1:
			now += limiter.Stamp(rng.IntN(70_000_000))
		case 2:
			now -= limiter.Stamp(rng.IntN(200_000_000))
		case 3, 4, 5, 6, 7, 8:
			now += limiter.Stamp(rng.IntN(3_000_000))
		}
		key := fmt.Sprint("k", rng.IntN(3))
		n := 1
		if rng.IntN(3) == 0 {
			n = 1 + rng.IntN(20)
		}
		ls := []limiter.Limit{limits[rng.IntN(len(limits))]}
		if rng.IntN(2) == 0 {
			ls = append(ls, limits[rng.IntN(len(limits))])
		}
		a, b := m.Take(now, n, key, ls...), s.Take(now, n, key, ls...)
		granted += a.Granted
		if a != b {
			t.Fatalf("step %d now %d n %d %s %v:\n go  %+v\n lua %+v", i, now, n, key, ls, a, b)
		}
	}
	t.Log(granted)
}
