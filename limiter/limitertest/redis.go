package limitertest

import (
	"os"
	"os/exec"
	"testing"
)

// RedisProgram returns the path of redis-server. Without one the test is skipped, or in CI fails.
func RedisProgram(tb testing.TB) string {
	tb.Helper()
	program, err := exec.LookPath("redis-server")
	if err == nil {
		return program
	}
	if os.Getenv("CI") == "true" {
		tb.Fatal("redis-server is missing: apt-get install redis-server")
	}
	tb.Skip("redis-server is missing: apt-get install redis-server")
	return ""
}
