package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"tpgate/store"
)

const (
	// feedPace is how often a listener's feed is looked at.
	feedPace = 200 * time.Millisecond
	// feedBeat is how often a listener hears that the connection lives.
	feedBeat = 15 * time.Second
	// resetPace is how often it is tried to announce what could not be.
	resetPace = time.Second
	// maxListeners is how many may listen to one instance at once.
	maxListeners = 100
)

// RevocationEvent is the data of an event.
type RevocationEvent struct {
	ID        string `json:"id"`
	Workspace string `json:"workspace_id"`
}

// announce tells listeners that a change with this outcome has ended keys. That it fails does not bring the keys back, so the caller does not hear of it: listeners then hear of a reset, as soon as the
// store lets them. So they do where the change may have been made, since who tries it again finds nothing left to do.
func (a *API) announce(ctx context.Context, outcome error, workspace string, ids ...string) {
	if unsure(outcome) {
		a.resetLater()
	}
	if outcome != nil {
		return
	}
	list := make([]store.Revocation, len(ids))
	for i, id := range ids {
		list[i] = store.Revocation{Workspace: workspace, KeyID: id}
	}
	if len(list) > store.FeedLength {
		list = []store.Revocation{{}} // more than a listener could be told one by one
	}
	if err := a.config.Store.Announce(context.WithoutCancel(ctx), list); err != nil {
		a.config.Logger.Error("revocations not announced", "workspace", workspace, "keys", len(ids), "error", err)
		a.resetLater()
	}
}

// resetLater goes on trying to announce a reset. One such try at a time speaks for all that failed before it.
func (a *API) resetLater() {
	if a.resetting.Swap(true) {
		return
	}
	go func() {
		for {
			select {
			case <-a.ended:
				return
			case <-time.After(resetPace):
			}
			a.resetting.Store(false)
			if a.config.Store.Announce(context.Background(), []store.Revocation{{}}) == nil || a.resetting.Swap(true) {
				return
			}
		}
	}()
}

// keysOf returns the ids of a workspace's keys, or a few more than FeedLength of them, to be announced. If they cannot be read, that is one empty id, which announces a reset: a damaged record must not
// keep the others alive.
func (a *API) keysOf(ctx context.Context, workspace string) []string {
	var ids []string
	var after store.Position
	for {
		keys, err := a.config.Store.ListKeys(ctx, workspace, after, maxPage)
		if err != nil {
			a.config.Logger.Error("keys not announced one by one", "workspace", workspace, "error", err)
			return []string{""}
		}
		for i := range keys {
			ids = append(ids, keys[i].ID)
		}
		if len(keys) < maxPage || len(ids) > store.FeedLength {
			return ids
		}
		after = store.Position{CreatedAt: keys[len(keys)-1].CreatedAt, ID: keys[len(keys)-1].ID}
	}
}

// streamRevocations sends the feed as server-sent events (WHATWG HTML, section 9.2) until the listener leaves or the service ends. A listener goes on where its Last-Event-ID says, or else begins
// now. An event "reset" says that events may be missing: forget what you remember of any key.
func (a *API) streamRevocations(w http.ResponseWriter, r *request) error {
	if a.listeners.Add(1) > maxListeners {
		a.listeners.Add(-1)
		return tooMany(feedBeat)
	}
	defer a.listeners.Add(-1)
	l := &listener{API: a, w: w, request: r, control: http.NewResponseController(w), after: r.Header.Get("Last-Event-ID")}
	if l.after == "" {
		var err error
		if l.after, err = a.config.Store.LastRevocation(r.Context()); err != nil {
			return err
		}
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx
	if r.Method == http.MethodHead {
		return nil
	}
	if err := l.follow(); err != nil {
		a.config.Logger.Error("feed of revocations cut off", "error", err) // the listener comes back with its Last-Event-ID
	}
	return nil
}

// listener is one that hears of revocations.
type listener struct {
	*API
	w       http.ResponseWriter
	request *request
	control *http.ResponseController
	after   string
}

// follow sends until the listener has gone, the service ends, or the store fails.
func (l *listener) follow() error {
	ticker := time.NewTicker(feedPace)
	defer ticker.Stop()
	said := time.Now()
	if !l.say("id: %s\n\n", l.after) { // an event without data only sets the Last-Event-ID
		return nil
	}
	for {
		spoke, err := l.send()
		if err != nil {
			return err
		}
		if time.Since(said) > feedBeat {
			spoke = l.say(":\n\n")
		}
		if spoke {
			said = time.Now()
		}
		select {
		case <-l.request.Context().Done():
			return nil
		case <-l.ended:
			return nil
		case <-ticker.C:
		}
	}
}

// send sends what is new, and reports whether anything was.
func (l *listener) send() (bool, error) {
	list, err := l.config.Store.Revocations(l.request.Context(), l.after, maxPage)
	if errors.Is(err, store.ErrGap) {
		if l.after, err = l.config.Store.LastRevocation(l.request.Context()); err == nil {
			return l.say("event: reset\nid: %s\ndata: {}\n\n", l.after), nil
		}
	}
	if err != nil {
		if l.request.Context().Err() != nil {
			err = nil
		}
		return false, err
	}
	for _, revocation := range list {
		l.after = revocation.ID
		switch {
		case revocation.KeyID == "":
			l.say("event: reset\nid: %s\ndata: {}\n\n", l.after)
		case l.request.caller.workspace == "" || l.request.caller.workspace == revocation.Workspace:
			data, _ := json.Marshal(RevocationEvent{revocation.KeyID, revocation.Workspace}) // strings always encode
			l.say("id: %s\ndata: %s\n\n", l.after, data)
		}
	}
	return len(list) > 0, nil
}

// say writes to the listener at once, and reports whether that was possible.
func (l *listener) say(format string, args ...any) bool {
	now := time.Now()
	_ = errors.Join(l.control.SetReadDeadline(time.Time{}), l.control.SetWriteDeadline(now.Add(writeTimeout))) // it then ends at the deadlines of the whole request
	_, err := fmt.Fprintf(l.w, format, args...)
	return errors.Join(err, l.control.Flush()) == nil
}
