package authz

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tpgate/limiter"
	"tpgate/store"
)

// gate is a server on a real listener with a real store.
type gate struct {
	t        testing.TB
	store    *store.Embedded
	tokens   store.Tokens
	registry *prometheus.Registry
	server   *Server
	address  string
}

// newGate starts a server whose keys have no limits of their own. change (nil: none) may change its configuration.
func newGate(t testing.TB, change func(*Config)) *gate {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	keys, err := store.OpenEmbedded(store.EmbeddedConfig{
		Dir: t.TempDir(), Defaults: store.Defaults{KeyLimit: limiter.Off, WorkspaceLimit: limiter.Off},
		Metrics: store.NewMetrics(prometheus.NewRegistry()), Logger: logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := keys.Close(); err != nil {
			t.Error(err)
		}
	})
	tokens, err := store.NewTokens("tp_")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{t: t, store: keys, tokens: tokens, registry: prometheus.NewRegistry()}
	config := Config{Verifier: keys, Upgrader: keys, Tokens: tokens, WorkspaceHeader: "X-Workspace-Id", Timeout: time.Second, Metrics: NewMetrics(g.registry), Logger: logger}
	if change != nil {
		change(&config)
	}
	if g.server, err = NewServer(config); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g.address = ln.Addr().String()
	ended := make(chan error, 1)
	go func() { ended <- g.server.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := g.server.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return g
}

// key makes a key of this workspace and returns it with its secret. change (nil: none) may change it first.
func (g *gate) key(workspace string, change func(*store.Key)) (store.Key, string) {
	g.t.Helper()
	secret := g.tokens.New()
	key := store.Key{ID: store.NewID(), Workspace: workspace, Name: "ci", Hint: g.tokens.Hint(secret), Digest: g.tokens.DigestOf(secret), CreatedAt: time.Now()}
	if change != nil {
		change(&key)
	}
	key, err := g.store.Create(g.t.Context(), key)
	if err != nil {
		g.t.Fatal(err)
	}
	return key, secret
}

func (g *gate) suspend(workspace string) {
	g.t.Helper()
	_, err := g.store.UpdateWorkspace(g.t.Context(), workspace, func(w *store.Workspace) error { w.Suspended = true; return nil })
	if err != nil {
		g.t.Fatal(err)
	}
}

// decisions returns what the metrics have counted, by verdict.
func (g *gate) decisions() map[string]float64 {
	g.t.Helper()
	families, err := g.registry.Gather()
	if err != nil {
		g.t.Fatal(err)
	}
	counts := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			labels := metric.GetLabel()
			if family.GetName() == "tpgate_decisions_total" && len(labels) == 2 && labels[0].GetValue() == "http" {
				counts[labels[1].GetValue()] = metric.GetCounter().GetValue()
			}
			if family.GetName() == "tpgate_inflight_checks" && metric.GetGauge().GetValue() != 0 {
				g.t.Errorf("%g checks are still under way", metric.GetGauge().GetValue())
			}
		}
	}
	return counts
}

// reply is an answer as it stood on the wire.
type reply struct {
	status  int
	headers []string // "Name: value", sorted
	body    string
}

// header returns the value of a header in exactly this spelling, and how often it is there.
func (r reply) header(name string) (value string, n int) {
	for _, line := range r.headers {
		if rest, ok := strings.CutPrefix(line, name+": "); ok {
			value = rest
			n++
		}
	}
	return value, n
}

// conn is a connection to a gate.
type conn struct {
	net.Conn
	t      testing.TB
	reader *bufio.Reader
}

func (g *gate) dial() *conn {
	g.t.Helper()
	c, err := net.Dial("tcp", g.address)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return &conn{c, g.t, bufio.NewReader(c)}
}

func (c *conn) send(raw string) {
	c.t.Helper()
	if _, err := io.WriteString(c, raw); err != nil {
		c.t.Fatal(err)
	}
}

// receive reads one answer. hasBody is false for one to HEAD.
func (c *conn) receive(hasBody bool) reply {
	c.t.Helper()
	var r reply
	length := 0
	for {
		line, err := c.reader.ReadString('\n')
		if err != nil {
			c.t.Fatalf("%q after %+v: %v", line, r, err)
		}
		line, ok := strings.CutSuffix(line, "\r\n")
		switch {
		case !ok:
			c.t.Fatalf("a line ends without CR: %q", line)
		case line == "":
			slices.Sort(r.headers)
			if hasBody {
				body := make([]byte, length)
				if _, err := io.ReadFull(c.reader, body); err != nil {
					c.t.Fatal(err)
				}
				r.body = string(body)
			}
			return r
		case r.status == 0:
			if !strings.HasPrefix(line, "HTTP/1.1 ") || len(line) < 12 {
				c.t.Fatalf("status line %q", line)
			}
			r.status, _ = strconv.Atoi(line[9:12])
		default:
			r.headers = append(r.headers, line)
			if text, ok := strings.CutPrefix(line, "Content-Length: "); ok {
				length, _ = strconv.Atoi(text)
			}
		}
	}
}

// closed reports whether the server has closed the connection, with nothing more to read.
func (c *conn) closed() bool {
	_ = c.SetReadDeadline(time.Now().Add(3 * time.Second))
	_, err := c.reader.ReadByte()
	return err == io.EOF
}

// ask sends one request on a connection of its own and returns the answer.
func (g *gate) ask(request string) reply {
	g.t.Helper()
	c := g.dial()
	c.send(request)
	defer c.Close()
	return c.receive(!strings.HasPrefix(request, "HEAD "))
}

// get is a request with these header lines.
func get(path string, lines ...string) string {
	return request("GET", path, lines...)
}

func request(method, path string, lines ...string) string {
	return method + " " + path + " HTTP/1.1\r\nHost: h\r\n" + strings.Join(append(lines, ""), "\r\n") + "\r\n"
}

func bearerLine(secret string) string { return "Authorization: Bearer " + secret }
