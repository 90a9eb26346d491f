package store_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"tpgate/limiter"
	"tpgate/store"
)

// redisServer starts a redis-server on a free loopback port and returns its address; it ends with the test.
func redisServer(t testing.TB, args ...string) string {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("redis-server is missing: apt-get install redis-server")
		}
		t.Skip("redis-server is missing: apt-get install redis-server")
	}
	addr := freeAddr(t)
	_, port, _ := net.SplitHostPort(addr)
	server := exec.Command(program, append([]string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir()}, args...)...)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	client := redis.NewClient(&redis.Options{Addr: addr})
	defer client.Close()
	for range 200 {
		if client.Ping(t.Context()).Err() == nil {
			return addr
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("redis-server does not answer")
	return ""
}

func freeAddr(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func redisConfig(addr string) store.RedisConfig {
	keyLimit, _ := limiter.Parse("60/1m")
	return store.RedisConfig{
		URL: "redis://" + addr, Prefix: "tpgate",
		Defaults: store.Defaults{KeyLimit: keyLimit, WorkspaceLimit: limiter.Off},
		Metrics:  store.NewMetrics(prometheus.NewRegistry()), Logger: slog.New(slog.DiscardHandler),
	}
}

func openRedis(t testing.TB, config store.RedisConfig) *store.Redis {
	t.Helper()
	s, err := store.OpenRedis(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestRedisSmoke(t *testing.T) {
	s := openRedis(t, redisConfig(redisServer(t)))
	tokens, _ := store.NewTokens("tp_")
	secret := tokens.New()
	key, err := s.Create(t.Context(), store.Key{ID: store.NewID(), Workspace: "acme", Name: "ci", Hint: tokens.Hint(secret), Digest: tokens.DigestOf(secret), CreatedAt: time.Now().Truncate(time.Millisecond).UTC()})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 62 {
		d := s.Verify(tokens.DigestOf(secret), time.Now().Add(time.Second))
		fmt.Println(i, d.Verdict, d.Workspace, d.KeyID == key.ID, d.Standing, d.Err)
	}
	fmt.Println(s.Verify(tokens.DigestOf("x"), time.Now().Add(time.Second)))
	fmt.Println(s.ListKeys(t.Context(), "acme", store.Position{}, 10))
	fmt.Println(s.DeleteKey(t.Context(), "acme", key.ID))
	fmt.Println(s.Verify(tokens.DigestOf(secret), time.Now().Add(time.Second)))
}
