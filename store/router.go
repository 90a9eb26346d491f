package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const slots = 16384

// router knows which node serves a hash slot, and has one gatherer a node. Without a Cluster there is one node for all.
type router struct {
	store   *Redis
	single  *gatherer
	cluster *redis.ClusterClient

	table [slots]atomic.Pointer[gatherer]
	mu    sync.Mutex
	nodes map[string]*gatherer // by address
	moved atomic.Bool          // a node has sent a check elsewhere, or did not answer one
}

// Times of reading the Cluster's slots: soon after something has moved, and now and then in any case.
const (
	reloadSoon   = time.Second
	reloadAlways = 30 * time.Second
)

// reloadForever keeps the table of slots as the Cluster has it, until ctx ends.
func (r *router) reloadForever(ctx context.Context) {
	for last := time.Now(); r.cluster != nil && pause(ctx, reloadSoon) == nil; {
		if !r.moved.Swap(false) && time.Since(last) < reloadAlways {
			continue
		}
		if err := r.reload(ctx); err != nil && ctx.Err() == nil {
			r.moved.Store(true)
		}
		last = time.Now()
	}
}

func newRouter(ctx context.Context, store *Redis, client redis.UniversalClient) (*router, error) {
	r := &router{store: store, nodes: map[string]*gatherer{}}
	switch client := client.(type) {
	case *redis.Client:
		r.single = newGatherer(newPilot(store, *client.Options(), false))
		return r, nil
	case *redis.ClusterClient:
		r.cluster = client
		return r, r.reload(ctx)
	default:
		return nil, fmt.Errorf("no checks over a client of type %T", client)
	}
}

// of returns the gatherer of the node that serves a slot.
func (r *router) of(slot uint16) (*gatherer, error) {
	if r.single != nil {
		return r.single, nil
	}
	if g := r.table[slot].Load(); g != nil {
		return g, nil
	}
	return nil, errors.New("no node of the Redis Cluster serves this part")
}

// reload reads the Cluster's slots.
func (r *router) reload(ctx context.Context) error {
	//lint:ignore SA1019 Redis 6.2 has no CLUSTER SHARDS
	ranges, err := r.cluster.ClusterSlots(ctx).Result()
	if err != nil {
		return fmt.Errorf("reading the Cluster's slots: %w", err)
	}
	for _, s := range ranges {
		if len(s.Nodes) == 0 {
			continue
		}
		g := r.node(s.Nodes[0].Addr)
		for slot := s.Start; g != nil && slot <= s.End && slot < slots; slot++ {
			r.table[slot].Store(g)
		}
	}
	r.retire()
	return nil
}

// retire ends the idle connections to nodes that serve nothing any more.
func (r *router) retire() {
	serving := map[*gatherer]bool{}
	for slot := range r.table {
		serving[r.table[slot].Load()] = true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, g := range r.nodes {
		if !serving[g] {
			g.drop()
		}
	}
}

// node returns the gatherer of a node, nil if addr is no address.
func (r *router) node(addr string) *gatherer {
	if r.cluster == nil || addr == "" || strings.HasPrefix(addr, ":") {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	g, ok := r.nodes[addr]
	if !ok {
		options := r.nodeOptions(addr)
		g = newGatherer(newPilot(r.store, options, true))
		r.nodes[addr] = g
	}
	return g
}

// nodeOptions are those that the Cluster's client would use for a node.
func (r *router) nodeOptions(addr string) redis.Options {
	o := r.cluster.Options()
	options := redis.Options{
		Addr: addr, Username: o.Username, Password: o.Password, TLSConfig: o.TLSConfig,
		Protocol: o.Protocol, DisableIdentity: true, ContextTimeoutEnabled: true,
		DialTimeout: dialTimeout, DialerRetries: 1, ReadTimeout: dialTimeout, WriteTimeout: dialTimeout,
		MaintNotificationsConfig: o.MaintNotificationsConfig,
	}
	options.Dialer = redis.NewDialer(&options)
	return options
}

// learn notes that a slot has moved.
func (r *router) learn(slot uint16, g *gatherer) {
	if g != nil {
		r.table[slot].Store(g)
	}
}

func (r *router) close() {
	if r.single != nil {
		r.single.close()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, g := range r.nodes {
		g.close()
	}
}

// slotOf returns the hash slot of a name: CRC-16 (XMODEM) modulo 16384. For a name with a {tag}, pass the tag.
func slotOf(tag string) uint16 {
	crc := uint16(0)
	for i := range len(tag) {
		crc ^= uint16(tag[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc % slots
}
