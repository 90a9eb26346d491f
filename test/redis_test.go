package test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// redisServer is a redis-server with its own directory, which keeps what it has over a restart.
type redisServer struct {
	t       *testing.T
	path    string
	dir     string
	address string
	program *program
}

func startRedis(t *testing.T) *redisServer {
	t.Helper()
	r := &redisServer{t: t, path: find(t, "redis-server"), dir: t.TempDir(), address: freeAddress(t)}
	r.restart()
	return r
}

// restart starts the server again on the same address with the same data.
func (r *redisServer) restart() {
	r.t.Helper()
	r.program = start(r.t, nil, r.path, "--port", port(r.address), "--bind", "127.0.0.1", "--dir", r.dir,
		"--appendonly", "yes", "--appendfsync", "always", "--save", "", "--maxmemory-policy", "noeviction")
	r.program.waitFor(r.t, "answering PING", func() bool { answer, err := r.command("PING"); return err == nil && answer == "+PONG" })
}

// crash kills the server.
func (r *redisServer) crash() { r.program.kill() }

// hang makes the server keep its connections and answer nothing, until resume.
func (r *redisServer) hang()   { r.program.signal(syscall.SIGSTOP) }
func (r *redisServer) resume() { r.program.signal(syscall.SIGCONT) }

func (r *redisServer) url() string { return "redis://" + r.address }

// command sends one inline command and returns the first line of the reply.
func (r *redisServer) command(line string) (string, error) {
	conn, err := net.DialTimeout("tcp", r.address, time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	fmt.Fprintf(conn, "%s\r\n", line)
	reply, err := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSpace(reply), err
}
