package test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait for a program to start or to stop.
const patience = 20 * time.Second

// program is one that the test started, and ends.
type program struct {
	cmd    *exec.Cmd
	output lockedBuffer
	ended  chan struct{} // closed when the program has ended
}

// start starts a program; the test's end kills it, and shows what it said if the test failed.
func start(t *testing.T, env []string, path string, args ...string) *program {
	t.Helper()
	p := &program{cmd: exec.Command(path, args...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // should the tests themselves be killed
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", path, err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(path), p.output.tail(4000))
		}
	})
	return p
}

// signal sends a signal to the program.
func (p *program) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// kill ends the program at once.
func (p *program) kill() {
	p.signal(syscall.SIGKILL)
	<-p.ended
}

// waitEnd waits until the program ends by itself, and returns its exit code.
func (p *program) waitEnd(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		t.Fatalf("%s has not ended; it said:\n%s", p.cmd.Path, p.output.tail(4000))
		return 0
	}
}

// waitPort waits until something accepts connections on an address.
func (p *program) waitPort(t *testing.T, address string) {
	t.Helper()
	p.waitFor(t, "accepting connections on "+address, func() bool {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

// waitFor waits until a condition holds, and fails the test if the program ends before.
func (p *program) waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for limit := time.Now().Add(patience); time.Now().Before(limit); time.Sleep(5 * time.Millisecond) {
		select {
		case <-p.ended:
			t.Fatalf("%s ended instead of %s:\n%s", p.cmd.Path, what, p.output.tail(4000))
		default:
		}
		if holds() {
			return
		}
	}
	t.Fatalf("%s is not %s after %s:\n%s", p.cmd.Path, what, patience, p.output.tail(4000))
}

// find returns the path of a program: one in .tools/bin or on PATH. Without it, the test is skipped, or fails where CI=true says that all of them must be there.
func find(t *testing.T, name string) string {
	t.Helper()
	for _, path := range []string{filepath.Join(root(t), ".tools", "bin", name), name, filepath.Join("/usr/sbin", name)} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	complain := t.Skipf
	if os.Getenv("CI") == "true" {
		complain = t.Fatalf
	}
	complain("%s is not installed: make tools", name)
	return ""
}

// root returns the folder of the repository.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// sourcesSeen is done once a run.
var sourcesSeen sync.Once

// dependOnSources makes go test run the tests again when the program has changed. Its cache knows the files that a test looked at, but not those that TestMain built.
func dependOnSources(t *testing.T) {
	t.Helper()
	sourcesSeen.Do(func() {
		err := filepath.WalkDir(root(t), func(path string, entry os.DirEntry, err error) error {
			if err != nil || !entry.IsDir() {
				return err
			}
			if name := entry.Name(); path != root(t) && (name[0] == '.' || name == "bin" || name == "tpgate-data" || name == "test") {
				return filepath.SkipDir
			}
			return nil // reading a folder is enough: the cache keeps the sizes and times of what is in it
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

var ports = struct {
	sync.Mutex
	taken map[int]bool
}{taken: map[int]bool{}}

// freeAddress returns an address on loopback that nobody listens on, and that no other call returns. It is taken from below the range of the kernel's own choices,
// so that no outgoing connection takes it meanwhile.
func freeAddress(t *testing.T) string {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	for port := 20000 + os.Getpid()%8000; port < 32768; port++ {
		if ports.taken[port] {
			continue
		}
		ports.taken[port] = true
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if ln, err := net.Listen("tcp", address); err == nil {
			_ = ln.Close()
			return address
		}
	}
	t.Fatal("no free port")
	return ""
}

// port returns the port of an address.
func port(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// eventually waits until try returns nil.
func eventually(within time.Duration, try func() error) error {
	var err error
	for limit := time.Now().Add(within); time.Now().Before(limit); time.Sleep(20 * time.Millisecond) {
		if err = try(); err == nil {
			return nil
		}
	}
	return fmt.Errorf("not within %s: %w", within, err)
}

// lockedBuffer takes what a program says while the test reads it.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

func (b *lockedBuffer) tail(n int) string {
	s := b.String()
	return s[max(0, len(s)-n):]
}
