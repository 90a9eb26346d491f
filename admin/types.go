// Package admin is the control plane: the management API over which keys and workspaces are managed, and its client.
//
// The path of a request: api.go has every route on one page; serve.go authenticates, decodes, calls the route's handler and encodes what it returns, and is the one place
// where an error becomes a status; keys.go and workspaces.go are the handlers; strict.go and validate.go read what callers send. ops.go is the listener for probes and metrics.
package admin

import (
	"time"

	"tpgate/limiter"
	"tpgate/store"
)

// Key is a key as the API shows it. Times are RFC 3339 in UTC, to the millisecond; nil is null.
type Key struct {
	ID        string       `json:"id"`
	Workspace string       `json:"workspace_id"`
	Name      string       `json:"name"`
	Hint      string       `json:"key_hint"`
	Status    store.Status `json:"status"`
	Limit     *string      `json:"limit"` // null: the service's default
	ExpiresAt *string      `json:"expires_at"`
	LastUsed  *string      `json:"last_used_at"`
	CreatedAt *string      `json:"created_at"`
}

// NewKey is a key with its secret, which is shown this once.
type NewKey struct {
	Token  Key     `json:"token"`
	Secret *string `json:"plain_token"`
}

// Workspace is a workspace as the API shows it.
type Workspace struct {
	ID        string  `json:"id"`
	Limit     *string `json:"limit"` // null: the service's default
	Suspended bool    `json:"suspended"`
	Keys      int     `json:"keys"`
}

// Usage is how often a key was checked in one hour.
type Usage struct {
	Hour    string `json:"hour"` // its beginning
	Allowed int    `json:"allowed"`
	Refused int    `json:"refused"`
}

// Problem is the body of every answer that is not a success.
type Problem struct {
	Message string              `json:"message"`
	Errors  map[string][]string `json:"errors,omitempty"` // by field, with 422
}

// timeLayout is RFC 3339 with as many digits of the millisecond as are not zero.
const timeLayout = "2006-01-02T15:04:05.999Z07:00"

func keyOf(k *store.Key, now time.Time) Key {
	return Key{
		ID: k.ID, Workspace: k.Workspace, Name: k.Name, Hint: k.Hint, Status: k.StatusAt(now),
		Limit: limitText(k.Limit), ExpiresAt: timeText(k.ExpiresAt), LastUsed: timeText(k.LastUsedAt), CreatedAt: timeText(k.CreatedAt),
	}
}

func workspaceOf(w *store.Workspace) Workspace {
	return Workspace{ID: w.ID, Limit: limitText(w.Limit), Suspended: w.Suspended, Keys: w.Keys}
}

func limitText(l limiter.Limit) *string {
	if !l.IsSet() {
		return nil
	}
	text := l.String()
	return &text
}

func timeText(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	text := t.UTC().Format(timeLayout)
	return &text
}
