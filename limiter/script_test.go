package limiter_test

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"tpgate/limiter"
	"tpgate/limiter/limitertest"
)

// takeScript runs window.lua with the time as an argument: KEYS owners, and as many lists; ARGV time, permits, encoded limits. An owner is nothing but "owner", its header, "of", and the admissions.
var takeScript = redis.NewScript(limiter.Script(`
now_us = tonumber(ARGV[1])
now = struct.pack('>I8', now_us)
local first, second
for i = 1, #KEYS / 2 do
	local value, limit = call('GET', KEYS[i]), limit_of(ARGV[2 + i])
	if not value then
		value = 'owner' .. struct.pack('>HBI3I4I8', 26, 0, 0, 0, 0) .. 'of'
		call('SET', KEYS[i], value)
	end
	local quota = limit[1] and {owner = KEYS[i], value = value, at = 6, list = KEYS[#KEYS / 2 + i], limit = limit}
	if i == 1 then first = quota or {} else second = quota end
end
local granted, quota, window, remaining, oldest = tonumber(ARGV[2]), 0
if first.owner or second then granted, quota, window, remaining, oldest = take(granted, first.owner, first.value, first.at, first.list, first.limit, second) end
return {granted, quota, window and window.text or '', remaining, oldest and string.format('%d', oldest) or ''}`))

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
	for i := range limits {
		keys = append(keys, fmt.Sprintf("{%s}:%d:list", key, i))
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
	dir := t.TempDir()
	socket := filepath.Join(dir, "redis.sock")
	server := exec.Command(limitertest.RedisProgram(t), "--port", "0", "--unixsocket", socket, "--save", "", "--dir", dir)
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

// TestScriptKeepsWhatCounts lets time pass in steps, for the list's time to live too: whatever is admitted later, the list must live for as long as it counts, so that no quota comes back early.
// The Go limiter, whose lists live for ever, says what counts.
func TestScriptKeepsWhatCounts(t *testing.T) {
	client := startRedis(t)
	for _, text := range []string{"5/1ms", "90/1s", "3/7s", "500/7s", "1000/1m", "100/1s,300/20s"} {
		limit, err := limiter.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		now, random, lived := limiter.Stamp(1_700_000_000_000_000), rand.New(rand.NewPCG(1, uint64(len(text)))), 0
		list, inGo := "{"+text+"}:0:list", memory{}
		for i := range 300 {
			step := time.Duration(random.Int64N(int64(4 * time.Second)))
			if random.IntN(3) > 0 {
				step /= 100
			}
			now += limiter.Stamp(step.Microseconds())
			if left, err := client.PTTL(t.Context(), list).Result(); err != nil {
				t.Fatal(err)
			} else if left > 0 {
				lived++
				if client.PExpire(t.Context(), list, max(left-step, time.Millisecond)).Err() != nil {
					t.Fatal("the time to live cannot be set")
				}
			}
			n := 1 + random.IntN(40)*random.IntN(2)
			if got, want := (script{t, client}).Take(now, n, text, limit), inGo.Take(now, n, text, limit); got != want {
				t.Fatalf("%s, step %d: %+v, want %+v", text, i, got, want)
			}
		}
		if lists := limit.Windows()[len(limit.Windows())-1].Permits > 64; lists != (lived > 50) {
			t.Errorf("%s: there was a list before %d of 300 steps", text, lived)
		}
	}
}
