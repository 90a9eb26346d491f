package limiter

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"
)

// Pace is a rate at which something may happen: Count per Per, all at once if nothing happened before. It smooths (GCRA); it is not an exact window and is never used for keys.
type Pace struct {
	Count int
	Per   time.Duration
}

// Pacer keeps paces by name.
type Pacer interface {
	// Allow takes one from the pace of that name and returns 0, or takes nothing and returns how long to wait for one. An error means that it could not be told.
	Allow(ctx context.Context, name string, pace Pace) (time.Duration, error)
}

// NewRedisPacer returns a Pacer shared by all instances, whose names in Redis begin with prefix. It is go-redis/redis_rate.
func NewRedisPacer(client redis.UniversalClient, prefix string) Pacer {
	return redisPacer{limiter: redis_rate.NewLimiter(namedClient{client}), prefix: prefix}
}

type redisPacer struct {
	limiter *redis_rate.Limiter
	prefix  string
}

func (p redisPacer) Allow(ctx context.Context, name string, pace Pace) (time.Duration, error) {
	limit := redis_rate.Limit{Rate: pace.Count, Burst: pace.Count, Period: pace.Per}
	result, err := p.limiter.Allow(ctx, p.prefix+":pace:"+name, limit)
	if err != nil {
		return 0, fmt.Errorf("pacing %s: %w", name, err)
	}
	return max(0, result.RetryAfter), nil
}

// namedClient takes away the "rate:" that redis_rate puts in front of every name: all our names begin with our own prefix, so that one ACL rule covers them.
type namedClient struct{ redis.UniversalClient }

func (c namedClient) EvalSha(ctx context.Context, sha1 string, keys []string, args ...any) *redis.Cmd {
	return c.UniversalClient.EvalSha(ctx, sha1, ownNames(keys), args...)
}

func (c namedClient) Eval(ctx context.Context, script string, keys []string, args ...any) *redis.Cmd {
	return c.UniversalClient.Eval(ctx, script, ownNames(keys), args...)
}

func ownNames(keys []string) []string {
	own := make([]string, len(keys))
	for i, key := range keys {
		own[i] = strings.TrimPrefix(key, "rate:")
	}
	return own
}

// maxPaces bounds the memory of a local pacer to about 1 MB; when it is full, the names that have not been used longest make room.
const maxPaces = 10_000

// NewLocalPacer returns a Pacer of this process alone. It is golang.org/x/time/rate.
func NewLocalPacer() Pacer { return &localPacer{paces: map[string]*localPace{}} }

type localPacer struct {
	mu    sync.Mutex
	paces map[string]*localPace
}

type localPace struct {
	limiter *rate.Limiter
	used    time.Time
}

func (p *localPacer) Allow(_ context.Context, name string, pace Pace) (time.Duration, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	entry, ok := p.paces[name]
	if !ok {
		p.makeRoom()
		entry = &localPace{limiter: rate.NewLimiter(rate.Limit(float64(pace.Count)/pace.Per.Seconds()), pace.Count)}
		p.paces[name] = entry
	}
	entry.used = now
	if entry.limiter.AllowN(now, 1) {
		return 0, nil
	}
	missing := 1 - entry.limiter.TokensAt(now)
	return time.Duration(missing / float64(entry.limiter.Limit()) * float64(time.Second)), nil
}

func (p *localPacer) makeRoom() {
	if len(p.paces) < maxPaces {
		return
	}
	oldest := ""
	for name, entry := range p.paces {
		if oldest == "" || entry.used.Before(p.paces[oldest].used) {
			oldest = name
		}
	}
	delete(p.paces, oldest)
}
