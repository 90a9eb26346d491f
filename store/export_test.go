package store

import "context"

// Sweep removes what is dead now.
func (r *Redis) Sweep(ctx context.Context) error { return r.sweep(ctx) }

// Repair looks through all keys now.
func (r *Redis) Repair(ctx context.Context) error { return r.repair(ctx) }
