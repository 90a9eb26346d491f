package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// RedisConfig says which Redis a store lives in. URL, Prefix, Defaults, Metrics and Logger are needed.
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

// Timeouts of the control plane's connections. Those of checks have none: each round trip is bounded by the deadline of its first check.
const (
	dialTimeout    = time.Second
	controlTimeout = 3 * time.Second // reading or writing one command; deleting a workspace of 100,000 keys takes a tenth of it
	idleTimeout    = 5 * time.Minute
)

// silent drops go-redis' own lines: every error it prints is also returned, and becomes a log line or a metric of ours.
type silent struct{}

// Printf does nothing.
func (silent) Printf(context.Context, string, ...any) {}

// errLost is what every operation answers when Redis no longer holds what this store wrote into it.
var errLost = errors.New("data of this store is missing in Redis: it was emptied, or an older copy took over")

// CheckRedisURL returns an error that says what is wrong with a Redis URL.
func CheckRedisURL(text string) error {
	_, err := redisOptions(RedisConfig{URL: text})
	return err
}

// redisOptions reads the URL in each of its three forms and sets what all clients share: the plainest protocol, no retries behind our back, no notifications.
func redisOptions(config RedisConfig) (*redis.UniversalOptions, error) {
	u, err := url.Parse(config.URL)
	if err != nil {
		return nil, errors.New("the Redis URL cannot be read: write redis://HOST:6379, rediss://… or unix:///PATH") // the parser's error quotes the URL, password included
	}
	options := &redis.UniversalOptions{}
	switch query := u.Query(); {
	case query.Has("master_name"): // its other Sentinels are "addr" too
		err = fromSentinel(options, config.URL)
	case query.Has("addr"):
		err = fromCluster(options, config.URL)
	default:
		err = fromSingle(options, config.URL)
	}
	if err != nil {
		text := strings.ReplaceAll(err.Error(), config.URL, "…")
		u.RawQuery = "" // Sentinel's password stands there
		return nil, fmt.Errorf("the Redis URL %s is not usable: %s", u.Redacted(), text)
	}
	options.Password = cmp.Or(config.Password, options.Password)
	options.Protocol = 2
	options.DisableIdentity = true
	options.ContextTimeoutEnabled = true
	options.MaxRetries = -1
	options.DialTimeout, options.DialerRetries = dialTimeout, 1
	options.ReadTimeout, options.WriteTimeout, options.PoolTimeout = controlTimeout, controlTimeout, controlTimeout
	options.ConnMaxIdleTime = idleTimeout
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return options, nil
}

func fromSingle(options *redis.UniversalOptions, text string) error {
	o, err := redis.ParseURL(text)
	if err != nil {
		return err
	}
	options.Addrs, options.DB = []string{o.Addr}, o.DB
	options.Username, options.Password, options.TLSConfig = o.Username, o.Password, o.TLSConfig
	return nil
}

func fromCluster(options *redis.UniversalOptions, text string) error {
	o, err := redis.ParseClusterURL(text)
	if err != nil {
		return err
	}
	options.Addrs, options.IsClusterMode = o.Addrs, true
	options.Username, options.Password, options.TLSConfig = o.Username, o.Password, o.TLSConfig
	return nil
}

func fromSentinel(options *redis.UniversalOptions, text string) error {
	o, err := redis.ParseFailoverURL(text)
	if err != nil {
		return err
	}
	options.Addrs, options.MasterName, options.DB = o.SentinelAddrs, o.MasterName, o.DB
	options.Username, options.Password, options.TLSConfig = o.Username, o.Password, o.TLSConfig
	options.SentinelUsername, options.SentinelPassword = o.SentinelUsername, o.SentinelPassword
	return nil
}

// recognize reads what Redis holds of a store: nothing, or the one that this installation knows.
func (r *Redis) recognize(ctx context.Context, config RedisConfig) (held map[string]string, err error) {
	if held, err = r.control.HGetAll(ctx, r.names.store()).Result(); err != nil {
		return nil, fmt.Errorf("reading the store's id: %w", err)
	}
	id, known := held["id"], config.KnownID
	switch {
	case known == "" || config.AcceptEmpty || id == known:
		return held, nil
	case id == "":
		return nil, fmt.Errorf("this Redis is empty, but this installation has kept keys in it (store %s): restore its data, or, if all keys shall be gone, start once with --accept-empty-store", known)
	default:
		return nil, fmt.Errorf("this Redis holds store %s, but this installation knows store %s: point --redis-url at the right one, use another --data-dir, or start once with --accept-empty-store", id, known)
	}
}

// claimStore makes sure that Redis holds the store this installation knows, and makes an empty Redis into a store.
// The id is written first and the buckets of the index after it: until all are marked, the store is not complete, and checks answer [Unavailable].
func (r *Redis) claimStore(ctx context.Context, config RedisConfig) error {
	held, err := r.recognize(ctx, config)
	if err != nil {
		return err
	}
	if held["id"] == "" {
		if err := r.control.HSetNX(ctx, r.names.store(), "id", random(storeIDLength)).Err(); err != nil {
			return fmt.Errorf("claiming the empty Redis: %w", err)
		}
		if held, err = r.control.HGetAll(ctx, r.names.store()).Result(); err != nil {
			return fmt.Errorf("reading the store's id: %w", err)
		}
	}
	r.id = held["id"]
	r.legacy.Store(held["legacy"] == "1")
	if len(r.id) != storeIDLength {
		return fmt.Errorf("the store's id in Redis is %q, which this version cannot have written: use another --redis-prefix", r.id)
	}
	return r.markBuckets(ctx, held["complete"] == "1" && !config.AcceptEmpty)
}

// markBuckets writes the store's id into each bucket of the index. In a complete store all have it; one that has not was lost, and with it the way to its keys.
func (r *Redis) markBuckets(ctx context.Context, complete bool) error {
	marks := make([]*redis.StringCmd, buckets)
	pipeline := r.control.Pipeline()
	for i := range buckets {
		if !complete {
			pipeline.HSetNX(ctx, r.names.index[i].name, "", r.id)
		}
		marks[i] = pipeline.HGet(ctx, r.names.index[i].name, "")
	}
	if _, err := pipeline.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("reading the index: %w", err)
	}
	lost := 0
	for _, mark := range marks {
		if mark.Val() != r.id {
			lost++
		}
	}
	if lost > 0 {
		return fmt.Errorf("%d of %d parts of the index are missing in Redis or are another store's: restore its data, or start once with --accept-empty-store to go on without the keys in them", lost, buckets)
	}
	if complete {
		return nil
	}
	return r.control.HSet(ctx, r.names.store(), "complete", "1").Err()
}

// intact returns errLost if the store's id is gone, so that the control plane does not show an emptied Redis as a store without keys.
func (r *Redis) intact(ctx context.Context) error {
	id, err := r.control.HGet(ctx, r.names.store(), "id").Result()
	switch {
	case errors.Is(err, redis.Nil) || (err == nil && id != r.id):
		return errLost
	case err != nil:
		return fmt.Errorf("asking Redis: %w", err)
	}
	return nil
}
