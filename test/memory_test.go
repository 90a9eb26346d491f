package test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
)

// TestConnectionsAtRest opens connections that ask once and stay. What each leaves in memory must be so little that 10,000 fit into 100 MB, on either store: a stack of 4 kB does,
// one of 8 kB, which a check needs if its functions keep much on it, does not.
func TestConnectionsAtRest(t *testing.T) {
	for _, store := range []string{"embedded", "Redis"} {
		t.Run(store, func(t *testing.T) {
			flags := []string{"--key-limit", "1000000/1m"}
			if store == "Redis" {
				flags = append(flags, "--redis-url", startRedis(t).url())
			}
			g := startGate(t, flags...)
			secrets := []string{g.mustKey("acme", nil).Secret, g.mustKey("acme", fields{"limit": "0/1m"}).Secret, unknown}
			want := []int{http.StatusOK, http.StatusTooManyRequests, http.StatusUnauthorized}
			first := g.program.memory(t, "VmRSS")
			n := rounds(2000, 10_000)
			for i := range n {
				if got, err := newClient(t, g.data).check(secrets[i%3]); err != nil || got.status != want[i%3] {
					t.Fatalf("connection %d: answered %d, %v", i, got.status, err)
				}
			}
			if each := (g.program.memory(t, "VmRSS") - first) / n; each > (100<<20-first)/10_000 {
				t.Errorf("a connection at rest takes %d bytes beside %d for the service: 10,000 take more than 100 MB", each, first)
			}
		})
	}
}

// memory returns how many bytes of the program are resident (VmRSS), or were at most (VmHWM).
func (p *program) memory(t *testing.T, what string) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), what+":")
	kb := 0
	if _, err := fmt.Sscan(after, &kb); err != nil {
		t.Fatal(err)
	}
	return kb << 10
}
