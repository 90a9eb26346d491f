package store_test

import (
	"fmt"
	"net"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"tpgate/limiter"
	"tpgate/store"
	"tpgate/store/storetest"
)

// redisCluster starts a Redis Cluster of three masters and returns its URL and their addresses.
func redisCluster(t *testing.T) (string, []string) {
	t.Helper()
	var addrs []string
	for range 3 {
		_, bus, _ := net.SplitHostPort(freeAddr(t))
		addrs = append(addrs, redisServer(t, "--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-node-timeout", "2000"))
	}
	create := exec.Command("redis-cli", append([]string{"--cluster-yes", "--cluster", "create"}, addrs...)...)
	if out, err := create.CombinedOutput(); err != nil {
		t.Fatalf("creating the Cluster: %v\n%s", err, out)
	}
	for _, addr := range addrs {
		client := redis.NewClient(&redis.Options{Addr: addr})
		for end := time.Now().Add(20 * time.Second); !strings.Contains(client.ClusterInfo(t.Context()).Val(), "cluster_state:ok"); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the Cluster does not come up")
			}
		}
		client.Close()
	}
	return fmt.Sprintf("redis://%s?addr=%s&addr=%s", addrs[0], addrs[1], addrs[2]), addrs
}

func TestRedisCluster(t *testing.T) {
	url, _ := redisCluster(t)
	stores := 0
	storetest.Run(t, func(t *testing.T, defaults store.Defaults) store.Store {
		stores++
		config := redisConfig("")
		config.URL, config.Defaults, config.Prefix = url, defaults, fmt.Sprintf("test%d", stores)
		return openRedis(t, config)
	})
}

// TestRedisClusterMovesSlots moves the slot of a workspace from node to node under checks: no answer is wrong, and none is missing for long.
func TestRedisClusterMovesSlots(t *testing.T) {
	url, addrs := redisCluster(t)
	config := redisConfig("")
	config.URL = url
	s := openRedis(t, config)
	key := newKey(t, s, "acme", "off")
	var nodes []*redis.Client
	var ids []string
	for _, addr := range addrs {
		node := redis.NewClient(&redis.Options{Addr: addr})
		defer node.Close()
		nodes = append(nodes, node)
		ids = append(ids, node.ClusterMyID(t.Context()).Val())
	}
	slot := nodes[0].ClusterKeySlot(t.Context(), "{acme}").Val()
	owner := 0
	for i, node := range nodes {
		if node.Set(t.Context(), "{acme}probe", "1", 0).Err() == nil {
			owner = i
		}
	}
	var stop atomic.Bool
	var checks sync.WaitGroup
	var allowed, unavailable, wrong atomic.Int64
	for range 4 {
		checks.Go(func() {
			for !stop.Load() {
				switch d := s.Verify(key.Digest, time.Now().Add(time.Second)); {
				case d.Verdict == store.Allowed && d.KeyID == key.ID && d.Workspace == "acme":
					allowed.Add(1)
				case d.Verdict == store.Unavailable:
					unavailable.Add(1)
				default:
					wrong.Add(1)
				}
			}
		})
	}
	for range 6 {
		from, to := owner, (owner+1)%3
		run := func(node int, args ...any) {
			t.Helper()
			if err := nodes[node].Do(t.Context(), args...).Err(); err != nil {
				t.Fatal(args, err)
			}
		}
		run(to, "CLUSTER", "SETSLOT", slot, "IMPORTING", ids[from])
		run(from, "CLUSTER", "SETSLOT", slot, "MIGRATING", ids[to])
		_, port, _ := net.SplitHostPort(addrs[to])
		for {
			names := nodes[from].ClusterGetKeysInSlot(t.Context(), int(slot), 100).Val()
			if len(names) == 0 {
				break
			}
			for _, name := range names {
				run(from, "MIGRATE", "127.0.0.1", port, name, 0, 5000)
			}
		}
		for node := range nodes {
			run(node, "CLUSTER", "SETSLOT", slot, "NODE", ids[to])
		}
		owner = to
		time.Sleep(100 * time.Millisecond)
	}
	stop.Store(true)
	checks.Wait()
	t.Logf("%d allowed, %d unavailable", allowed.Load(), unavailable.Load())
	if wrong.Load() > 0 || allowed.Load() < 100 {
		t.Errorf("%d wrong answers, %d allowed", wrong.Load(), allowed.Load())
	}
	if unavailable.Load() > 0 {
		t.Errorf("%d checks were not answered while slots moved", unavailable.Load())
	}
}

// newKey makes a key with a quota of its own.
func newKey(t testing.TB, s store.Store, workspace, quota string) store.Key {
	t.Helper()
	tokens, err := store.NewTokens("tp_")
	if err != nil {
		t.Fatal(err)
	}
	secret := tokens.New()
	key := store.Key{ID: store.NewID(), Workspace: workspace, Name: "test", Hint: tokens.Hint(secret), Digest: tokens.DigestOf(secret), CreatedAt: time.Now(), Limit: ownLimit(t, quota)}
	made, err := s.Create(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// ownLimit is a key's own limit, none for "".
func ownLimit(t testing.TB, quota string) limiter.Limit {
	if quota == "" {
		return limiter.Limit{}
	}
	return mustLimit(t, quota)
}
