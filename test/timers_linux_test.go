package test

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestTimersAreRelaxed looks at the slack of a running service's timers, and that nothing of how it got it is left.
func TestTimersAreRelaxed(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("Linux shows it to root alone")
	}
	g := startGate(t)
	dir := fmt.Sprintf("/proc/%d/", g.program.cmd.Process.Pid)
	slack, err := os.ReadFile(dir + "timerslack_ns")
	if err != nil || strings.TrimSpace(string(slack)) != "500000" {
		t.Errorf("the slack is %q ns, %v", slack, err)
	}
	if name, err := os.ReadFile(dir + "comm"); err != nil || strings.TrimSpace(string(name)) != "tpgate" {
		t.Errorf("the process is called %q, %v", name, err)
	}
	if code := g.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
