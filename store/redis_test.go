package store_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"tpgate/limiter"
	"tpgate/limiter/limitertest"
	"tpgate/store"
	"tpgate/store/storetest"
)

// redisServer starts a redis-server on a free loopback port and returns its address; it ends with the test.
func redisServer(t testing.TB, args ...string) string {
	t.Helper()
	addr := store.FreeAddr(t)
	startRedis(t, limitertest.RedisProgram(t), addr, append([]string{"--dir", t.TempDir()}, args...)...)
	return addr
}

// startRedis starts a redis-server at an address and returns when it answers.
func startRedis(t testing.TB, program, addr string, args ...string) *os.Process {
	t.Helper()
	_, port, _ := net.SplitHostPort(addr)
	server := exec.Command(program, append([]string{"--port", port, "--bind", "127.0.0.1", "--save", ""}, args...)...)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	client := redis.NewClient(&redis.Options{Addr: addr})
	defer client.Close()
	for range 1000 {
		if err := client.Ping(t.Context()).Err(); err == nil || strings.HasPrefix(err.Error(), "NOAUTH") {
			return server.Process
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("redis-server does not answer")
	return nil
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

func TestRedis(t *testing.T) {
	addr := redisServer(t)
	stores := 0
	storetest.Run(t, func(t *testing.T, defaults store.Defaults) store.Store {
		stores++
		config := redisConfig(addr)
		config.Defaults, config.Prefix = defaults, fmt.Sprintf("test%d", stores)
		return openRedis(t, config)
	})
}
