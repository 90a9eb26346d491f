package limiter_test

import (
	"strings"
	"testing"
	"time"

	"tpgate/limiter"
)

func TestParse(t *testing.T) {
	type windows []limiter.Window
	const day = 24 * time.Hour
	for _, c := range []struct {
		text string
		echo string // "": the text itself
		want windows
	}{
		{"60/1m", "", windows{{60, time.Minute}}},
		{"10/1s,600/1m", "", windows{{10, time.Second}, {600, time.Minute}}},
		{"600/1m,10/1s", "", windows{{600, time.Minute}, {10, time.Second}}},
		{"1/1ms,2/1s,3/1d", "", windows{{1, time.Millisecond}, {2, time.Second}, {3, day}}},
		{"0/1m", "", windows{{0, time.Minute}}},
		{"1000000/31d", "", windows{{1_000_000, 31 * day}}},
		{"5/744h", "", windows{{5, 31 * day}}},
		{"5/1d12h", "", windows{{5, 36 * time.Hour}}},
		{"5/1.5h", "", windows{{5, 90 * time.Minute}}},
		{"5/1000us", "", windows{{5, time.Millisecond}}},
		{"5/1m30s", "", windows{{5, 90 * time.Second}}},
		{strings.Repeat("0", 96) + "1/1s", "", windows{{1, time.Second}}},
		{"007/1s", "", windows{{7, time.Second}}},
		{"off", "", nil},
		{"  off\n", "off", nil},
		{" 10/1s ,\t600/1m ", "10/1s,600/1m", windows{{10, time.Second}, {600, time.Minute}}},
	} {
		limit, err := limiter.Parse(c.text)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if c.echo == "" {
			c.echo = c.text
		}
		if got := limit.Windows(); len(got) != len(c.want) || limit.String() != c.echo || !limit.IsSet() {
			t.Errorf("%q is %v, written %q, set %t; want %v, %q", c.text, got, limit.String(), limit.IsSet(), c.want, c.echo)
			continue
		}
		for i, w := range limit.Windows() {
			if w != c.want[i] {
				t.Errorf("%q: window %d is %v, want %v", c.text, i, w, c.want[i])
			}
		}
	}
}

func TestParseSaysWhatToDo(t *testing.T) {
	const example = "write N/DURATION, such as 60/1m"
	const durations = "write one such as 500ms, 1s, 1m, 24h or 7d"
	for text, want := range map[string]string{
		"":                               `the limit is empty: ` + example + `, or "off"`,
		"  \t":                           `the limit is empty: ` + example + `, or "off"`,
		"60":                             `the limit "60" has no "/": ` + example + `, or "off"`,
		"OFF":                            `the limit "OFF" has no "/": ` + example + `, or "off"`,
		"-":                              `the limit "-" has no "/": ` + example + `, or "off"`,
		"60/1m,":                         `the limit "" has no "/": ` + example + `, or "off"`,
		"off,60/1m":                      `the limit "off" has no "/": ` + example + `, or "off"`,
		"/1m":                            `the limit "/1m" does not begin with a number of requests: ` + example,
		"-1/1m":                          `the limit "-1/1m" does not begin with a number of requests: ` + example,
		"+1/1m":                          `the limit "+1/1m" does not begin with a number of requests: ` + example,
		"1e3/1m":                         `the limit "1e3/1m" does not begin with a number of requests: ` + example,
		"1.5/1m":                         `the limit "1.5/1m" does not begin with a number of requests: ` + example,
		"60 /1m":                         `the limit "60 /1m" does not begin with a number of requests: ` + example,
		"６/1m":                           `the limit "６/1m" does not begin with a number of requests: ` + example,
		"1000001/1m":                     `the limit "1000001/1m" allows too many requests: 0 to 1000000 are possible`,
		"99999999999999999999/1m":        `the limit "99999999999999999999/1m" allows too many requests: 0 to 1000000 are possible`,
		"60/":                            `the limit "60/" has no valid duration: ` + durations,
		"60/m":                           `the limit "60/m" has no valid duration: ` + durations,
		"60/1":                           `the limit "60/1" has no valid duration: ` + durations,
		"60/1w":                          `the limit "60/1w" has no valid duration: ` + durations,
		"60/ 1m":                         `the limit "60/ 1m" has no valid duration: ` + durations,
		"60/1m/1s":                       `the limit "60/1m/1s" has no valid duration: ` + durations,
		"60/1.5d":                        `the limit "60/1.5d" has no valid duration: ` + durations,
		"60/65536d":                      `the limit "60/65536d" has no valid duration: ` + durations,
		"60/0s":                          `the limit "60/0s" has a window of 0s: from 1ms to 31d are possible`,
		"60/0":                           `the limit "60/0" has a window of 0: from 1ms to 31d are possible`,
		"60/-1m":                         `the limit "60/-1m" has a window of -1m: from 1ms to 31d are possible`,
		"60/999us":                       `the limit "60/999us" has a window of 999us: from 1ms to 31d are possible`,
		"60/32d":                         `the limit "60/32d" has a window of 32d: from 1ms to 31d are possible`,
		"60/31d1ms":                      `the limit "60/31d1ms" has a window of 31d1ms: from 1ms to 31d are possible`,
		"60/1500us":                      `the limit "60/1500us" has a window of 1500us: only whole milliseconds are possible`,
		"1/1s,2/1s,3/1s,4/1s":            `the limit "1/1s,2/1s,3/1s,4/1s" has 4 windows: at most 3 are allowed`,
		"x/1s,60/1m,5/1y":                `the limit "x/1s" does not begin with a number of requests: ` + example + "\n" + `the limit "5/1y" has no valid duration: ` + durations,
		"10/1s;600/1m":                   `the limit "10/1s;600/1m" has no valid duration: ` + durations,
		"60/1m\x00":                      `the limit "60/1m\x00" has no valid duration: ` + durations,
		strings.Repeat("1/1s,", 19):      `the limit "` + strings.Repeat("1/1s,", 19) + `" has 20 windows: at most 3 are allowed`,
		strings.Repeat("0", 99) + "1/1s": `the limit is longer than 100 characters: ` + example,
		"1/" + strings.Repeat("0", 70_000) + "1s": `the limit is longer than 100 characters: ` + example,
	} {
		limit, err := limiter.Parse(text)
		if err == nil || err.Error() != want {
			t.Errorf("%q:\n got %v\nwant %s", text, err, want)
		}
		if limit != (limiter.Limit{}) {
			t.Errorf("%q: a limit comes with the error: %v", text, limit)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0s": 0, "24h": 24 * time.Hour, "7d": 168 * time.Hour, "0d": 0, "1d12h": 36 * time.Hour, "01d1ms": 24*time.Hour + time.Millisecond, "-5s": -5 * time.Second,
	} {
		if got, err := limiter.ParseDuration(text); err != nil || got != want {
			t.Errorf("%q is %v (error %v), want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "d", "-1d", "+1d", "1.5d", "1d-1h", "1h1d", "1d1d", "1dd", "1d ", "7D", "65536d", "65535d2540000h", "1day"} {
		if got, err := limiter.ParseDuration(text); err == nil {
			t.Errorf("%q is %v, want an error", text, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"60/1m", "10/1s,600/1m", "off", " 0/1ms , 1000000/31d", "1/1.5h,2/1d12h", "5/1000µs", ",", "60/1m/1s", "-1/0"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		limit, err := limiter.Parse(text)
		if err != nil {
			if limit != (limiter.Limit{}) || err.Error() == "" {
				t.Errorf("%q: limit %v, error %v", text, limit, err)
			}
			return
		}
		if again, err := limiter.Parse(limit.String()); err != nil || again != limit {
			t.Errorf("%q is written %q, which is read as %v (error %v)", text, limit, again, err)
		}
		for _, w := range limit.Windows() {
			if w.Permits < 0 || w.Permits > limiter.MaxPermits || w.Length < limiter.MinLength || w.Length > limiter.MaxLength || w.Length%time.Millisecond != 0 {
				t.Errorf("%q has window %v", text, w)
			}
		}
	})
}
