package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// patience bounds every wait for a program to start.
const patience = 30 * time.Second

// process is a program that the bench started, and ends.
type process struct {
	name   string
	cmd    *exec.Cmd
	output *lockedBuffer
	ended  chan struct{}
}

// start starts a program; b.close ends it.
func (b *bench) start(path string, args ...string) (*process, error) {
	p := &process{name: filepath.Base(path), cmd: exec.Command(path, args...), output: &lockedBuffer{}, ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	p.cmd.Dir = b.dir
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // should the bench itself be killed
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", path, err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	b.processes = append(b.processes, p)
	return p, nil
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// waitFor waits until a condition holds.
func (p *process) waitFor(what string, holds func() bool) error {
	for limit := time.Now().Add(patience); time.Now().Before(limit); time.Sleep(time.Millisecond) {
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended instead of %s:\n%s", p.name, what, p.output)
		default:
		}
		if holds() {
			return nil
		}
	}
	return fmt.Errorf("%s is not %s after %s:\n%s", p.name, what, patience, p.output)
}

// waitPort waits until something accepts connections there.
func (p *process) waitPort(address string) error {
	return p.waitFor("accepting connections on "+address, func() bool {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

// cpu is the processor time that the process has taken, in user and kernel mode, to the hundredth of a second.
func (p *process) cpu() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(text, []byte(") ")) // the name before it may contain anything
	words := strings.Fields(string(rest))
	if len(words) < 13 {
		return 0
	}
	ticks := 0
	for _, word := range words[11:13] { // utime, stime: fields 14 and 15 of proc(5)
		n, _ := strconv.Atoi(word)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// memory is what the process has in memory, in bytes: now (VmRSS), or at most so far (VmHWM).
func (p *process) memory(what string) int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, what+":"); ok {
			kilobytes, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kilobytes << 10
		}
	}
	return 0
}

// cpuOf is the processor time of several processes.
func cpuOf(processes []*process) time.Duration {
	total := time.Duration(0)
	for _, p := range processes {
		total += p.cpu()
	}
	return total
}

// find returns the path of a program: one in .tools/bin or on PATH.
func find(name string) (string, error) {
	for _, path := range []string{filepath.Join(".tools", "bin", name), name, filepath.Join("/usr/sbin", name)} {
		if found, err := exec.LookPath(path); err == nil {
			return filepath.Abs(found)
		}
	}
	return "", fmt.Errorf("%s is not installed: make tools-bench", name)
}

// freeAddress returns an address on loopback that nobody listens on, from below the range of the kernel's own choices, so that no outgoing connection takes it meanwhile.
func (b *bench) freeAddress() string {
	for {
		b.port++
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(b.port))
		if ln, err := net.Listen("tcp", address); err == nil {
			_ = ln.Close()
			return address
		}
	}
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// lockedBuffer takes what a program says.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buffer.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := l.buffer.String()
	return text[max(0, len(text)-2000):]
}
