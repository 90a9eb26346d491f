package store

import (
	"context"
	"log/slog"

	"tpgate/limiter"
)

// RedisConfig says which Redis a store lives in.
type RedisConfig struct {
	URL      string // go-redis URL: redis://, rediss://, unix://; "?addr=" makes it a Cluster, "?master_name=" Sentinel
	Password string // wins over the URL's, if not empty
	Prefix   string // all names begin with Prefix and ":"
	Defaults Defaults
	// KnownID is the id of the store that this installation has used before, empty if none. Another or an emptied Redis is refused, unless AcceptEmpty.
	KnownID     string
	AcceptEmpty bool
	Metrics     *Metrics
	Logger      *slog.Logger
}

// Redis keeps keys in Redis ≥ 6.2 or Valkey ≥ 7.2, shared by all instances that use it. Use [OpenRedis].
type Redis struct{ Store }

// OpenRedis connects, checks that the store is the known one and fit for keys, and claims an empty one.
func OpenRedis(ctx context.Context, config RedisConfig) (*Redis, error) { panic("not yet") }

// ID returns the store's id, chosen at random when it was first used. The installation should remember it as the next KnownID.
func (r *Redis) ID() string { panic("not yet") }

// Pacer returns a pacer that all instances on this Redis share.
func (r *Redis) Pacer() limiter.Pacer { panic("not yet") }
