package test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// readTimeout is how long the data listener waits for the rest of a request's headers, and atOnce what is certainly not waiting.
const (
	readTimeout = 2 * time.Second
	atOnce      = 1500 * time.Millisecond
)

// site is an instance with two live keys of the workspaces alpha and beta.
type site struct {
	gate        *gate
	alpha, beta apiKey
}

func newSite(t *testing.T) *site {
	t.Helper()
	g := startGate(t, "--key-limit", "off")
	return &site{gate: g, alpha: g.mustKey("alpha", nil), beta: g.mustKey("beta", nil)}
}

// fill puts the keys and addresses into a request.
func (s *site) fill(request string) string {
	return strings.NewReplacer("{K}", s.alpha.Secret, "{L}", s.beta.Secret, "{H}", "Host: h\r\n", "{A}", s.gate.admin).Replace(request)
}

// dial opens a connection that ends with the test.
func (s *site) dial(t *testing.T) (*net.TCPConn, *bufio.Reader) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", s.gate.data, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	return conn.(*net.TCPConn), bufio.NewReader(conn)
}

// TestBadInput sends each line of the table alone, and followed at once by a good request with another key: its answer must be that key's own, or none.
func TestBadInput(t *testing.T) {
	s := newSite(t)
	for group, inputs := range badInputs {
		for _, input := range inputs {
			t.Run(group+"/"+input.name, func(t *testing.T) {
				t.Parallel()
				s.sendAlone(t, input)
				s.sendFollowed(t, input)
			})
		}
	}
}

func (s *site) sendAlone(t *testing.T, input badInput) {
	t.Helper()
	conn, reader := s.dial(t)
	sent := time.Now()
	_, _ = io.WriteString(conn, s.fill(input.request)) // an answer may come before all is sent
	s.expect(t, reader, input)
	if took := time.Since(sent); took > atOnce {
		t.Errorf("the answer took %s", took)
	}
	if input.ends {
		if rest, err := reader.ReadByte(); err == nil {
			t.Errorf("after the answer comes more: %q", rest)
		} else if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
			t.Error("the connection does not end")
		}
	}
}

func (s *site) sendFollowed(t *testing.T, input badInput) {
	t.Helper()
	conn, reader := s.dial(t)
	_, _ = io.WriteString(conn, s.fill(input.request+bare(other)))
	s.expect(t, reader, input)
	second, err := readAnswer(reader)
	switch {
	case err == nil && input.ends:
		t.Errorf("what follows was answered: %d, workspace %q", second.status, second.workspace)
	case err == nil && (second.status != http.StatusOK || second.workspace != "beta"):
		t.Errorf("the request that follows was answered %d, workspace %q", second.status, second.workspace)
	case err != nil && !input.ends && input.status == http.StatusOK:
		t.Errorf("the request that follows was not answered: %v", err)
	}
}

// expect reads the answer to an input.
func (s *site) expect(t *testing.T, reader *bufio.Reader, input badInput) {
	t.Helper()
	got, err := readAnswer(reader)
	if err != nil || got.status != input.status || got.status == http.StatusOK && got.workspace != "alpha" {
		t.Errorf("answered %d %s, workspace %q, %v: it must be %d", got.status, got.name, got.workspace, err, input.status)
	}
	if input.ends && !got.closes {
		t.Error("the answer does not say that the connection ends")
	}
}

// TestSilence sends what is no whole request: nobody may hold a connection longer than the read timeout with it, and none of it is answered with 200.
func TestSilence(t *testing.T) {
	s := newSite(t)
	for _, test := range []struct {
		name, request string
		pause         time.Duration // between bytes
	}{
		{"nothing", "", 0},
		{"a request without its end", "GET / HTTP/1.1\r\n{H}Authorization: Bearer {K}\r\n", 0},
		{"lines ended by LF alone", "GET / HTTP/1.1\nHost: h\nAuthorization: Bearer {K}\n\n", 0},
		{"a greeting of TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 0},
		{"a byte every 50 ms", with(strings.Repeat("X: y\r\n", 20)), 50 * time.Millisecond},
		{"a preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			conn, reader := s.dial(t)
			go trickle(conn, s.fill(test.request), test.pause)
			opened := time.Now()
			answers, err := io.ReadAll(reader)
			if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() || time.Since(opened) > 2*readTimeout {
				t.Errorf("the connection was open for %s", time.Since(opened))
			}
			if strings.HasPrefix(string(answers), "HTTP/1.1 2") {
				t.Errorf("answered %q", answers)
			}
		})
	}
}

// trickle writes text byte by byte, or at once.
func trickle(conn io.Writer, text string, pause time.Duration) {
	if pause == 0 {
		_, _ = io.WriteString(conn, text)
		return
	}
	for i := range len(text) {
		if _, err := io.WriteString(conn, text[i:i+1]); err != nil {
			return
		}
		time.Sleep(pause)
	}
}

// TestLargeHeaders moves the end of a request over every limit of a buffer: a key that is cut off is no key.
func TestLargeHeaders(t *testing.T) {
	s := newSite(t)
	for _, size := range []int{4096, 8192, 16384, 65536} {
		for length := size - 80; length <= size+4; length++ {
			conn, reader := s.dial(t)
			line := "X: " + strings.Repeat("y", length-len(s.fill(bare("X: \r\n"+inFull)))) + "\r\n"
			_, _ = io.WriteString(conn, s.fill(bare(line+inFull)))
			got, err := readAnswer(reader)
			if err != nil || length < size-8 && got.status != 200 || got.status == 200 && got.workspace != "alpha" || got.status != 200 && got.status != 431 {
				t.Errorf("%d bytes were answered %d, %v", length, got.status, err)
			}
			_ = conn.Close()
		}
	}
	for _, lines := range []string{strings.Repeat("X-Filler: y\r\n", 200), "X: " + strings.Repeat("y", 5000) + "\r\n"} {
		s.sendFollowed(t, badInput{request: with(lines), status: 200})
		s.sendFollowed(t, badInput{request: bare(lines), status: 401})
	}
}

// TestPipeline sends 1,000 requests at once, with keys of two workspaces and none in turn: the answers come in order, each with its own identity.
func TestPipeline(t *testing.T) {
	s := newSite(t)
	conn, reader := s.dial(t)
	go func() {
		_, _ = io.WriteString(conn, strings.Repeat(s.fill(bare(inFull)+bare(other)+bare("")+bare(other)), 250))
	}()
	for i := range 1000 {
		want := []answer{{status: 200, workspace: "alpha"}, {status: 200, workspace: "beta"}, {status: 401}, {status: 200, workspace: "beta"}}[i%4]
		if got, err := readAnswer(reader); err != nil || got.status != want.status || got.workspace != want.workspace {
			t.Fatalf("request %d was answered %d, workspace %q, %v", i, got.status, got.workspace, err)
		}
	}
}

// TestMethods sends a thousand methods that nobody knows: each is a check, and none leaves a trace in the metrics.
func TestMethods(t *testing.T) {
	s := newSite(t)
	conn, reader := s.dial(t)
	before := s.series(t)
	for i := range 1000 {
		method := fmt.Sprintf("M%dX", i*7919)
		_, _ = io.WriteString(conn, s.fill(method+" /"+method+" HTTP/1.1\r\n{H}\r\n"))
		if got, err := readAnswer(reader); err != nil || got.status != http.StatusUnauthorized {
			t.Fatalf("%s was answered %d, %v", method, got.status, err)
		}
	}
	if after := s.series(t); after > before {
		t.Errorf("the metrics have grown from %d lines to %d", before, after)
	}
}

// series returns how many lines the metrics have.
func (s *site) series(t *testing.T) int {
	t.Helper()
	response, err := http.Get("http://" + s.gate.ops + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(text), "\n")
}

// TestUploads sends bodies that are really there: each is answered at once, whatever of it was sent, and nothing of it is kept.
func TestUploads(t *testing.T) {
	s := newSite(t)
	body := strings.Repeat("x", 5_000_000)
	for range 20 {
		conn, reader := s.dial(t)
		go func() { _, _ = io.WriteString(conn, s.fill(post+"Content-Length: 5000000\r\n\r\n")+body) }()
		s.expect(t, reader, badInput{status: 200, ends: true})
		_ = conn.Close()
	}
	if used := s.gate.program.memory(t, "VmRSS"); used > 60<<20 {
		t.Errorf("tpgate uses %d MB after 100 MB of uploads", used>>20)
	}
}

// TestUploadsOfClients sends bodies and headers that are too large as an HTTP client does, which reports a connection that is reset under its hands: every answer must arrive.
func TestUploadsOfClients(t *testing.T) {
	s := newSite(t)
	for _, test := range []struct{ body, header, want int }{{1 << 20, 0, 200}, {10 << 20, 0, 200}, {0, 500_000, 431}} {
		for range 20 {
			request, _ := http.NewRequest(http.MethodPost, "http://"+s.gate.data, strings.NewReader(strings.Repeat("x", test.body)))
			request.Header.Set("Authorization", "Bearer "+s.alpha.Secret)
			request.Header.Set("X", strings.Repeat("y", test.header))
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Errorf("%d bytes of body, %d of headers: %v", test.body, test.header, err)
				continue
			}
			_ = response.Body.Close()
			if response.StatusCode != test.want {
				t.Errorf("%d bytes of body, %d of headers: answered %d", test.body, test.header, response.StatusCode)
			}
		}
	}
}

// TestBrokenConnections ends connections in the two ways that are not polite.
func TestBrokenConnections(t *testing.T) {
	s := newSite(t)
	for range 100 {
		conn, _ := s.dial(t)
		_, _ = io.WriteString(conn, s.fill(bare(inFull)))
		_ = conn.SetLinger(0) // RST
		_ = conn.Close()
	}
	conn, reader := s.dial(t)
	_, _ = io.WriteString(conn, s.fill(bare(inFull)+bare(other)))
	_ = conn.CloseWrite()
	for _, workspace := range []string{"alpha", "beta"} {
		if got, err := readAnswer(reader); err != nil || got.workspace != workspace {
			t.Errorf("after a half-close: answered %d, workspace %q, %v: it must be %s's", got.status, got.workspace, err, workspace)
		}
	}
}
