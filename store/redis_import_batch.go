package store

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
)

// importBatch is an import under way. A key with an error takes part in no further step.
type importBatch struct {
	*Redis
	keys    []Key
	errs    []error
	repeats map[int]int  // keys with the fingerprint of another one before them, and that one
	named   map[int]bool // keys that came without an id
	// completed are keys whose record an interrupted import has left, and perhaps nothing else of them.
	completed map[int]bool
}

// importID returns the id that an import gives a key: its own, or one that the same row will be given again.
func importID(key *Key) string {
	switch {
	case key.ID != "":
		return key.ID
	case key.Fingerprint == Digest{}:
		return NewID()
	}
	return idOf(key.Fingerprint)
}

func (b *importBatch) name(i int) {
	b.named[i] = b.keys[i].ID == ""
	b.keys[i].ID = importID(&b.keys[i])
}

func (b *importBatch) place(i int) place { return place{b.keys[i].Workspace, b.keys[i].ID} }

func (b *importBatch) failRest(err error) {
	for i := range b.errs {
		if b.errs[i] == nil {
			b.errs[i] = err
		}
	}
}

// pipelined runs one command for each key that is still to be imported, and then reads the replies.
func (b *importBatch) pipelined(ctx context.Context, command func(redis.Pipeliner, int) *redis.Cmd, read func(int, *redis.Cmd) error) error {
	pipeline := b.control.Pipeline()
	replies := make([]*redis.Cmd, len(b.keys))
	for i := range b.keys {
		if b.errs[i] == nil {
			replies[i] = command(pipeline, i)
		}
	}
	if pipeline.Len() == 0 {
		return nil
	}
	if _, err := pipeline.Exec(ctx); err != nil {
		if _, refused := errors.AsType[redis.Error](err); !refused { // that of one command, which read sees
			return err
		}
	}
	for i, reply := range replies {
		if reply != nil {
			b.errs[i] = read(i, reply)
		}
	}
	return nil
}
