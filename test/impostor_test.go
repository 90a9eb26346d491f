package test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// impostors are answers to a check that tpgate never gives: of whatever else listens at its address.
var impostors = []struct {
	name, answer string
	admits       bool // it says 200, so the request may pass; but with no identity
}{
	{"200 without identity", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true},
	{"302", "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", false},
	{"404", "HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot found", false},
	{"500 with identity", "HTTP/1.1 500 Internal Server Error\r\nX-Workspace-Id: evil\r\nContent-Length: 0\r\n\r\n", false},
	{"no HTTP", "SSH-2.0-OpenSSH_9.2\r\n", false},
	{"headers that end early", "HTTP/1.1 200 OK\r\nX-Workspace-Id: ev", false},
	{"nothing", "", false},
	{"100 and no more", "HTTP/1.1 100 Continue\r\n\r\n", false},
}

// TestImpostor lets something else answer in tpgate's place: a client's own identity does not arrive even so, and only a 200 admits.
func TestImpostor(t *testing.T) {
	for _, p := range proxies {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			gate := startImpostor(t)
			backend := startBackend(t)
			at := addresses{web: freeAddress(t), loop: freeAddress(t), gate: gate.address, backend: backend.address}
			p.launch(t, at, nil)
			for _, impostor := range impostors {
				gate.answer.Store(&impostor.answer)
				backend.take()
				o := ask(at.web, withKey("tp_any", aliases()...))
				seen := backend.take()
				if o.err != nil {
					t.Errorf("%s: %s", impostor.name, o)
				}
				for _, e := range seen {
					if err := e.identified(apiKey{}); err != nil {
						t.Errorf("%s: %v", impostor.name, err)
					}
				}
				if !impostor.admits && (len(seen) > 0 || o.status/100 == 2) {
					t.Errorf("%s: the backend got %d requests, and the client %s", impostor.name, len(seen), o)
				}
			}
		})
	}
}

// impostorGate gives the same answer to every request, and closes the connection.
type impostorGate struct {
	address string
	answer  atomic.Pointer[string]
}

func startImpostor(t *testing.T) *impostorGate {
	t.Helper()
	g := &impostorGate{address: freeAddress(t)}
	ln, err := net.Listen("tcp", g.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go g.serve(conn)
		}
	}()
	return g
}

func (g *impostorGate) serve(conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
		_, _ = io.WriteString(conn, *g.answer.Load())
	}
}
