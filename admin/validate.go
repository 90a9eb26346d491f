package admin

import (
	"encoding/json"
	"fmt"
	"regexp"
	"time"
	"unicode/utf8"

	"tpgate/limiter"
	"tpgate/store"
)

// faults collects what is wrong with the fields of a request, in the order of their finding. The sentences are those that clients of the product know.
type faults struct {
	order  []string
	fields map[string][]string
}

func (f *faults) add(field, sentence string, args ...any) {
	if f.fields == nil {
		f.fields = map[string][]string{}
	}
	text := fmt.Sprintf(sentence, args...)
	f.order = append(f.order, text)
	f.fields[field] = append(f.fields[field], text)
}

// problem returns nil if nothing is wrong, and otherwise a 422 whose message is the first sentence.
func (f *faults) problem() error {
	if len(f.order) == 0 {
		return nil
	}
	message := f.order[0]
	switch more := len(f.order) - 1; more {
	case 0:
	case 1:
		message += " (and 1 more error)"
	default:
		message += fmt.Sprintf(" (and %d more errors)", more)
	}
	return &failure{status: 422, Problem: Problem{Message: message, Errors: f.fields}}
}

// name reads the field "name".
func (f *faults) name(o object) string {
	name, ok := o.text("name")
	switch {
	case !o.has("name") || o.isNull("name"), ok && name == "":
		f.add("name", "The name field is required.")
	case !ok:
		f.add("name", "The name field must be a string.")
	case utf8.RuneCountInString(name) > 255:
		f.add("name", "The name field must not be greater than 255 characters.")
	default:
		if err := store.CheckName(name); err != nil {
			f.add("name", "The name field must not contain control characters.")
		}
	}
	return name
}

// limit reads the field "limit": null is the default of the next level.
func (f *faults) limit(o object) limiter.Limit {
	if !o.has("limit") || o.isNull("limit") {
		return limiter.Limit{}
	}
	text, ok := o.text("limit")
	if !ok {
		f.add("limit", "The limit field must be a string.")
		return limiter.Limit{}
	}
	limit, err := limiter.Parse(text)
	if err != nil {
		f.add("limit", "The limit field is invalid: %s.", err)
	}
	return limit
}

// expiry reads the field "expires_at": null is never. A key that is made must not be expired (futureFrom is now); one that is changed may be, which revokes it.
func (f *faults) expiry(o object, futureFrom time.Time) time.Time {
	if !o.has("expires_at") || o.isNull("expires_at") {
		return time.Time{}
	}
	text, _ := o.text("expires_at")
	t, ok := parseExpiry(text)
	switch {
	case !ok:
		f.add("expires_at", "The expires at field must be a valid date: an RFC 3339 time, or YYYY-MM-DD for the end of that day in UTC.")
	case !t.After(futureFrom):
		f.add("expires_at", "The expires at field must be a date after now.")
	}
	return t
}

// flag reads a boolean field.
func (f *faults) flag(o object, name string) bool {
	var value bool
	if o.has(name) && (o.isNull(name) || json.Unmarshal(o[name], &value) != nil) {
		f.add(name, "The %s field must be true or false.", name)
	}
	return value
}

// duration reads a duration from min to max, min if the field is not there.
func (f *faults) duration(o object, name string, longest time.Duration) time.Duration {
	if !o.has(name) || o.isNull(name) {
		return 0
	}
	text, ok := o.text(name)
	d, err := limiter.ParseDuration(text)
	if !ok || err != nil || d < 0 || d > longest {
		f.add(name, "The %s field must be a duration from 0s to %dd, such as 24h.", name, longest/(24*time.Hour))
	}
	return d
}

// earliestExpiry stands for all times before it, as the zero time means never.
var earliestExpiry = time.UnixMilli(1).UTC()

// rfc3339 is what time.Parse takes, less what RFC 3339 does not have: hours of one digit, a comma, offsets of a day.
var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

// parseExpiry reads an RFC 3339 time, cut to milliseconds, or a date, which means the last second of that day in UTC.
func parseExpiry(text string) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || !rfc3339.MatchString(text) {
		day, err := time.Parse(time.DateOnly, text)
		if err != nil {
			return time.Time{}, false
		}
		t = day.Add(24*time.Hour - time.Second)
	}
	return storedTime(t)
}

// storedTime returns t as the stores keep it: cut to milliseconds, and never the zero time. It is false for what RFC 3339 cannot write.
func storedTime(t time.Time) (time.Time, bool) {
	t = t.UTC().Truncate(time.Millisecond)
	if t.Year() > 9999 { // RFC 3339 has four digits for it
		return time.Time{}, false
	}
	if t.Before(earliestExpiry) {
		t = earliestExpiry
	}
	return t, true
}
