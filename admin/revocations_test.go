package admin

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tpgate/store"
)

// listening is an open stream of revocations.
type listening struct {
	t      *testing.T
	events chan string // closed when the stream has ended
	close  func()
}

// listen opens the stream behind a server with the limits of the real one, and waits until it has begun.
func (b *bench) listen(server *httptest.Server, token, after string) *listening {
	b.t.Helper()
	request, err := http.NewRequestWithContext(b.t.Context(), "GET", server.URL+"/v1/revocations", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	if after != "" {
		request.Header.Set("Last-Event-ID", after)
	}
	response, err := server.Client().Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(response.Body)
		b.t.Fatalf("%s %s", response.Status, text)
	}
	l := &listening{t: b.t, events: make(chan string, 100), close: func() { _ = response.Body.Close() }}
	b.t.Cleanup(l.close)
	stream := bufio.NewReader(response.Body)
	if first := nextEvent(stream); !strings.HasPrefix(first, "id: ") || strings.Contains(first, "data") {
		b.t.Fatalf("the stream begins with %q", first)
	}
	go func() {
		defer close(l.events)
		for {
			event := nextEvent(stream)
			if event == "" {
				return
			}
			l.events <- event
		}
	}()
	return l
}

// want fails unless the next events are these, ids aside, and returns the id of the last.
func (l *listening) want(events ...string) (id string) {
	l.t.Helper()
	for _, want := range events {
		select {
		case event := <-l.events:
			m := regexp.MustCompile(`(?m)^id: (\S+)\n`).FindStringSubmatch(event)
			if m == nil || strings.Replace(event, m[0], "", 1) != want+"\n" {
				l.t.Fatalf("the event is %q, want %q", event, want)
			}
			id = m[1]
		case <-time.After(10 * time.Second):
			l.t.Fatalf("no event, want %q", want)
		}
	}
	return id
}

func (l *listening) wantNone() {
	l.t.Helper()
	select {
	case event := <-l.events:
		l.t.Errorf("the event is %q, want none", event)
	case <-time.After(3 * feedPace):
	}
}

// stream starts the API as the service does, limits included.
func (b *bench) stream(more ...caller) (*API, *httptest.Server) {
	api := New(b.config)
	api.callers = append(api.callers, more...)
	server := httptest.NewUnstartedServer(nil)
	server.Config = NewServer(api.Handler(), b.config.Logger)
	server.Config.RegisterOnShutdown(api.End)
	server.Start()
	b.t.Cleanup(server.Close)
	b.url, b.client = server.URL, server.Client()
	return api, server
}

func revoked(id, workspace string) string {
	return fmt.Sprintf(`data: {"id":%q,"workspace_id":%q}`, id, workspace)
}

func TestRevocations(t *testing.T) {
	b := newBench(t)
	_, server := b.stream(caller{name: "t", digest: sha256.Sum256([]byte("a-token-of-somebody")), workspace: "other", role: roleRead})
	all, other := b.listen(server, testToken, ""), b.listen(server, "a-token-of-somebody", "")
	must := func(method, path, body string) {
		t.Helper()
		if got := b.send(method, "/v1/workspaces/"+path, body); got.status/100 != 2 {
			t.Fatalf("%s %s: %d %s", method, path, got.status, got.body)
		}
	}
	var ids []string
	for range 5 {
		ids = append(ids, b.create("acme", `{"name":"ci"}`).Token.ID)
		time.Sleep(2 * time.Millisecond) // listed in this order
	}
	all.wantNone()

	must("DELETE", "acme/keys/"+ids[0], "")
	id := all.want(revoked(ids[0], "acme"))
	must("PATCH", "acme/keys/"+ids[1], `{"name":"new","expires_at":"2099-01-01"}`)
	must("PATCH", "acme/keys/"+ids[1], `{"disabled":true}`)
	must("PATCH", "acme/keys/"+ids[1], `{"disabled":true}`)
	must("PATCH", "acme/keys/"+ids[2], `{"expires_at":"2001-01-01"}`)
	must("POST", "acme/keys/"+ids[3]+"/rotate", `{"overlap":"1h"}`)
	must("POST", "acme/keys/"+ids[4]+"/rotate", "")
	all.want(revoked(ids[1], "acme"), revoked(ids[2], "acme"), revoked(ids[4], "acme"))
	must("PATCH", "acme", `{"suspended":true}`)
	all.want(revoked(ids[4], "acme"), revoked(ids[3], "acme"), revoked(ids[2], "acme"), revoked(ids[1], "acme"))
	must("DELETE", "acme/keys", "")
	all.want(revoked(ids[4], "acme"), revoked(ids[3], "acme"), revoked(ids[2], "acme"), revoked(ids[1], "acme"))
	if got := b.send("DELETE", "/v1/workspaces/acme/keys/"+ids[0], ""); got.status != 404 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	all.wantNone()
	other.wantNone()

	secret := b.create("other", `{"name":"ci"}`).Token.ID
	must("DELETE", "other/keys/"+secret, "")
	all.want(revoked(secret, "other"))
	other.want(revoked(secret, "other"))

	again := b.listen(server, testToken, id)
	again.want(revoked(ids[1], "acme"), revoked(ids[2], "acme"))
	b.listen(server, testToken, "1-1").want("event: reset\ndata: {}")
}

// TestRevocationsEnd shuts the server down while somebody listens.
func TestRevocationsEnd(t *testing.T) {
	b := newBench(t)
	_, server := b.stream()
	l := b.listen(server, testToken, "")
	start := time.Now()
	if err := server.Config.Shutdown(t.Context()); err != nil || time.Since(start) > 5*time.Second {
		t.Errorf("with a listener the end takes %s, %v", time.Since(start), err)
	}
	if event, open := <-l.events; open {
		t.Errorf("after the end comes %q", event)
	}
}

func TestRevocationsOfALargeWorkspaceAreAReset(t *testing.T) {
	b := newBench(t)
	api, server := b.stream()
	l := b.listen(server, testToken, "")
	api.announce(t.Context(), nil, "acme", make([]string, store.FeedLength+1)...)
	l.want("event: reset\ndata: {}")
}

func TestTooManyListeners(t *testing.T) {
	b := newBench(t)
	api, server := b.stream()
	api.listeners.Store(maxListeners - 1)
	l := b.listen(server, testToken, "")
	if got := b.send("GET", "/v1/revocations", ""); got.status != 429 || got.header.Get("Retry-After") == "" {
		t.Errorf("%d %s", got.status, got.body)
	}
	l.close()
	for range 100 {
		if got := b.send("GET", "/v1/revocations", ""); got.status == 200 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Error("the place of a listener that left is not free again")
}

// damaged is a store with a key in it that cannot be read.
type damaged struct{ store.Store }

func (damaged) ListKeys(context.Context, string, store.Position, int) ([]store.Key, error) {
	return nil, errors.New("the record is damaged")
}

func TestDeleteAllBesideDamagedKey(t *testing.T) {
	b := newBench(t)
	keys := b.config.Store
	b.config.Store = damaged{keys}
	_, server := b.stream()
	id := b.create("acme", `{"name":"ci"}`).Token.ID
	l := b.listen(server, testToken, "")
	if got := b.send("DELETE", "/v1/workspaces/acme/keys", ""); got.status != 204 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if _, err := keys.Key(t.Context(), "acme", id); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("the key is still there: %v", err)
	}
	l.want("event: reset\ndata: {}")
}

// deaf is a store that does what it is asked, and says that it does not know: its reply is lost.
type deaf struct {
	store.Store
	mute *atomic.Bool // for announcements: nothing is done at all
}

var errDeaf = errors.New("the connection was lost")

func (d deaf) DeleteKey(ctx context.Context, workspace, id string) error {
	_ = d.Store.DeleteKey(ctx, workspace, id)
	return errDeaf
}

func (d deaf) UpdateKey(ctx context.Context, workspace, id string, change func(*store.Key) error) (store.Key, error) {
	_, _ = d.Store.UpdateKey(ctx, workspace, id, change)
	return store.Key{}, errDeaf
}

func (d deaf) UpdateWorkspace(ctx context.Context, id string, change func(*store.Workspace) error) (store.Workspace, error) {
	_, _ = d.Store.UpdateWorkspace(ctx, id, change)
	return store.Workspace{}, errDeaf
}

func (d deaf) Announce(ctx context.Context, revocations []store.Revocation) error {
	if d.mute.Load() {
		return errDeaf
	}
	return d.Store.Announce(ctx, revocations)
}

// TestRevocationsWhoseOutcomeIsUnknown loses the replies to changes, and announcements whole: listeners hear of a reset.
func TestRevocationsWhoseOutcomeIsUnknown(t *testing.T) {
	b := newBench(t)
	keys, mute := b.config.Store, new(atomic.Bool)
	b.config.Store = deaf{keys, mute}
	_, server := b.stream()
	l := b.listen(server, testToken, "")
	const reset = "event: reset\ndata: {}"
	for _, call := range [][3]string{{"DELETE", "/keys/%s"}, {"PATCH", "/keys/%s", `{"disabled":true}`}, {"POST", "/keys/%s/rotate", `{}`}, {"PATCH", "", `{"suspended":true}`}} {
		id := b.create("acme", `{"name":"ci"}`).Token.ID
		path := strings.Replace(call[1], "%s", id, 1)
		if got := b.send(call[0], "/v1/workspaces/acme"+path, call[2]); got.status != 503 {
			t.Fatalf("%s %s: %d %s", call[0], path, got.status, got.body)
		}
		l.want(reset)
	}
	if got := b.send("DELETE", "/v1/workspaces/acme/keys/none", ""); got.status != 503 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	l.want(reset)
	l.wantNone()

	mute.Store(true)
	if got := b.send("DELETE", "/v1/workspaces/acme/keys", ""); got.status != 204 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	l.wantNone()
	mute.Store(false)
	l.want(reset)
	l.wantNone()
}
