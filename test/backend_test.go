package test

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// echo is what the backend says of a request that reached it.
type echo struct {
	Method string      `json:"method"`
	URI    string      `json:"uri"`
	Header http.Header `json:"header"`
	Body   int64       `json:"body"` // bytes
}

// backend is the service behind the proxies. It answers 200 with an echo as JSON; /status/N answers N, /sse streams events, /sse/close the same without chunks, /ws is a WebSocket that sends frames back.
type backend struct {
	address string
	mu      sync.Mutex
	seen    []echo
}

func startBackend(t *testing.T) *backend {
	t.Helper()
	b := &backend{address: freeAddress(t)}
	ln, err := net.Listen("tcp", b.address)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: b, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(func() { _ = server.Close() })
	return b
}

// take returns the requests that arrived since the last take.
func (b *backend) take() []echo {
	b.mu.Lock()
	defer b.mu.Unlock()
	seen := b.seen
	b.seen = nil
	return seen
}

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n, _ := io.Copy(io.Discard, r.Body)
	e := echo{Method: r.Method, URI: r.RequestURI, Header: r.Header.Clone(), Body: n}
	for name, values := range r.Trailer { // some servers add trailers to the headers
		for _, value := range values {
			e.Header.Add(name, value)
		}
	}
	e.Header.Set("Host", r.Host)
	b.mu.Lock()
	b.seen = append(b.seen, e)
	b.mu.Unlock()
	switch path := r.URL.Path; {
	case strings.HasPrefix(path, "/status/"):
		status, _ := strconv.Atoi(strings.TrimPrefix(path, "/status/"))
		w.Header().Set("WWW-Authenticate", "Backend")
		w.Header().Set("Retry-After", "77")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "the backend's own")
	case path == "/sse":
		streamEvents(w, r)
	case path == "/sse/close":
		streamUntilClose(w)
	case path == "/ws":
		echoFrames(w, r)
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(e)
	}
}

// streamEvents sends one event at once and holds the stream until the client is gone.
func streamEvents(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(w, "data: first\n\n")
	_ = http.NewResponseController(w).Flush()
	select {
	case <-r.Context().Done():
	case <-time.After(time.Minute):
	}
}

// streamUntilClose is streamEvents as servers do it that end a body by closing the connection.
func streamUntilClose(w http.ResponseWriter) {
	conn, stream, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: first\n\n")
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	_, _ = stream.ReadByte() // until the proxy is gone
}

// echoFrames accepts a WebSocket (RFC 6455) and sends back the text of one short frame.
func echoFrames(w http.ResponseWriter, r *http.Request) {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		http.Error(w, "no upgrade", http.StatusBadRequest)
		return
	}
	conn, stream, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "+acceptance101(r.Header.Get("Sec-WebSocket-Key"))+"\r\n\r\n")
	text, err := readFrame(stream.Reader)
	if err == nil {
		_, _ = conn.Write(append([]byte{0x81, byte(len(text))}, text...))
	}
}

// acceptance101 proves that a WebSocket's handshake was read (RFC 6455, section 1.3).
func acceptance101(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// readFrame reads a text frame of less than 126 bytes, masked or not.
func readFrame(r *bufio.Reader) ([]byte, error) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	mask := make([]byte, 4)
	if head[1]&0x80 != 0 {
		if _, err := io.ReadFull(r, mask); err != nil {
			return nil, err
		}
	}
	text := make([]byte, head[1]&0x7f)
	if _, err := io.ReadFull(r, text); err != nil {
		return nil, err
	}
	for i := range text {
		text[i] ^= mask[i%4]
	}
	return text, nil
}

// maskedFrame is a text frame as clients send it.
func maskedFrame(text string) []byte {
	mask := []byte{1, 2, 3, 4}
	frame := append([]byte{0x81, 0x80 | byte(len(text))}, mask...)
	for i := range len(text) {
		frame = append(frame, text[i]^mask[i%4])
	}
	return frame
}
