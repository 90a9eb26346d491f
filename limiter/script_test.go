package limiter_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"tpgate/limiter"
	"tpgate/limiter/limitertest"
)

// takeScript runs window.lua with the time as an argument: KEYS lists, ARGV time, permits, encoded limits.
var takeScript = redis.NewScript(limiter.Script(`
now, now_us, period = ARGV[1], tonumber(ARGV[1]), sub(ARGV[1], 1, 9) .. '0000000'
local limit, granted, quota, window, remaining, oldest = limit_of(ARGV[3])
if not KEYS[2] and #limit == 1 then
	granted, quota, window, remaining, oldest = take_one(tonumber(ARGV[2]), KEYS[1], limit)
else
	granted, quota, window, remaining, oldest = take(tonumber(ARGV[2]), KEYS[1], limit, KEYS[2], ARGV[4] and limit_of(ARGV[4]))
end
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
	dir := t.TempDir()
	socket := filepath.Join(dir, "redis.sock")
	server := exec.Command(program, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", dir)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: socket, Protocol: 2})
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

func TestScript(t *testing.T) {
	limitertest.Run(t, func(t *testing.T) limitertest.Taker { return script{t, startRedis(t)} })
}

func TestScriptAgainstMemory(t *testing.T) {
	client := startRedis(t)
	for seed := range uint64(3) {
		if err := client.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		limitertest.Compare(t, script{t, client}, memory{}, seed, 20_000)
	}
}

// TestScriptKeepsWhatCounts lets time pass in steps, for the list's time to live too: after each admission the list must live for as long as it counts, whatever is admitted later, so that
// no quota comes back early.
func TestScriptKeepsWhatCounts(t *testing.T) {
	client := startRedis(t)
	for _, text := range []string{"5/1ms", "5/1s", "3/7s", "1000/1m", "2/1s,5/20s"} {
		limit, err := limiter.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		windows := limit.Windows()
		widest := windows[len(windows)-1].Length
		now, random := limiter.Stamp(1_700_000_000_000_000), rand.New(rand.NewPCG(1, uint64(widest)))
		list := "{" + text + "}:0"
		for range 300 {
			step := time.Duration(random.Int64N(int64(4 * time.Second)))
			now += limiter.Stamp(step.Microseconds())
			if left, err := client.PTTL(t.Context(), list).Result(); err != nil {
				t.Fatal(err)
			} else if left > 0 && client.PExpire(t.Context(), list, max(left-step, time.Millisecond)).Err() != nil {
				t.Fatal("the time to live cannot be set")
			}
			granted := script{t, client}.Take(now, 1, text, limit).Granted
			if left, err := client.PTTL(t.Context(), list).Result(); err != nil || granted == 1 && left < widest {
				t.Fatalf("%s: it lives for %s after an admission, %v", text, left, err)
			}
		}
	}
}
