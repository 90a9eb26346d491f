package store_test

import (
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"tpgate/limiter"
	"tpgate/store"
	"tpgate/store/storetest"
)

// clusterNode starts a node that is not in a Cluster yet.
func clusterNode(t *testing.T) string {
	t.Helper()
	_, bus, _ := net.SplitHostPort(store.FreeAddr(t))
	return redisServer(t, "--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-node-timeout", "2000", "--cluster-require-full-coverage", "no")
}

// redisCluster starts a Redis Cluster of three masters and returns its URL and their addresses.
func redisCluster(t *testing.T) (string, []string) {
	t.Helper()
	var addrs []string
	for range 3 {
		addrs = append(addrs, clusterNode(t))
	}
	create := exec.Command("redis-cli", append([]string{"--cluster-yes", "--cluster", "create"}, addrs...)...)
	if out, err := create.CombinedOutput(); err != nil {
		t.Fatalf("creating the Cluster: %v\n%s", err, out)
	}
	for _, addr := range addrs {
		client := redis.NewClient(&redis.Options{Addr: addr})
		until(t, "the Cluster is up", func() bool { return strings.Contains(client.ClusterInfo(t.Context()).Val(), "cluster_state:ok") })
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

// TestRedisClusterMovesSlots moves the slot of a workspace from node to node under checks, one name after the other, so that a key's parts are on two nodes for moments: no answer is
// wrong, none is missing, and nothing is charged twice.
func TestRedisClusterMovesSlots(t *testing.T) {
	url, addrs := redisCluster(t)
	config := redisConfig("")
	config.URL = url
	s := openRedis(t, config)
	keys := []store.Key{newKey(t, s, "acme", "1000000/1h"), newKey(t, s, "acme", "off"), newKey(t, s, "acme", "10/300ms"), newKey(t, s, "acme", "0/1m"), newKey(t, s, "other", "off")}
	nodes := make([]*redis.Client, len(addrs))
	ids := make([]string, len(addrs))
	owner := 0
	for i, addr := range addrs {
		nodes[i] = redis.NewClient(&redis.Options{Addr: addr})
		defer nodes[i].Close()
		ids[i] = nodes[i].ClusterMyID(t.Context()).Val()
		if nodes[i].Set(t.Context(), "{acme}probe", "1", 0).Err() == nil {
			owner = i
		}
	}
	slot := nodes[0].ClusterKeySlot(t.Context(), "{acme}").Val()
	run := func(node int, args ...any) {
		if err := nodes[node].Do(t.Context(), args...).Err(); err != nil {
			t.Error(args, err)
		}
	}
	move := func(from, to int) {
		run(to, "CLUSTER", "SETSLOT", slot, "IMPORTING", ids[from])
		run(from, "CLUSTER", "SETSLOT", slot, "MIGRATING", ids[to])
		_, port, _ := net.SplitHostPort(addrs[to])
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
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
	}
	sum := hammerFor(s, keys, 2*time.Second, func() {
		for range 6 {
			time.Sleep(100 * time.Millisecond)
			move(owner, (owner+1)%3)
			owner = (owner + 1) % 3
		}
	})
	sum.judge(t, 10, 300*time.Millisecond, 2)
	if total(sum.allowed) < 100 || total(sum.unavailable) > 0 {
		t.Errorf("while slots moved, %d checks were allowed, %d not decided", total(sum.allowed), total(sum.unavailable))
	}
	chargedOnce(t, addrs[owner], sum, keys[:1])
}

// TestRedisClusterNodeLeaves takes all slots from a node: the connections to it end.
func TestRedisClusterNodeLeaves(t *testing.T) {
	url, addrs := redisCluster(t)
	config := redisConfig("")
	config.URL = url
	s := openRedis(t, config)
	leaving := redis.NewClient(&redis.Options{Addr: addrs[2]})
	defer leaving.Close()
	var key store.Key
	for w := 0; key.ID == ""; w++ {
		if workspace := fmt.Sprint("w", w); leaving.Set(t.Context(), "{"+workspace+"}probe", "1", 0).Err() == nil {
			key = newKey(t, s, workspace, "off")
		}
	}
	recovers(t, s, key, time.Second)
	if s.Lanes(addrs[2]) == 0 {
		t.Fatal("a check went to the node without a connection")
	}
	stays := redis.NewClient(&redis.Options{Addr: addrs[0]})
	defer stays.Close()
	reshard := exec.Command("redis-cli", "--cluster", "reshard", addrs[0], "--cluster-from", leaving.ClusterMyID(t.Context()).Val(), "--cluster-to", stays.ClusterMyID(t.Context()).Val(),
		"--cluster-slots", "16384", "--cluster-yes", "--cluster-pipeline", "100")
	if out, err := reshard.CombinedOutput(); err != nil {
		t.Fatalf("moving the slots: %v\n%s", err, out[max(0, len(out)-500):])
	}
	until(t, "the connections to the node have ended", func() bool {
		recovers(t, s, key, time.Second)
		return s.Lanes(addrs[2]) == 0
	})
}

// TestRedisClusterLosesNodes kills a node that has a replica, and then one that has none: checks of their slots are not decided until somebody serves these, in time nevertheless; all
// others go on as if nothing had happened.
func TestRedisClusterLosesNodes(t *testing.T) {
	url, addrs := redisCluster(t)
	replica := redis.NewClient(&redis.Options{Addr: clusterNode(t)})
	defer replica.Close()
	nodes := make([]*redis.Client, len(addrs))
	keys := make([][]store.Key, len(addrs)) // by node
	for i, addr := range addrs {
		nodes[i] = redis.NewClient(&redis.Options{Addr: addr})
		defer nodes[i].Close()
	}
	host, port, _ := net.SplitHostPort(addrs[0])
	bus := nodes[0].ConfigGet(t.Context(), "cluster-port").Val()["cluster-port"]
	if err := replica.Do(t.Context(), "CLUSTER", "MEET", host, port, bus).Err(); err != nil {
		t.Fatal(err)
	}
	until(t, "the replica knows its master", func() bool {
		return replica.ClusterReplicate(t.Context(), nodes[0].ClusterMyID(t.Context()).Val()).Err() == nil
	})
	until(t, "the replica is in step", func() bool {
		return strings.Contains(replica.Info(t.Context(), "replication").Val(), "master_link_status:up")
	})
	config := redisConfig("")
	config.URL = url
	for _, policy := range []string{"allkeys-lru", "noeviction"} {
		good := policy == "noeviction"
		if err := nodes[2].ConfigSet(t.Context(), "maxmemory-policy", policy).Err(); err != nil {
			t.Fatal(err)
		}
		s, err := store.OpenRedis(t.Context(), config)
		if (err == nil) != good || (err != nil && !strings.Contains(err.Error(), addrs[2])) {
			t.Fatalf("a node has policy %s: error %v", policy, err)
		}
		if err == nil {
			_ = s.Close()
		}
	}
	config.Metrics = redisConfig("").Metrics
	s := openRedis(t, config)
	for w := 0; len(keys[0]) < 3 || len(keys[1]) < 3 || len(keys[2]) < 3; w++ {
		workspace := fmt.Sprint("w", w)
		for i, node := range nodes {
			if node.Set(t.Context(), "{"+workspace+"}probe", "1", 0).Err() == nil {
				keys[i] = append(keys[i], newKey(t, s, workspace, "off"))
			}
		}
	}
	for _, key := range slices.Concat(keys...) {
		recovers(t, s, key, time.Second)
	}
	until(t, "the replica holds the keys", func() bool { return replica.DBSize(t.Context()).Val() == nodes[0].DBSize(t.Context()).Val() })
	kill := func(node int) *ledger {
		return hammer(s, slices.Concat(keys...), func() {
			time.Sleep(50 * time.Millisecond)
			killRedis(t, nodes[node])
			time.Sleep(time.Second)
		})
	}
	judge := func(sum *ledger, lost int) {
		t.Helper()
		sum.judge(t, 0, 0)
		n := 0
		for node := range keys {
			for range keys[node] {
				if missing := sum.unavailable[n].Load(); (missing > 0) != (node == lost) {
					t.Errorf("node %d was killed: of node %d, %d checks were not decided", lost, node, missing)
				}
				n++
			}
		}
	}
	judge(kill(0), 0)
	for _, key := range keys[0] {
		recovers(t, s, key, 20*time.Second) // the node timeout, the vote, and a reading of the slots
	}
	judge(kill(1), 1)
}

// until waits for something that is about to happen.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// killRedis ends a server that the test has started as a crash would.
func killRedis(t *testing.T, server *redis.Client) {
	t.Helper()
	for line := range strings.Lines(server.Info(t.Context(), "server").Val()) {
		if text, ok := strings.CutPrefix(line, "process_id:"); ok {
			pid, err := strconv.Atoi(strings.TrimSpace(text))
			if err != nil || syscall.Kill(pid, syscall.SIGKILL) != nil {
				t.Fatalf("process %d cannot be killed", pid)
			}
			return
		}
	}
	t.Fatal("the server does not tell its process")
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
