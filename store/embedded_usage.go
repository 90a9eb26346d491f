package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"go.etcd.io/bbolt"
)

// addUsage adds to the counters of this hour, and forgets days that are not shown any more.
func (e *Embedded) addUsage(hour time.Time, list []counts) error {
	for len(list) > 0 {
		some := list[:min(len(list), flushSize)]
		list = list[len(some):]
		err := e.exclusive(context.Background(), "usage", func() error {
			return e.commit("usage", func(tx *bbolt.Tx) error {
				bucket := tx.Bucket(bucketUsage)
				for _, c := range some {
					if err := addUsage(bucket, usageName(dayOf(hour), c.place), hour.Hour(), &c); err != nil {
						return err
					}
				}
				return forgetUsage(bucket, lastDays(hour)[0])
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func addUsage(bucket *bbolt.Bucket, name []byte, hour int, c *counts) error {
	value := make([]byte, usageLength)
	copy(value, bucket.Get(name))
	for i, more := range []uint32{c.allowed, c.refused} {
		number := value[8*hour+4*i:]
		sum := min(uint64(binary.BigEndian.Uint32(number))+uint64(more), math.MaxUint32)
		binary.BigEndian.PutUint32(number, uint32(sum))
	}
	return bucket.Put(name, value)
}

// forgetUsage removes some of what was counted before a day.
func forgetUsage(bucket *bbolt.Bucket, before int64) error {
	cursor := bucket.Cursor()
	for range flushSize {
		name, _ := cursor.First()
		if name == nil || int64(binary.BigEndian.Uint64(name)) >= before {
			return nil
		}
		if err := cursor.Delete(); err != nil {
			return err
		}
	}
	return nil
}

// usageName is the name of a key's usage on a day, in the order of days.
func usageName(day int64, p place) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(day)), p.String()...)
}

// Usage reads the last days, after adding what this process has counted.
func (e *Embedded) Usage(_ context.Context, workspace, id string) ([]Usage, error) {
	var list []Usage
	if _, err := e.tally.flush(); err != nil {
		return nil, err
	}
	now := time.Now()
	err := e.file.view(func(tx *bbolt.Tx) error {
		for _, day := range lastDays(now) {
			list = appendUsage(list, day, tx.Bucket(bucketUsage).Get(usageName(day, place{workspace, id})), now)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("store: usage: %w", err)
	}
	return list, nil
}
