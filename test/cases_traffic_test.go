package test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// trafficCases: all that HTTP clients do works through the proxy, and bodies never go to the service.
var trafficCases = []acceptance{
	{"09", "10 MB POST: not a byte of it to tpgate", nil, func(s *stack) error {
		return s.upload(question{lines: []string{"Content-Length: 10485760"}, body: strings.Repeat("x", 10<<20)}, 10<<20)
	}},
	{"10", "chunked POST", nil, func(s *stack) error {
		return s.upload(question{lines: []string{"Transfer-Encoding: chunked"}, body: "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"}, 11)
	}},
	{"11", "Expect: 100-continue, client waits", nil, expectContinue},
	{"12", "Expect: 100-continue, client does not wait", nil, func(s *stack) error {
		return s.upload(question{lines: []string{"Expect: 100-continue", "Content-Length: 5"}, body: "hello"}, 5)
	}},
	{"13", "OPTIONS without a key: 401", nil, func(s *stack) error { return s.deniedOnce(question{method: "OPTIONS"}, missingKey) }},
	{"14", "WebSocket", nil, webSocket},
	{"15", "server-sent events arrive at once", nil, serverSentEvents},
	{"31", "HTTP/2 clients", nil, http2Clients},
	{"32", "keep-alive, to the client and to tpgate", nil, keepAlive},
	{"38", "no upgrade but that to a WebSocket is passed on", nil, otherUpgrades},
}

// upload posts a body of n bytes: all of it for the backend, none of it and no trace of it for tpgate.
func (s *stack) upload(q question, n int64) error {
	q.method, q.key = "POST", s.good.Secret
	o := s.ask(q)
	if err := o.allowed(s.good); err != nil {
		return err
	}
	if o.seen[0].Method != "POST" || o.seen[0].Body != n {
		return fmt.Errorf("the backend got %s with %d bytes, want POST with %d", o.seen[0].Method, o.seen[0].Body, n)
	}
	return o.bodyless()
}

// bodyless returns an error unless tpgate was asked once, without a body.
func (o outcome) bodyless() error {
	if err := o.asked(1); err != nil {
		return err
	}
	got := o.calls[0]
	length := got.Header.Get("Content-Length")
	if got.Body != 0 || length != "" && length != "0" || got.Header.Get("Expect") != "" || got.Header.Get("Upgrade") != "" {
		return fmt.Errorf("tpgate was sent a body of %d bytes, or its promise: %v", got.Body, got.Header)
	}
	return nil
}

// dial opens a connection to the proxy, with a deadline for all of it.
func (s *stack) dial() (net.Conn, *bufio.Reader, error) {
	conn, err := net.DialTimeout("tcp", s.address, 2*time.Second)
	if err != nil {
		return nil, nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	return conn, bufio.NewReader(conn), nil
}

func expectContinue(s *stack) error {
	s.tap.take()
	s.backend.take()
	conn, reader, err := s.dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	q := question{method: "POST", key: s.good.Secret, lines: []string{"Expect: 100-continue", "Content-Length: 5"}}
	_, _ = io.WriteString(conn, q.text())
	interim, err := http.ReadResponse(reader, nil)
	if err != nil || interim.StatusCode != http.StatusContinue {
		return fmt.Errorf("no 100 Continue: %v, %v", interim, err)
	}
	_, _ = io.WriteString(conn, "hello")
	o := read(reader, "POST")
	o.calls, o.seen = s.tap.take(), s.backend.take()
	if err := o.allowed(s.good); err != nil {
		return err
	}
	if o.seen[0].Body != 5 {
		return fmt.Errorf("the backend got %d bytes, want 5", o.seen[0].Body)
	}
	return o.bodyless()
}

func webSocket(s *stack) error {
	const nonce = "dGhlIHNhbXBsZSBub25jZQ=="
	upgrade := []string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + nonce}
	if err := s.ask(question{path: "/ws", lines: upgrade}).denied(missingKey); err != nil {
		return err
	}
	s.tap.take()
	s.backend.take()
	conn, reader, err := s.dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, question{path: "/ws", key: s.good.Secret, lines: upgrade}.text())
	o := read(reader, "GET")
	if o.status != http.StatusSwitchingProtocols || o.header.Get("Sec-WebSocket-Accept") != acceptance101(nonce) {
		return fmt.Errorf("want 101, got %s", o)
	}
	_, _ = conn.Write(maskedFrame("through the proxy"))
	if text, err := readFrame(reader); err != nil || string(text) != "through the proxy" {
		return fmt.Errorf("the frame came back as %q, %v", text, err)
	}
	o.calls, o.seen = s.tap.take(), s.backend.take()
	if len(o.seen) != 1 {
		return fmt.Errorf("the backend got %d requests", len(o.seen))
	}
	if err := o.seen[0].identified(s.good); err != nil {
		return err
	}
	return o.bodyless()
}

// otherUpgrades asks for a tunnel in which requests would pass unchecked, such as HTTP/2 in clear text (RFC 7540, section 3.2; RFC 9113 has it no longer). It may be refused or not be heard (RFC 9110, section 7.8).
func otherUpgrades(s *stack) error {
	const h2c = "Upgrade: h2c"
	for _, upgrade := range [][]string{
		{h2c}, {"Upgrade: H2C"}, {"Upgrade: h2c, websocket"}, {"Upgrade: websocket, h2c"}, {h2c, "Upgrade: websocket"}, {"Upgrade: websocket", h2c},
		{"Upgrade: TLS/1.2"}, {"Upgrade: connect-udp"}, {"Upgrade: websocket/h2c"}, {"Upgrade: websocket2"}, {"Upgrade: HTTP/2.0"},
	} {
		for _, path := range []string{"/v1/things", "/public"} {
			lines := slices.Concat([]string{"Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAAQAAP__"}, upgrade)
			o := s.ask(question{path: path, key: s.good.Secret, lines: lines})
			if o.status == http.StatusSwitchingProtocols {
				return fmt.Errorf("%s, %q: %s", path, upgrade, o)
			}
			for _, seen := range o.seen {
				if got := seen.Header["Upgrade"]; len(got) > 1 || len(got) == 1 && got[0] != "websocket" {
					return fmt.Errorf("%s, %q: the backend was asked for %q", path, upgrade, got)
				}
			}
			if upgrade[0] == h2c && len(upgrade) == 1 && o.status != http.StatusOK { // as curl --http2 asks
				return fmt.Errorf("%s, %q: not served without the upgrade, but %s", path, upgrade, o)
			}
		}
	}
	return nil
}

func serverSentEvents(s *stack) error {
	for _, path := range []string{"/sse", "/sse/close"} {
		if err := s.firstEvent(path); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// firstEvent wants the first event of a stream that goes on.
func (s *stack) firstEvent(path string) error {
	conn, reader, err := s.dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(3 * time.Second))
	_, _ = io.WriteString(conn, question{path: path, key: s.good.Secret}.text())
	response, err := http.ReadResponse(reader, nil)
	if err != nil || response.StatusCode != http.StatusOK {
		return fmt.Errorf("want 200, got %v, %v", response, err)
	}
	if line, err := bufio.NewReader(response.Body).ReadString('\n'); err != nil || line != "data: first\n" {
		return fmt.Errorf("the first event is %q, %v", line, err)
	}
	return nil
}

// http2Clients asks over HTTP/2 in clear text, with prior knowledge.
func http2Clients(s *stack) error {
	address := s.address
	if s.proxy.h2 != nil {
		at := s.addresses(freeAddress(s.t))
		s.proxy.launch(s.t, at, s.proxy.h2(at))
		address = at.web
	}
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	get := func(key string) outcome {
		s.tap.take()
		s.backend.take()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		request, _ := http.NewRequestWithContext(ctx, "GET", "http://"+address+"/v1/things", nil)
		request.Header["X-Workspace-Id"], request.Header["X_workspace_id"] = []string{"evil"}, []string{"evil"}
		if key != "" {
			request.Header.Set("Authorization", "Bearer "+key)
		}
		response, err := transport.RoundTrip(request)
		if err != nil {
			return outcome{err: err}
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if response.ProtoMajor != 2 {
			err = fmt.Errorf("answered with %s", response.Proto)
		}
		return outcome{err: err, status: response.StatusCode, header: response.Header, body: string(body), calls: s.tap.take(), seen: s.backend.take()}
	}
	if err := get(s.good.Secret).allowed(s.good); err != nil {
		return err
	}
	return get("").denied(missingKey)
}

// keepAlive asks with several keys on one connection: every answer is that key's own. And the proxy keeps its own connections to tpgate.
func keepAlive(s *stack) error {
	other := s.gate.mustKey("other", nil)
	conn, reader, err := s.dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	before := s.tap.connections()
	for i := range 24 {
		s.backend.take()
		key := []apiKey{s.good, other, {}}[i%3]
		if _, err := io.WriteString(conn, question{key: key.Secret}.text()); err != nil {
			return err
		}
		o := read(reader, "GET")
		o.seen = s.backend.take()
		if key.ID == "" {
			err = o.denied(missingKey)
		} else {
			err = o.allowed(key)
		}
		if err != nil {
			return fmt.Errorf("request %d of the connection: %w", i+1, err)
		}
	}
	if opened := s.tap.connections() - before; opened > 4 {
		return fmt.Errorf("the proxy opened %d connections to tpgate for 24 checks", opened)
	}
	return nil
}
