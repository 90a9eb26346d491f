package admin

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"tpgate/store"
)

// TestRolesAndWorkspaces holds what each kind of token may do: every route, in its own workspace and in another.
func TestRolesAndWorkspaces(t *testing.T) {
	const forbidden, hidden = "{\"message\":\"This token may not do that.\"}\n", "{\"message\":\"Not found.\"}\n"
	for _, of := range []string{"", "acme"} {
		for _, holder := range []role{roleRead, roleKeys, roleAdmin} {
			for _, r := range routes {
				for _, workspace := range []string{"acme", "other"} {
					t.Run(fmt.Sprintf("role %d of %q/%s %s in %s", holder, of, r.method, r.pattern, workspace), func(t *testing.T) {
						b := newBench(t)
						b.serve(caller{name: "t", digest: sha256.Sum256([]byte("a-token-of-somebody")), workspace: of, role: holder})
						id := b.create(workspace, `{"name":"ci"}`).Token.ID
						sample := samples[r.method+" "+r.pattern]
						want, text := sample.status, ""
						switch {
						case of == "acme" && workspace == "other" && strings.Contains(r.pattern, "{workspace}"):
							want, text = 404, hidden
						case holder < r.role || r.stream != nil && r.role == roleAdmin && of != "": // import and export are of all workspaces
							want, text = 403, forbidden
						}
						target := strings.NewReplacer("{workspace}", workspace, "{id}", id).Replace(r.pattern)
						got := b.send(r.method, target, sample.body, "Authorization", "Bearer a-token-of-somebody")
						if got.status != want || text != "" && got.body != text {
							t.Errorf("%d %s, want %d", got.status, got.body, want)
						}
						if of == "acme" && strings.Contains(got.body, "other") {
							t.Errorf("it sees another workspace: %s", got.body)
						}
					})
				}
			}
		}
	}
}

func TestATokenOfOneWorkspaceSeesItAlone(t *testing.T) {
	b := newBench(t)
	for _, workspace := range []string{"aaa", "acme", "other"} {
		b.create(workspace, `{"name":"ci"}`)
	}
	b.serve(caller{name: "t", digest: sha256.Sum256([]byte("a-token-of-somebody")), workspace: "acme", role: roleAdmin})
	for _, query := range []string{"", "?limit=1"} {
		got := b.send("GET", "/v1/workspaces"+query, "", "Authorization", "Bearer a-token-of-somebody")
		if got.body != `[{"id":"acme","limit":null,"suspended":false,"keys":1}]`+"\n" || got.header.Get("Link") != "" {
			t.Errorf("%s %q", got.body, got.header.Get("Link"))
		}
	}
	cursor := b.next(b.send("GET", "/v1/workspaces?limit=1", ""))
	if got := b.send("GET", cursor, "", "Authorization", "Bearer a-token-of-somebody"); got.status != 400 {
		t.Errorf("the admin's cursor: %d %s", got.status, got.body)
	}
}

// contested is a store in which a key is always changed by others first.
type contested struct{ store.Store }

func (contested) UpdateKey(context.Context, string, string, func(*store.Key) error) (store.Key, error) {
	return store.Key{}, fmt.Errorf("store: update: %w", store.ErrConflict)
}

func TestConflict(t *testing.T) {
	b := newBench(t)
	b.config.Store = contested{b.config.Store}
	b.serve()
	got := b.send("PATCH", "/v1/workspaces/acme/keys/1", `{"name":"new"}`)
	if got.status != 409 || !strings.HasPrefix(decode[Problem](t, got).Message, "Conflict: ") {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// TestPanic asks an API without a store: each request is answered, the process lives.
func TestPanic(t *testing.T) {
	b := newBench(t)
	b.config.Store = nil
	b.serve()
	for range 3 {
		if got := b.send("GET", "/v1/workspaces/acme", ""); got.status != 500 || got.body != "{\"message\":\"Internal error.\"}\n" {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
}
