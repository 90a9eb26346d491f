package store

import (
	"context"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// usageSize is how many keys' usage goes to Redis at once: few, as checks wait behind it.
	usageSize = 100
	// usageLife is how long a day's usage is kept; the rest is for days and clocks that do not end together.
	usageLife = (usageDays + 2) * 24 * time.Hour
	// usageTimeout bounds writing what is left when the store is closed.
	usageTimeout = 2 * time.Second
)

// addUsage adds to the counters of this hour. Who finds nothing before it gives the day its end.
func (r *Redis) addUsage(hour time.Time, list []counts) error {
	ctx, cancel := context.WithTimeout(context.Background(), usageTimeout+time.Duration(len(list))*time.Millisecond)
	defer cancel()
	day, slot := dayOf(hour), hour.Hour()
	for len(list) > 0 {
		some := list[:min(len(list), usageSize)]
		list = list[len(some):]
		defer r.metrics.observe("usage", time.Now())
		added := make([]*redis.IntSliceCmd, len(some))
		_, err := r.control.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, c := range some {
				added[i] = p.BitField(ctx, r.names.usage(c.place, day), "OVERFLOW", "SAT",
					"INCRBY", "u32", "#"+strconv.Itoa(2*slot), int64(c.allowed), "INCRBY", "u32", "#"+strconv.Itoa(2*slot+1), int64(c.refused))
			}
			return nil
		})
		if err != nil {
			return r.failed("usage", err)
		}
		_, err = r.control.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, c := range some {
				if now := added[i].Val(); len(now) == 2 && now[0] == int64(c.allowed) && now[1] == int64(c.refused) {
					p.Expire(ctx, r.names.usage(c.place, day), usageLife)
				}
			}
			return nil
		})
		if err != nil {
			return r.failed("usage", err)
		}
	}
	return nil
}

// Usage reads the last days, after adding what this process has counted.
func (r *Redis) Usage(ctx context.Context, workspace, id string) ([]Usage, error) {
	defer r.metrics.observe("usage", time.Now())
	if _, err := r.tally.flush(); err != nil {
		return nil, err
	}
	now := time.Now()
	days := lastDays(now)
	names := make([]string, len(days))
	for i, day := range days {
		names[i] = r.names.usage(place{workspace, id}, day)
	}
	values, err := r.control.MGet(ctx, names...).Result()
	if err != nil {
		return nil, r.failed("usage", err)
	}
	var list []Usage
	for i, value := range values {
		text, _ := value.(string) // nil: not used that day
		list = appendUsage(list, days[i], []byte(text), now)
	}
	return list, nil
}
