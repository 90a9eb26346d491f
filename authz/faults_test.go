package authz

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"tpgate/store"
)

// faulty is a store at fault: it answers as no store may.
type faulty func(digest store.Digest, deadline time.Time) store.Decision

func (f faulty) Verify(digest store.Digest, deadline time.Time) store.Decision {
	return f(digest, deadline)
}

func deciding(d store.Decision) faulty {
	return func(store.Digest, time.Time) store.Decision { return d }
}

// TestFaultyStores holds that nothing but a proven identity passes, and that the process lives on.
func TestFaultyStores(t *testing.T) {
	for name, verifier := range map[string]faulty{
		"zero decision":       deciding(store.Decision{}),
		"unavailable":         deciding(store.Decision{Err: errors.New("redis is away")}),
		"unavailable with id": deciding(store.Decision{Verdict: store.Unavailable, Workspace: "acme", KeyID: "1"}),
		"allowed, nobody":     deciding(store.Decision{Verdict: store.Allowed}),
		"allowed, no key":     deciding(store.Decision{Verdict: store.Allowed, Workspace: "acme"}),
		"allowed, no owner":   deciding(store.Decision{Verdict: store.Allowed, KeyID: "1"}),
		"allowed, CRLF":       deciding(store.Decision{Verdict: store.Allowed, Workspace: "a\r\nX-Evil: 1", KeyID: "1"}),
		"allowed, NUL":        deciding(store.Decision{Verdict: store.Allowed, Workspace: "acme", KeyID: "1\x00"}),
		"allowed, comma":      deciding(store.Decision{Verdict: store.Allowed, Workspace: "a,b", KeyID: "1"}),
		"allowed, 65":         deciding(store.Decision{Verdict: store.Allowed, Workspace: strings.Repeat("a", 65), KeyID: "1"}),
		"unknown verdict":     deciding(store.Decision{Verdict: 200, Workspace: "acme", KeyID: "1"}),
		"panic":               func(store.Digest, time.Time) store.Decision { panic("nil map") },
		"nil pointer":         func(store.Digest, time.Time) store.Decision { var d *store.Decision; return *d },
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			g := newGate(t, func(c *Config) { c.Verifier, c.Logger = verifier, slog.New(slog.NewJSONHandler(&log, nil)) })
			secret := g.tokens.New()
			c := g.dial()
			for range 3 { // on one connection
				for _, path := range []string{"/", "/nginx"} {
					c.send(get(path, bearerLine(secret)))
					got := c.receive(true)
					_, workspaces := got.header("X-Workspace-Id")
					_, keys := got.header("X-Api-Key-Id")
					_, servers := got.header("Server")
					_, evil := got.header("X-Evil")
					retry, _ := got.header("Retry-After")
					repeated, _ := got.header("X-Auth-Body")
					if got.status != 503 || got.body != bodyUnavailable || workspaces+keys+servers+evil != 0 || retry != "1" || (repeated == bodyUnavailable) != (path == "/nginx") {
						t.Errorf("%+v", got)
					}
				}
				c.send(get("/"))
				if got := c.receive(true); got.status != 401 {
					t.Errorf("the next check: %+v", got)
				}
			}
			if strings.Contains(log.String(), secret) {
				t.Error("the log has the key")
			}
			want := map[string]float64{"allowed": 0, "expired": 0, "invalid": 0, "limited": 0, "missing": 3, "suspended": 0, "unavailable": 6}
			if got := g.decisions(); !maps.Equal(got, want) {
				t.Errorf("metrics %v, want %v", got, want)
			}
		})
	}
}

func TestTheStoreGetsTheDeadline(t *testing.T) {
	var deadline time.Time
	g := newGate(t, func(c *Config) {
		c.Timeout = 150 * time.Millisecond
		c.Verifier = faulty(func(_ store.Digest, d time.Time) store.Decision { deadline = d; return store.Decision{} })
	})
	start := time.Now()
	g.ask(get("/", bearerLine(g.tokens.New())))
	if after := deadline.Sub(start); after < 150*time.Millisecond || after > time.Since(start)+150*time.Millisecond {
		t.Errorf("the deadline is %s after the request", after)
	}
}

func TestWorkspaceHeader(t *testing.T) {
	for _, name := range []string{"X-Tenant", "x-tenant", "X-TENANT-ID", "tenant", "X-" + strings.Repeat("a", 62)} {
		g := newGate(t, func(c *Config) { c.WorkspaceHeader = name })
		_, secret := g.key("acme", nil)
		got := g.ask(get("/", bearerLine(secret)))
		value, n := got.header(name)
		if _, old := got.header("X-Workspace-Id"); value != "acme" || n != 1 || old != 0 {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for _, name := range []string{
		"", " ", "X Tenant", "X_Tenant", "X.Tenant", "X-Tenant:", "X-Tenant\r\nX: y", "X-Ténant", "X\x00", strings.Repeat("a", 65),
		"x-api-key-id", "Content-Length", "transfer-encoding", "Connection", "RETRY-AFTER", "X-RateLimit-Reset", "RateLimit", "Set-Cookie", "Authorization", "x-auth-body", "Host",
	} {
		if _, err := NewServer(Config{WorkspaceHeader: name}); err == nil || !strings.Contains(err.Error(), "the workspace header ") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestDraining: before, connections are kept; from Drain on each answer closes its own, and new ones are still answered; after Shutdown nobody is.
func TestDraining(t *testing.T) {
	g := newGate(t, nil)
	key, secret := g.key("acme", nil)
	busy, idle := g.dial(), g.dial()
	for _, c := range []*conn{busy, idle} {
		c.send(get("/", bearerLine(secret)))
		if got := c.receive(true); got.status != 200 {
			t.Fatalf("%+v", got)
		}
	}
	g.server.Drain()
	for _, c := range []*conn{busy, g.dial()} {
		for _, lines := range [][]string{{bearerLine(secret)}, nil} {
			if lines == nil {
				c = g.dial()
			}
			c.send(get("/", lines...))
			got := c.receive(true)
			if value, n := got.header("Connection"); value != "close" || n != 1 || !c.closed() {
				t.Errorf("%+v", got)
			}
			if id, _ := got.header("X-Api-Key-Id"); lines != nil && (got.status != 200 || id != key.ID) {
				t.Errorf("%+v", got)
			}
		}
	}
	if err := g.server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if !idle.closed() {
		t.Error("an idle connection is open after Shutdown")
	}
	if c, err := net.Dial("tcp", g.address); err == nil {
		_ = c.Close()
		t.Error("the listener is open after Shutdown")
	}
}

// TestShutdownWaitsForChecks ends the server while a check is under way: it is answered.
func TestShutdownWaitsForChecks(t *testing.T) {
	begun, proceed := make(chan struct{}), make(chan struct{})
	g := newGate(t, func(c *Config) {
		c.Verifier = faulty(func(store.Digest, time.Time) store.Decision {
			close(begun)
			<-proceed
			return store.Decision{Verdict: store.Allowed, Workspace: "acme", KeyID: "1"}
		})
	})
	c := g.dial()
	c.send(get("/", bearerLine(g.tokens.New())))
	<-begun
	var ending sync.WaitGroup
	ending.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := g.server.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	for { // until nobody is let in any more
		other, err := net.Dial("tcp", g.address)
		if err != nil {
			break
		}
		_ = other.Close()
		time.Sleep(time.Millisecond)
	}
	close(proceed)
	got := c.receive(true)
	if value, _ := got.header("Connection"); got.status != 200 || value != "close" {
		t.Errorf("%+v", got)
	}
	ending.Wait()
}

// exhausted is a listener whose process is out of file descriptors for a while.
type exhausted struct {
	net.Listener
	faults []error
}

func (l *exhausted) Accept() (net.Conn, error) {
	if len(l.faults) > 0 {
		err := l.faults[0]
		l.faults = l.faults[1:]
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", err)}
	}
	return l.Listener.Accept()
}

func TestAcceptGoesOn(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, kind := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		conn, err := tolerantListener{&exhausted{ln, []error{kind, kind, kind}}}.Accept()
		if err != nil {
			t.Fatalf("%v thrice: %v", kind, err)
		}
		_ = conn.Close()
		if client, err = net.Dial("tcp", ln.Addr().String()); err != nil {
			t.Fatal(err)
		}
		defer client.Close()
	}
	if _, err := (tolerantListener{&exhausted{ln, []error{syscall.EINVAL}}}).Accept(); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("another fault ends it: %v", err)
	}
}

// TestAcceptPauses holds the pauses between attempts: 5 ms, doubled each time, a second at most.
func TestAcceptPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		faults := make([]error, 11)
		for i := range faults {
			faults[i] = syscall.EMFILE
		}
		start := time.Now()
		_, err := tolerantListener{&exhausted{nil, append(faults, net.ErrClosed)}}.Accept()
		// 5 + 10 + … + 640 ms, and three times a second.
		if took := time.Since(start); took != 1275*time.Millisecond+3*time.Second || !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s, %v", took, err)
		}
	})
}

func TestOneLineASecond(t *testing.T) {
	var s sampler
	start := time.Now()
	for _, step := range []struct {
		after time.Duration
		want  bool
	}{{0, true}, {0, false}, {999 * time.Millisecond, false}, {time.Second, true}, {1500 * time.Millisecond, false}, {3 * time.Second, true}} {
		if got := s.due(start.Add(step.after)); got != step.want {
			t.Errorf("after %s: %t", step.after, got)
		}
	}
}
