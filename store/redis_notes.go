package store

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// Claim stores a note unless there is one.
func (r *Redis) Claim(ctx context.Context, name string, value []byte, ttl time.Duration) ([]byte, error) {
	defer r.metrics.observe("claim", time.Now())
	held, err := claimScript.Run(ctx, r.control, []string{r.names.note(name)}, value, ttl.Milliseconds()).Text()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	return []byte(held), r.failed("claim", err)
}

// Replace replaces a note by a compare-and-set.
func (r *Redis) Replace(ctx context.Context, name string, old, value []byte, ttl time.Duration) (bool, error) {
	defer r.metrics.observe("replace", time.Now())
	done, err := replaceScript.Run(ctx, r.control, []string{r.names.note(name)}, old, value, ttl.Milliseconds()).Int()
	return done == 1, r.failed("replace", err)
}

// Record appends to the audit trail, a stream of bounded length.
func (r *Redis) Record(ctx context.Context, entry Entry) error {
	defer r.metrics.observe("record", time.Now())
	return r.failed("record", r.control.XAdd(ctx, &redis.XAddArgs{
		Stream: r.names.audit(), MaxLen: JournalLength,
		Values: []any{
			"time", entry.Time.UTC().Format(time.RFC3339Nano), "actor", entry.Actor, "action", entry.Action,
			"workspace", entry.Workspace, "key", entry.KeyID, "address", entry.Address,
		},
	}).Err())
}

// Entries returns a page of the audit trail.
func (r *Redis) Entries(ctx context.Context, before string, limit int) ([]Entry, error) {
	defer r.metrics.observe("entries", time.Now())
	from := "+"
	if before != "" {
		from = "(" + before
	}
	messages, err := r.control.XRevRangeN(ctx, r.names.audit(), from, "-", int64(limit)).Result()
	if err != nil {
		return nil, r.failed("entries", err)
	}
	entries := make([]Entry, len(messages))
	for i, m := range messages {
		field := func(name string) string {
			text, _ := m.Values[name].(string) // "" for a field that an older version did not write
			return text
		}
		at, err := time.Parse(time.RFC3339Nano, field("time"))
		if err != nil {
			return nil, r.failed("entries", errBroken)
		}
		entries[i] = Entry{
			ID: m.ID, Time: at, Actor: field("actor"), Action: field("action"),
			Workspace: field("workspace"), KeyID: field("key"), Address: field("address"),
		}
	}
	return entries, nil
}
