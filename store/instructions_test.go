package store

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tpgate/limiter"
)

// TestInstructions counts the instructions that redis-server executes for one decision, by callgrind: unlike times, the count is the same on a busy machine.
// It runs for `make bench-redis` (TPGATE_BENCH_REDIS=1) and prints a table.
func TestInstructions(t *testing.T) {
	if os.Getenv("TPGATE_BENCH_REDIS") == "" {
		t.Skip("a measurement, run by make bench-redis")
	}
	dir := t.TempDir()
	addr := FreeAddr(t)
	_, port, _ := net.SplitHostPort(addr)
	server := exec.Command("valgrind", "--tool=callgrind", "--callgrind-out-file="+filepath.Join(dir, "out"),
		"redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", dir, "--hz", "1")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Process.Kill(); _ = server.Wait() }()
	r := openCounted(t, addr)
	fmt.Printf("%-44s %8s %8s %8s\n", "instructions per decision, entries a call:", "1", "16", "64")
	for _, c := range []struct{ name, limit, workspace string }{
		{"key window, nothing expired", "default", "default"},
		{"key window, one permit ends with each", "1000/10s", "default"},
		{"over quota", "1/31d", "default"},
		{"no limit", "off", "default"},
		{"unknown", "", ""},
		{"key and workspace window", "default", "1000000/1d"},
		{"three windows", "1000/1s,100000/1m,1000000/1d", "default"},
	} {
		fmt.Printf("%-44s", c.name)
		for _, entries := range []int{1, 16, 64} {
			fmt.Printf(" %8d", r.measure(t, dir, server.Process.Pid, entries, c.limit, c.workspace))
		}
		fmt.Println()
	}
}

type counted struct{ *Redis }

func openCounted(t *testing.T, addr string) counted {
	for range 300 {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	limit, _ := limiter.Parse("1000000/1d")
	r, err := OpenRedis(context.Background(), RedisConfig{
		URL: "redis://" + addr, Prefix: "tpgate", Defaults: Defaults{KeyLimit: limit, WorkspaceLimit: limiter.Off},
		Metrics: NewMetrics(prometheus.NewRegistry()), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return counted{r}
}

// measure returns the instructions per entry of calls with this many entries, each of another key and workspace.
func (r counted) measure(t *testing.T, dir string, pid, entries int, limit, workspace string) int {
	tokens, _ := NewTokens("tp_")
	f := r.checks.single.flights.Get().(*flight)
	for i := range entries {
		key := Key{ID: NewID(), Workspace: fmt.Sprintf("%s-%d", random(8), i), Name: "k", Digest: tokens.DigestOf(random(20)), CreatedAt: time.Now()}
		c := &call{digest: key.Digest, deadline: time.Now().Add(time.Hour), shared: workspace == "1000000/1d"}
		if limit != "" {
			key.Limit, _ = limiter.Parse(limit) // none for "default"
			if _, err := r.Create(t.Context(), key); err != nil {
				t.Fatal(err)
			}
			shared, _ := limiter.Parse(workspace)
			if _, err := r.UpdateWorkspace(t.Context(), key.Workspace, func(w *Workspace) error { w.Limit = shared; return nil }); err != nil {
				t.Fatal(err)
			}
			c.place = place{key.Workspace, key.ID}
		}
		f.add(c)
	}
	lane, err := r.checks.single.pilot.open(time.Now().Add(10 * time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer lane.close()
	f.lane = lane
	pace := time.Duration(0)
	warm := 20
	if limit == "1000/10s" { // a call every tenth of a second: from the hundredth on each admits one and one ends, and there is a list
		pace, warm = 100*time.Millisecond, 120
	}
	fly := func(rounds int) {
		for range rounds {
			start := time.Now()
			if err := r.checks.single.pilot.roundTrip(f); err != nil {
				t.Fatal(err)
			}
			time.Sleep(pace - time.Since(start))
		}
	}
	fly(warm)
	const rounds = 100
	control(t, "--zero", pid)
	fly(rounds)
	control(t, "--dump", pid)
	return instructions(t, dir) / (rounds * entries)
}

func control(t *testing.T, what string, pid int) {
	if out, err := exec.Command("callgrind_control", what, strconv.Itoa(pid)).CombinedOutput(); err != nil {
		t.Fatalf("callgrind_control: %v %s", err, out)
	}
}

// instructions reads the newest dump and removes it.
func instructions(t *testing.T, dir string) int {
	for range 100 {
		dumps, _ := filepath.Glob(filepath.Join(dir, "out.*"))
		for _, dump := range dumps {
			text, _ := os.ReadFile(dump)
			if m := regexp.MustCompile(`(?m)^(?:totals|summary): (\d+)`).FindSubmatch(text); m != nil {
				_ = os.Remove(dump)
				n, _ := strconv.Atoi(string(m[1]))
				return n
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("no dump by callgrind")
	return 0
}
