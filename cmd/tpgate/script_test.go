package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
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
			env.Setenv("ADMIN_PORT", addresses[1][strings.LastIndex(addresses[1], ":")+1:])
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
		"appears": waitFile,
		"certify": makeCertificate,
	}
}

// waitReady waits until the service says on the ops listener that it is ready, or not ready.
func waitReady(ts *testscript.TestScript, want int) {
	url := "http://" + ts.Getenv("TPGATE_OPS_LISTEN") + "/readyz"
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if got, err := get(url, ""); err == nil && got.status == want {
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

// checkKey FILE STATUS [NAME:VALUE] asks the data listener about the key in a file, and looks at a header of the answer.
func checkKey(ts *testscript.TestScript, _ bool, args []string) {
	got, err := get("http://"+ts.Getenv("TPGATE_LISTEN")+"/", strings.TrimSpace(ts.ReadFile(args[0])))
	ts.Check(err)
	if strconv.Itoa(got.status) != args[1] {
		ts.Fatalf("the check of %s: %d %s, not %s", args[0], got.status, got.body, args[1])
	}
	if len(args) > 2 {
		name, value, _ := strings.Cut(args[2], ":")
		if have := got.header.Get(name); have != value {
			ts.Fatalf("the check of %s: %s is %q, not %q", args[0], name, have, value)
		}
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
	got, err := get("http://"+ts.Getenv("TPGATE_OPS_LISTEN")+args[0], "")
	ts.Check(err)
	if strconv.Itoa(got.status) != args[1] || len(args) > 2 && !strings.Contains(got.body, args[2]) {
		ts.Fatalf("%s: %d %s", args[0], got.status, got.body)
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

// waitFile FILE waits until there is one.
func waitFile(ts *testscript.TestScript, _ bool, args []string) {
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
			return
		}
	}
	ts.Fatalf("there is no %s", args[0])
}

// checkMode OCTAL FILE compares a file's permissions.
func checkMode(ts *testscript.TestScript, _ bool, args []string) {
	about, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if mode := fmt.Sprintf("%o", about.Mode().Perm()); mode != args[0] {
		ts.Fatalf("%s has mode %s, not %s", args[1], mode, args[0])
	}
}

// got is an answer.
type got struct {
	status int
	header http.Header
	body   string
}

func get(url, key string) (got, error) {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return got{}, err
	}
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	response, err := client.Do(request)
	if err != nil {
		return got{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if response.Close { // net/http takes the header away
		response.Header.Set("Connection", "close")
	}
	return got{response.StatusCode, response.Header, string(body)}, err
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

// makeCertificate CERT KEY NAME writes a certificate that has signed itself, for localhost and another name, and its private key.
func makeCertificate(ts *testscript.TestScript, _ bool, args []string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost", args[2]},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	ts.Check(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
}
