package store_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tpgate/store"
)

// TestRedisLies changes a byte of the replies to checks, in each part that proves whose reply it is: no check is decided by it, the reply is counted, and its connection not used again.
func TestRedisLies(t *testing.T) {
	l := newLine(t, redisServer(t))
	for _, c := range []struct {
		name string
		lie  func(reply string) string
		kind string
	}{
		{"another call's nonce", func(reply string) string { return reply[:20] + flip(reply[20]) + reply[21:] }, "misdelivered"},
		{"another process's nonce", func(reply string) string { return reply[:5] + flip(reply[5]) + reply[6:] }, "misdelivered"},
		{"another key's digest", func(reply string) string { return reply[:len(reply)-3] + flip(reply[len(reply)-3]) + "\r\n" }, "misdelivered"},
		{"a reply before it", func(reply string) string { return reply + reply }, ""}, // its own reply comes first; the next check meets the other
		{"a number in its place", func(string) string { return ":1\r\n" }, "misdelivered"},
		{"nothing in its place", func(string) string { return "$-1\r\n" }, "misdelivered"},
		{"OK in its place", func(string) string { return "+OK\r\n" }, "misdelivered"},
		{"an error in its place", func(string) string { return "-ERR unknown\r\n" }, "refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			registry := prometheus.NewRegistry()
			config := redisConfig(l.address)
			config.Prefix, config.Metrics = "lies "+c.name, store.NewMetrics(registry)
			s := openRedis(t, config)
			key, other := newKey(t, s, "acme", "off"), newKey(t, s, "other", "off")
			recovers(t, s, key, time.Second)
			recovers(t, s, other, time.Second)
			dials := l.dials.Load()
			l.alter.Store(new(func(reply []byte) []byte {
				if strings.HasPrefix(string(reply), "$89\r\n") && len(reply) == 96 { // the answer to one check
					return []byte(c.lie(string(reply)))
				}
				return reply
			}))
			want := store.Unavailable
			if c.kind == "" {
				want = store.Allowed
			}
			if d := s.Verify(key.Digest, time.Now().Add(time.Second)); d.Verdict != want {
				t.Errorf("the check came to %+v", d)
			}
			l.alter.Store(nil)
			if c.kind == "" {
				if d := s.Verify(other.Digest, time.Now().Add(time.Second)); d.Verdict != store.Unavailable {
					t.Errorf("after a repeated reply, the check of another key came to %+v", d)
				}
				c.kind = "misdelivered"
			}
			if n := errorsOf(t, registry, c.kind); n != 1 {
				t.Errorf("%v checks are counted as %s", n, c.kind)
			}
			for range 3 {
				recovers(t, s, key, time.Second)
				recovers(t, s, other, time.Second)
			}
			if n := l.dials.Load() - dials; (c.kind == "misdelivered") != (n == 1) {
				t.Errorf("%d connections were opened after it", n)
			}
			if n := errorsOf(t, registry, c.kind); n != 1 {
				t.Errorf("in the end %v checks are counted as %s", n, c.kind)
			}
		})
	}
}

func flip(b byte) string { return string([]byte{b ^ 1}) }

// errorsOf returns how many operations of a store have failed with this kind of fault.
func errorsOf(t *testing.T, registry *prometheus.Registry, kind string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, family := range families {
		if family.GetName() != "tpgate_store_errors_total" {
			continue
		}
		for _, metric := range family.GetMetric() {
			if strings.Contains(fmt.Sprint(metric.GetLabel()), `value:"`+kind+`"`) {
				sum += metric.GetCounter().GetValue()
			}
		}
	}
	return sum
}
