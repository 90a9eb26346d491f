package limiter_test

import (
	"testing"

	"tpgate/limiter"
)

func parse(t testing.TB, text string) limiter.Limit {
	t.Helper()
	if text == "" {
		return limiter.Limit{}
	}
	limit, err := limiter.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return limit
}

func TestOr(t *testing.T) {
	for _, c := range []struct{ limit, fallback, want string }{
		{"", "60/1m", "60/1m"},
		{"5/1s", "60/1m", "5/1s"},
		{"off", "60/1m", "off"},
		{"0/1s", "off", "0/1s"},
		{"", "off", "off"},
	} {
		limit, fallback := parse(t, c.limit), parse(t, c.fallback)
		if got := *limit.Or(&fallback); got != parse(t, c.want) {
			t.Errorf("%q or %q is %q, want %q", c.limit, c.fallback, got, c.want)
		}
	}
	if (limiter.Limit{}).IsSet() || !limiter.Off.IsSet() {
		t.Error("the zero limit is set, or off is not")
	}
}

func TestAtMost(t *testing.T) {
	for _, c := range []struct {
		limit, bound string
		want         bool
	}{
		{"60/1m", "60/1m", true},
		{"59/1m", "60/1m", true},
		{"61/1m", "60/1m", false},
		{"60/2m", "60/1m", true},
		{"60/59s", "60/1m", false},
		{"0/31d", "60/1m", true},
		{"off", "60/1m", false},
		{"60/1m", "off", true},
		{"off", "off", true},
		{"10/1s,600/1m", "600/1m", true},
		{"600/1m,10/1s", "600/1m", true},
		{"10/1s", "10/1s,600/1m", false},
		{"10/1s,600/1m", "10/1s,600/1m", true},
		{"5/1m", "10/1s,600/1m", true},
	} {
		if got := parse(t, c.limit).AtMost(parse(t, c.bound)); got != c.want {
			t.Errorf("%s at most %s is %t, want %t", c.limit, c.bound, got, c.want)
		}
	}
}

func TestStamp(t *testing.T) {
	const s limiter.Stamp = 1_700_000_000_123_456
	if got := limiter.StampOf(s.Time()); got != s {
		t.Errorf("the stamp %d is read back as %d", s, got)
	}
	if got := limiter.StampOf(s.Time().Add(999)); got != s {
		t.Errorf("nanoseconds are not rounded down: %d", got)
	}
}
