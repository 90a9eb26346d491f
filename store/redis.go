package store

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"tpgate/limiter"
)

// Redis keeps keys in Redis ≥ 6.2 or Valkey ≥ 7.2, shared by all instances that use it. Use [OpenRedis].
//
// It has two ways to Redis: the control plane (redis_keys.go, redis_workspaces.go) goes through go-redis, one script a change; checks (redis_verify.go) go in batches
// (batch.go) over connections of their own (lane.go).
type Redis struct {
	names    names
	id       string
	defaults Defaults
	shared   bool // workspaces have a quota by default
	control  redis.UniversalClient
	hints    hints
	tally    tally
	legacy   atomic.Bool // there have been bcrypt rows
	checks   *router
	metrics  *Metrics
	logger   *slog.Logger
	stop     context.CancelFunc
	tasks    sync.WaitGroup
}

var _ Store = (*Redis)(nil)

//go:embed create.lua
var createText string

//go:embed update.lua
var updateText string

//go:embed delete.lua
var deleteText string

//go:embed delete_all.lua
var deleteAllText string

//go:embed settings.lua
var settingsText string

//go:embed index.lua
var indexText string

//go:embed claim.lua
var claimText string

//go:embed replace.lua
var replaceText string

// Scripts of the control plane.
var (
	createScript    = redis.NewScript(createText)
	updateScript    = redis.NewScript(updateText)
	deleteScript    = redis.NewScript(deleteText)
	deleteAllScript = redis.NewScript(deleteAllText)
	settingsScript  = redis.NewScript(settingsText)
	indexScript     = redis.NewScript(indexText)
	claimScript     = redis.NewScript(claimText)
	replaceScript   = redis.NewScript(replaceText)
)

// OpenRedis connects, checks that the store is the known one and fit for keys, and claims an empty one. ctx bounds the opening only.
func OpenRedis(ctx context.Context, config RedisConfig) (*Redis, error) {
	r, err := connectRedis(ctx, config)
	if err != nil {
		return nil, err
	}
	if err := r.claimStore(ctx, config); err != nil {
		return nil, errors.Join(err, r.control.Close())
	}
	r.tally.add = r.addUsage
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	r.stop = stop
	r.checks, err = newRouter(ctx, r, r.control)
	if err != nil {
		stop()
		return nil, errors.Join(err, r.control.Close())
	}
	r.tasks.Go(func() { r.sweepForever(background) })
	r.tasks.Go(func() { r.checks.reloadForever(background) })
	r.tasks.Go(func() { r.watchLegacy(background) })
	r.tasks.Go(func() { r.tally.flushForever(background.Done(), r.logger) })
	return r, nil
}

// connectRedis connects, and checks that Redis is fit for keys.
func connectRedis(ctx context.Context, config RedisConfig) (*Redis, error) {
	options, err := redisOptions(config)
	if err != nil {
		return nil, err
	}
	redis.SetLogger(silent{}) // go-redis has one logger a process
	client := redis.NewUniversalClient(options)
	r := &Redis{names: newNames(config.Prefix), defaults: config.Defaults, shared: len(config.Defaults.WorkspaceLimit.Windows()) > 0, control: client, metrics: config.Metrics, logger: config.Logger}
	if err := r.fit(ctx); err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return r, nil
}

// CheckRedis returns what would keep [OpenRedis] from opening, and writes nothing: an empty Redis stays empty.
func CheckRedis(ctx context.Context, config RedisConfig) error {
	r, err := connectRedis(ctx, config)
	if err != nil {
		return err
	}
	held, err := r.recognize(ctx, config)
	if err == nil && held["complete"] == "1" && !config.AcceptEmpty {
		r.id = held["id"]
		err = r.markBuckets(ctx, true)
	}
	return errors.Join(err, r.control.Close())
}

// ID returns the store's id, chosen at random when it was first used. The installation should remember it as the next KnownID.
func (r *Redis) ID() string { return r.id }

// Pacer returns a pacer that all instances on this Redis share.
func (r *Redis) Pacer() limiter.Pacer { return limiter.NewRedisPacer(r.control, r.names.prefix) }

// Ready returns nil if Redis answers and still holds this store.
func (r *Redis) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return r.intact(ctx)
}

// Close ends the store.
func (r *Redis) Close() error {
	r.stop()
	r.tasks.Wait()
	r.checks.close()
	if err := r.control.Close(); err != nil {
		return fmt.Errorf("closing the connections to Redis: %w", err)
	}
	return nil
}
