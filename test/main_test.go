// Package test looks at tpgate from outside: the built binary, a real Redis, real proxies with the files of deploy/, and a backend that says what reached it.
// It imports nothing of the program.
//
// The path through it: program_test.go starts programs, redis_test.go, gate_test.go, backend_test.go and proxy_test.go are what a stack (stack_test.go) is made of,
// tap_test.go sits between proxy and tpgate and writes down what is asked. The acceptance cases are in cases_*_test.go; acceptance_test.go runs all of them on every proxy.
package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// binary is the tpgate under test.
var binary string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "tpgate-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "tpgate")
	if out, err := exec.Command("go", "build", "-o", binary, "tpgate/cmd/tpgate").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building tpgate: %v\n%s", err, out)
		return 1
	}
	code := m.Run()
	printResults()
	return code
}
