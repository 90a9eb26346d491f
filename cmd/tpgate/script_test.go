package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"tpgate": main})
}

// TestScripts runs what users type (testdata/script) against the real program. Each script has an empty directory and three free ports, which the service and the client's
// commands know from the environment. Beside testscript's own commands there are those of scriptCommands.
func TestScripts(t *testing.T) {
	var port atomic.Int32
	port.Store(int32(10000 + os.Getpid()%9000))
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			addresses, err := freeAddresses(&port, 3)
			if err != nil {
				return err
			}
			env.Setenv("TPGATE_LISTEN", addresses[0])
			env.Setenv("TPGATE_ADMIN_LISTEN", addresses[1])
			env.Setenv("TPGATE_OPS_LISTEN", addresses[2])
			env.Setenv("TPGATE_SERVER", "http://"+addresses[1])
			env.Setenv("TPGATE_DRAIN", "0s")
			env.Setenv("TPGATE_LOG_FORMAT", "text")
			env.Setenv("GORACE", "atexit_sleep_ms=0") // under -race, or every command takes a second
			return nil
		},
		Cmds:                scriptCommands(),
		UpdateScripts:       os.Getenv("UPDATE") != "",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

func scriptCommands() map[string]func(ts *testscript.TestScript, neg bool, args []string) {
	return map[string]func(ts *testscript.TestScript, neg bool, args []string){
		"ready":   func(ts *testscript.TestScript, _ bool, _ []string) { waitReady(ts, http.StatusOK) },
		"unready": func(ts *testscript.TestScript, _ bool, _ []string) { waitReady(ts, http.StatusServiceUnavailable) },
		"term":    terminate,
		"check":   checkKey,
		"take":    takeMatch,
		"probe":   probe,
		"host":    askAsHost,
		"limited": checkLimits,
		"mode":    checkMode,
	}
}

// waitReady waits until the service says on the ops listener that it is ready, or not ready.
func waitReady(ts *testscript.TestScript, want int) {
	url := "http://" + ts.Getenv("TPGATE_OPS_LISTEN") + "/readyz"
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if status, _, err := get(url, ""); err == nil && status == want {
			return
		}
	}
	ts.Fatalf("the service does not answer %d to %s", want, url)
}

// terminate sends SIGTERM to what runs in the background: the service.
func terminate(ts *testscript.TestScript, _ bool, _ []string) {
	for _, cmd := range ts.BackgroundCmds() {
		ts.Check(cmd.Process.Signal(syscall.SIGTERM))
	}
}

// checkKey FILE STATUS asks the data listener about the key in a file.
func checkKey(ts *testscript.TestScript, _ bool, args []string) {
	status, body, err := get("http://"+ts.Getenv("TPGATE_LISTEN")+"/", strings.TrimSpace(ts.ReadFile(args[0])))
	ts.Check(err)
	if strconv.Itoa(status) != args[1] {
		ts.Fatalf("the check of %s: %d %s, not %s", args[0], status, body, args[1])
	}
}

// takeMatch VARIABLE FILE PATTERN takes what the pattern's group finds.
func takeMatch(ts *testscript.TestScript, _ bool, args []string) {
	found := regexp.MustCompile(args[2]).FindStringSubmatch(ts.ReadFile(args[1]))
	if len(found) != 2 {
		ts.Fatalf("%s has no %s", args[1], args[2])
	}
	ts.Setenv(args[0], found[1])
}

// probe PATH STATUS [TEXT] asks the ops listener.
func probe(ts *testscript.TestScript, _ bool, args []string) {
	status, body, err := get("http://"+ts.Getenv("TPGATE_OPS_LISTEN")+args[0], "")
	ts.Check(err)
	if strconv.Itoa(status) != args[1] || len(args) > 2 && !strings.Contains(body, args[2]) {
		ts.Fatalf("%s: %d %s", args[0], status, body)
	}
}

// askAsHost HOST STATUS asks the management API under another name.
func askAsHost(ts *testscript.TestScript, _ bool, args []string) {
	request, err := http.NewRequest(http.MethodGet, "http://"+ts.Getenv("TPGATE_ADMIN_LISTEN")+"/v1/workspaces", nil)
	ts.Check(err)
	request.Host = args[0]
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(ts.ReadFile("tpgate-data/admin-token")))
	response, err := http.DefaultClient.Do(request)
	ts.Check(err)
	ts.Check(response.Body.Close())
	if strconv.Itoa(response.StatusCode) != args[1] {
		ts.Fatalf("as %s: %s", args[0], response.Status)
	}
}

// checkLimits PATTERN looks at the limits of what runs in the background.
func checkLimits(ts *testscript.TestScript, _ bool, args []string) {
	for _, cmd := range ts.BackgroundCmds() {
		limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", cmd.Process.Pid))
		ts.Check(err)
		if !regexp.MustCompile(args[0]).Match(limits) {
			ts.Fatalf("no %s in\n%s", args[0], limits)
		}
	}
}

// checkMode OCTAL FILE compares a file's permissions.
func checkMode(ts *testscript.TestScript, _ bool, args []string) {
	about, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if mode := fmt.Sprintf("%o", about.Mode().Perm()); mode != args[0] {
		ts.Fatalf("%s has mode %s, not %s", args[1], mode, args[0])
	}
}

func get(url, key string) (int, string, error) {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

// freeAddresses returns addresses on loopback that nobody listens on, each once. last is the last port that was looked at; ports are taken from below the range from which
// the kernel chooses those of outgoing connections.
func freeAddresses(last *atomic.Int32, n int) ([]string, error) {
	var addresses []string
	for len(addresses) < n {
		port := last.Add(1)
		if port >= 20000 {
			return nil, errors.New("no free port")
		}
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		addresses = append(addresses, ln.Addr().String())
		if err := ln.Close(); err != nil {
			return nil, err
		}
	}
	return addresses, nil
}
