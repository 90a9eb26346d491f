package limiter

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// maxText bounds a limit as it is written, in bytes: it is stored that way. Three windows of the largest numbers need half of it.
const maxText = 100

// Parse reads "off" or one to three windows "N/DURATION" separated by commas, such as "60/1m" or "10/1s,600/1m". Durations are those of [ParseDuration].
// It is at most 100 bytes long. The error lists every fault with its value and says what is allowed.
func Parse(text string) (Limit, error) {
	trimmed := strings.TrimSpace(text)
	if trimmed == "off" {
		return Off, nil
	}
	if trimmed == "" {
		return Limit{}, errors.New(`the limit is empty: write N/DURATION, such as 60/1m, or "off"`)
	}
	if len(trimmed) > maxText {
		return Limit{}, fmt.Errorf("the limit is longer than %d characters: write N/DURATION, such as 60/1m", maxText)
	}
	parts := strings.Split(trimmed, ",")
	if len(parts) > MaxWindows {
		return Limit{}, fmt.Errorf("the limit %q has %d windows: at most %d are allowed", trimmed, len(parts), MaxWindows)
	}
	limit := Limit{count: len(parts)}
	var faults []error
	for i, part := range parts {
		w, err := parseWindow(strings.TrimSpace(part))
		if err != nil {
			faults = append(faults, err)
			continue
		}
		limit.windows[i] = w
		limit.text += strings.TrimSpace(part)
		if i < len(parts)-1 {
			limit.text += ","
		}
	}
	if len(faults) > 0 {
		return Limit{}, errors.Join(faults...)
	}
	return limit, nil
}

func parseWindow(text string) (Window, error) {
	permits, length, ok := strings.Cut(text, "/")
	if !ok {
		return Window{}, fmt.Errorf("the limit %q has no \"/\": write N/DURATION, such as 60/1m, or \"off\"", text)
	}
	if permits == "" || strings.Trim(permits, "0123456789") != "" {
		return Window{}, fmt.Errorf("the limit %q does not begin with a number of requests: write N/DURATION, such as 60/1m", text)
	}
	n, err := strconv.Atoi(permits)
	if err != nil || n > MaxPermits {
		return Window{}, fmt.Errorf("the limit %q allows too many requests: 0 to %d are possible", text, MaxPermits)
	}
	d, err := ParseDuration(length)
	if err != nil {
		return Window{}, fmt.Errorf("the limit %q has no valid duration: write one such as 500ms, 1s, 1m, 24h or 7d", text)
	}
	switch {
	case d < MinLength || d > MaxLength:
		return Window{}, fmt.Errorf("the limit %q has a window of %s: from 1ms to 31d are possible", text, length)
	case d%time.Millisecond != 0:
		return Window{}, fmt.Errorf("the limit %q has a window of %s: only whole milliseconds are possible", text, length)
	}
	return Window{Permits: n, Length: d}, nil
}

// ParseDuration is [time.ParseDuration] with "d" for days of 24 hours, alone or in front of the rest: "7d", "1d12h".
func ParseDuration(text string) (time.Duration, error) {
	days, rest, ok := strings.Cut(text, "d")
	if !ok {
		return time.ParseDuration(text)
	}
	n, err := strconv.ParseUint(days, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("duration %q: the part before \"d\" is not a whole number up to 65535", text)
	}
	total := time.Duration(n) * 24 * time.Hour
	if rest == "" {
		return total, nil
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("duration %q: %q after the days is not a duration", text, rest)
	}
	if total+d < 0 {
		return 0, fmt.Errorf("duration %q is longer than 292 years", text)
	}
	return total + d, nil
}
