package store_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"tpgate/limiter"
	"tpgate/store"
)

// TestRedisPlantedData plants what cannot have been written here: that key alone is not decided, and others of the same moment are.
func TestRedisPlantedData(t *testing.T) {
	addr := redisServer(t)
	client := redis.NewClient(&redis.Options{Addr: addr})
	defer client.Close()
	s := openRedis(t, redisConfig(addr))
	ctx := t.Context()
	replace := func(from, to int, by string) func(name string) error {
		return func(name string) error {
			record := client.Get(ctx, name).Val()
			return client.Set(ctx, name, record[:from]+by+record[to:], 0).Err()
		}
	}
	// limit plants one: the number of its windows, and the windows behind which everything else moves.
	limit := func(first, windows string) func(name string) error {
		return func(name string) error {
			record := client.Get(ctx, name).Val()
			begin := binary.BigEndian.Uint16([]byte(record[66:68])) + uint16(len(windows))
			return client.Set(ctx, name, record[:57]+first+record[58:66]+string(binary.BigEndian.AppendUint16(nil, begin))+record[68:97]+windows+record[97:], 0).Err()
		}
	}
	for _, c := range []struct {
		name  string
		plant func(name string) error
		want  store.Verdict
	}{
		{"a list", func(name string) error { client.Del(ctx, name); return client.RPush(ctx, name, "x").Err() }, store.Unavailable},
		{"empty", func(name string) error { return client.Set(ctx, name, "", 0).Err() }, store.Unavailable},
		{"cut off", func(name string) error { return client.Set(ctx, name, client.Get(ctx, name).Val()[:60], 0).Err() }, store.Unavailable},
		{"newer layout", replace(0, 1, "4"), store.Unavailable},
		{"another key's digest", replace(1, 33, strings.Repeat("x", 32)), store.Unknown},
		{"expiry that is no number", replace(42, 57, "nan            "), store.Unavailable},
		{"negative expiry", replace(42, 57, "-00000000000001"), store.Unavailable},
		{"hexadecimal expiry", replace(42, 57, "0x0000000000fff"), store.Unavailable},
		{"expiry 0", replace(42, 57, "000000000000000"), store.Unavailable},
		{"expiry with a line's end", replace(42, 57, "9999999999999\r\n"), store.Unavailable},
		{"another epoch", replace(33, 41, "00000009"), store.Unknown},
		{"a flag that nobody has written", replace(41, 42, "7"), store.Unknown},
		{"infinite limit", limit("1", "inf    0000060000"), store.Unavailable},
		{"hexadecimal limit", limit("1", "0x0ffff0000060000"), store.Unavailable},
		{"fewer digits than windows", limit("3", strings.Repeat("0", 20)), store.Unavailable},
		{"limit -1", limit("1", "-0000010000060000"), store.Unavailable},
		{"limit 1e309", limit("1", "1e309990000060000"), store.Unavailable},
		{"window of 0", limit("1", "00000600000000000"), store.Unavailable},
		{"four windows", limit("4", ""), store.Unavailable},
		{"half an admission", func(name string) error { return client.Append(ctx, name, "half").Err() }, store.Unavailable},
		{"admissions that begin behind the end", replace(66, 68, "\xff\xff"), store.Unavailable},
		{"admissions that begin before the header", replace(66, 68, "\x00\x05"), store.Unavailable},
		{"a list of another type, where one counts", func(name string) error {
			newest := string(binary.BigEndian.AppendUint64(nil, uint64(time.Now().UnixMicro())))
			return errors.Join(replace(68, 72, "\x00\x00\x00\x20")(name), client.Append(ctx, name, newest).Err(), client.Set(ctx, strings.Replace(name, ":k:", ":w:", 1), "x", 0).Err())
		}, store.Unavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			planted, good := newKey(t, s, "acme", ""), newKey(t, s, "acme", "")
			if err := c.plant(fmt.Sprintf("tpgate:{acme}:k:%s", planted.ID)); err != nil {
				t.Fatal(err)
			}
			if d := s.Verify(planted.Digest, time.Now().Add(time.Second)); d.Verdict != c.want {
				t.Errorf("the planted key: %v, want %v (%v)", d.Verdict, c.want, d.Err)
			}
			if d := s.Verify(good.Digest, time.Now().Add(time.Second)); d.Verdict != store.Allowed || d.KeyID != good.ID {
				t.Errorf("the other key: %+v", d)
			}
		})
	}
	rotated := newKey(t, s, "acme", "")
	if _, err := s.UpdateKey(ctx, "acme", rotated.ID, func(k *store.Key) error {
		k.Previous, k.PreviousUntil, k.Digest = k.Digest, time.Now().Add(time.Hour), store.Digest{1}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if d := s.Verify(rotated.Digest, time.Now().Add(time.Second)); d.Verdict != store.Allowed {
		t.Errorf("the digest before the rotation: %+v", d)
	}
	if err := replace(129, 144, "0x0000000000fff")("tpgate:{acme}:k:" + rotated.ID); err != nil {
		t.Fatal(err)
	}
	if d := s.Verify(rotated.Digest, time.Now().Add(time.Second)); d.Verdict != store.Unavailable {
		t.Errorf("the digest before the rotation, whose end is no number: %+v", d)
	}
	older := newKey(t, s, "older", "")
	client.SetRange(ctx, "tpgate:{older}:s", 0, "1")
	if d := s.Verify(older.Digest, time.Now().Add(time.Second)); d.Verdict != store.Unavailable || d.Err == nil || !strings.Contains(d.Err.Error(), "another version") {
		t.Errorf("with its workspace's settings of another layout: %v (%v)", d.Verdict, d.Err)
	}
	lost := newKey(t, s, "lost", "")
	client.Del(ctx, "tpgate:{lost}:s")
	if d := s.Verify(lost.Digest, time.Now().Add(time.Second)); d.Verdict != store.Unavailable {
		t.Errorf("without its workspace's settings: %v", d.Verdict)
	}
}

// TestRedisMergedChecks lets many goroutines at one key at once: what they were granted is what one after the other would have been, down to the remaining permits.
func TestRedisMergedChecks(t *testing.T) {
	l := newLine(t, redisServer(t))
	s := openRedis(t, redisConfig(l.address))
	key := newKey(t, s, "acme", "500/1h")
	l.delay.Store(int64(2 * time.Millisecond)) // so that they gather
	left := make(chan int, 2000)
	refused := make(chan store.Decision, 2000)
	done := make(chan bool)
	for range 80 {
		go func() {
			for range 10 {
				switch d := s.Verify(key.Digest, time.Now().Add(10*time.Second)); d.Verdict {
				case store.Allowed:
					left <- d.Standing.Remaining
				case store.Limited:
					refused <- d
				default:
					t.Errorf("%+v", d)
				}
			}
			done <- true
		}()
	}
	for range 80 {
		<-done
	}
	close(left)
	close(refused)
	seen := map[int]int{}
	for n := range left {
		seen[n]++
	}
	for n := range 500 {
		if seen[n] != 1 {
			t.Errorf("%d checks were told that %d remain", seen[n], n)
		}
	}
	for d := range refused {
		if d.Standing.Remaining != 0 || d.Standing.Wait <= 0 || d.Standing.Wait > time.Hour || d.Standing.Window != (limiter.Window{Permits: 500, Length: time.Hour}) {
			t.Fatalf("refused with %+v", d.Standing)
		}
	}
	if trips := l.trips.Load(); trips > 700 {
		t.Errorf("800 checks made %d round trips", trips)
	}
}
