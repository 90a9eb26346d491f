package limiter_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tpgate/limiter"
)

func allow(t *testing.T, p limiter.Pacer, name string, pace limiter.Pace) time.Duration {
	t.Helper()
	wait, err := p.Allow(t.Context(), name, pace)
	if err != nil {
		t.Fatal(err)
	}
	return wait
}

// TestPacers is what both pacers promise, in real time.
func TestPacers(t *testing.T) {
	for name, pacer := range map[string]limiter.Pacer{
		"local": limiter.NewLocalPacer(),
		"redis": limiter.NewRedisPacer(startRedis(t), "tpgate"),
	} {
		t.Run(name, func(t *testing.T) {
			pace := limiter.Pace{Count: 5, Per: 2 * time.Second} // one in 400 ms
			for i := range 5 {
				if wait := allow(t, pacer, "logins:a", pace); wait != 0 {
					t.Fatalf("number %d of 5 has to wait %s", i+1, wait)
				}
			}
			for range 3 {
				if wait := allow(t, pacer, "logins:a", pace); wait <= 0 || wait > 400*time.Millisecond {
					t.Fatalf("number 6 has to wait %s, want up to 400 ms, however often it asks", wait)
				}
			}
			if wait := allow(t, pacer, "logins:b", pace); wait != 0 {
				t.Errorf("another name has to wait %s", wait)
			}
			time.Sleep(allow(t, pacer, "logins:a", pace) + time.Millisecond)
			if wait := allow(t, pacer, "logins:a", pace); wait != 0 {
				t.Errorf("after waiting as long as told, still %s to wait", wait)
			}
			if wait := allow(t, pacer, "logins:a", pace); wait == 0 {
				t.Error("two are allowed after the wait for one")
			}
		})
	}
}

func TestRedisPacerSharesNamesUnderItsPrefix(t *testing.T) {
	client := startRedis(t)
	pace := limiter.Pace{Count: 1, Per: time.Minute}
	if wait := allow(t, limiter.NewRedisPacer(client, "one"), "x", pace); wait != 0 {
		t.Errorf("the first has to wait %s", wait)
	}
	if wait := allow(t, limiter.NewRedisPacer(client, "one"), "x", pace); wait == 0 {
		t.Error("another instance does not share the pace")
	}
	if wait := allow(t, limiter.NewRedisPacer(client, "two"), "x", pace); wait != 0 {
		t.Error("another prefix shares the pace")
	}
	names, err := client.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if !strings.HasPrefix(name, "one:") && !strings.HasPrefix(name, "two:") {
			t.Errorf("the name %s does not begin with the prefix", name)
		}
	}
}

func TestRedisPacerTellsThatItCannotTell(t *testing.T) {
	client := startRedis(t)
	pacer := limiter.NewRedisPacer(client, "tpgate")
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := pacer.Allow(t.Context(), "x", limiter.Pace{Count: 1, Per: time.Second}); err == nil || !strings.Contains(err.Error(), "pacing x") {
		t.Errorf("without Redis: error %v", err)
	}
	if err := client.Close(); err == nil {
		t.Error("the client was open")
	}
}

func TestLocalPacerWaits(t *testing.T) {
	for _, pace := range []limiter.Pace{{10, time.Minute}, {5000, time.Second}, {1, time.Hour}, {3, time.Second}, {7, 24 * time.Hour}, {999_983, time.Minute}} {
		t.Run(fmt.Sprintf("%d in %s", pace.Count, pace.Per), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pacer := limiter.NewLocalPacer()
				for i := range pace.Count {
					if wait := allow(t, pacer, "x", pace); wait != 0 {
						t.Fatalf("number %d has to wait %s", i+1, wait)
					}
				}
				for range 20 {
					wait := allow(t, pacer, "x", pace)
					if wait <= 0 || wait > pace.Per/time.Duration(pace.Count)+time.Microsecond {
						t.Fatalf("one more has to wait %s", wait)
					}
					time.Sleep(wait)
					if wait := allow(t, pacer, "x", pace); wait != 0 {
						t.Fatalf("after waiting as long as told, still %s to wait", wait)
					}
				}
			})
		})
	}
}

func TestLocalPacerForgetsTheOldestName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pacer, pace := limiter.NewLocalPacer(), limiter.Pace{Count: 1, Per: time.Hour}
		allow(t, pacer, "oldest", pace)
		time.Sleep(time.Millisecond)
		allow(t, pacer, "busy", pace)
		for i := range 9_998 {
			allow(t, pacer, fmt.Sprint(i), pace)
		}
		time.Sleep(time.Millisecond)
		if allow(t, pacer, "busy", pace) == 0 {
			t.Error("a name was forgotten while there was room")
		}
		allow(t, pacer, "one too many", pace)
		if allow(t, pacer, "busy", pace) == 0 {
			t.Error("the name used last was forgotten")
		}
		if allow(t, pacer, "oldest", pace) != 0 {
			t.Error("the oldest name was not forgotten")
		}
	})
}
