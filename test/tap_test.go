package test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// call is one request that a proxy sent to tpgate.
type call struct {
	Method, URI string
	Header      http.Header
	Body        int64 // bytes
}

// tap passes bytes between a proxy and tpgate unchanged, and writes down the requests. A request is written down before tpgate gets it.
type tap struct {
	t        *testing.T
	address  string
	target   string
	mu       sync.Mutex
	calls    []*call
	opened   int // connections
	conns    map[net.Conn]bool
	listener net.Listener
	hanging  bool // takes requests and passes nothing on
}

func startTap(t *testing.T, target string) *tap {
	t.Helper()
	p := &tap{t: t, address: freeAddress(t), target: target, conns: map[net.Conn]bool{}}
	p.open()
	t.Cleanup(p.close)
	return p
}

// open accepts connections, again after close.
func (p *tap) open() {
	p.t.Helper()
	ln, err := net.Listen("tcp", p.address)
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	p.listener = ln
	p.mu.Unlock()
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go p.pass(conn)
		}
	}()
}

// close refuses connections and ends those that are open, as a machine does whose tpgate has died.
func (p *tap) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.listener.Close()
	for conn := range p.conns {
		_ = conn.Close()
	}
}

// hang makes tpgate seem to hang, or not any more; open connections end, so that no request is stuck in one.
func (p *tap) hang(hanging bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hanging = hanging
	for conn := range p.conns {
		_ = conn.Close()
	}
}

// take returns the calls since the last take.
func (p *tap) take() []*call {
	p.mu.Lock()
	defer p.mu.Unlock()
	calls := p.calls
	p.calls = nil
	return calls
}

// connections returns how many connections proxies have opened so far.
func (p *tap) connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.opened
}

// hold keeps a connection for close.
func (p *tap) hold(conn net.Conn) (release func(), hanging bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[conn] = true
	p.opened++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, conn)
		_ = conn.Close()
	}, p.hanging
}

// pass serves one connection of a proxy.
func (p *tap) pass(client net.Conn) {
	release, hanging := p.hold(client)
	defer release()
	if hanging {
		_, _ = io.Copy(io.Discard, client)
		return
	}
	server, err := net.DialTimeout("tcp", p.target, time.Second)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
	}()
	p.copyRequests(client, server)
}

// copyRequests copies what comes from a proxy, request by request.
func (p *tap) copyRequests(client io.Reader, server io.Writer) {
	var raw bytes.Buffer
	reader := bufio.NewReader(io.TeeReader(client, &raw))
	for {
		request, err := http.ReadRequest(reader)
		if err != nil {
			if !errors.Is(err, io.EOF) && raw.Len() > 0 {
				p.note(&call{Method: "UNREADABLE", URI: err.Error(), Header: http.Header{}})
			}
			_, _ = raw.WriteTo(server)
			_, _ = io.Copy(server, client)
			return
		}
		seen := &call{Method: request.Method, URI: request.RequestURI, Header: request.Header}
		seen.Header.Set("Host", request.Host)
		p.note(seen)
		if _, err := raw.WriteTo(server); err != nil {
			return
		}
		for chunk := make([]byte, 32<<10); ; {
			n, err := request.Body.Read(chunk)
			p.mu.Lock()
			seen.Body += int64(n)
			p.mu.Unlock()
			if _, broken := raw.WriteTo(server); broken != nil {
				return
			}
			if err != nil {
				break
			}
		}
	}
}

func (p *tap) note(c *call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, c)
}
