package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"tpgate/store"
)

const keysOfAcme = "/v1/workspaces/acme/keys"

func TestIdempotencyKey(t *testing.T) {
	b := newBench(t)
	first := b.send("POST", keysOfAcme, `{"name":"ci"}`, "Idempotency-Key", "one")
	again := b.send("POST", keysOfAcme, `{"name":"ci"}`, "Idempotency-Key", "one")
	other := b.send("POST", keysOfAcme, `{"name":"other"}`, "Idempotency-Key", "one")
	var made, repeated NewKey
	if err := json.Unmarshal([]byte(first.body), &made); err != nil || first.status != 201 || made.Secret == nil {
		t.Fatalf("%d %s", first.status, first.body)
	}
	if err := json.Unmarshal([]byte(again.body), &repeated); err != nil || again.status != 201 || repeated.Secret != nil || repeated.Token.ID != made.Token.ID {
		t.Errorf("repeated: %d %s", again.status, again.body)
	}
	if other.status != 409 {
		t.Errorf("another body: %d %s", other.status, other.body)
	}
	if elsewhere := b.send("POST", "/v1/workspaces/other/keys", `{"name":"ci"}`, "Idempotency-Key", "one"); elsewhere.status != 409 {
		t.Errorf("another workspace: %d %s", elsewhere.status, elsewhere.body)
	}
}

func TestIdempotencyKeyOfRotation(t *testing.T) {
	b := newBench(t)
	made := b.create("acme", `{"name":"ci"}`)
	path := keysOfAcme + "/" + made.Token.ID + "/rotate"
	first, again := b.send("POST", path, "", "Idempotency-Key", "r"), b.send("POST", path, "", "Idempotency-Key", "r")
	if first.status != 200 || again.status != 200 || !strings.Contains(again.body, `"plain_token":null`) || strings.Contains(first.body, `"plain_token":null`) {
		t.Errorf("%d %s, then %d %s", first.status, first.body, again.status, again.body)
	}
}

func TestIdempotencyKeyIsForgottenWithAFailure(t *testing.T) {
	b := newBench(t)
	if failed := b.send("POST", keysOfAcme, `{"name":""}`, "Idempotency-Key", "f"); failed.status != 422 {
		t.Fatalf("%d %s", failed.status, failed.body)
	}
	if mended := b.send("POST", keysOfAcme, `{"name":"ci"}`, "Idempotency-Key", "f"); mended.status != 201 {
		t.Errorf("%d %s", mended.status, mended.body)
	}
}

// deafOnce is a store that makes a key and loses the reply, or makes none, the first time.
type deafOnce struct {
	store.Store
	makes bool
	calls *int
}

func (d deafOnce) Create(ctx context.Context, key store.Key) (store.Key, error) {
	*d.calls++
	if *d.calls > 1 || d.makes {
		made, err := d.Store.Create(ctx, key)
		if *d.calls > 1 {
			return made, err
		}
	}
	return store.Key{}, errDeaf
}

// TestIdempotencyKeyAfterAnUnknownOutcome repeats a request at once of which nobody knows what became: there is one key in the end.
func TestIdempotencyKeyAfterAnUnknownOutcome(t *testing.T) {
	for _, makes := range []bool{true, false} {
		b := newBench(t)
		b.config.Store = deafOnce{b.config.Store, makes, new(int)}
		b.serve()
		if lost := b.send("POST", keysOfAcme, `{"name":"ci"}`, "Idempotency-Key", "u"); lost.status != 503 {
			t.Fatalf("%d %s", lost.status, lost.body)
		}
		ids := map[string]bool{}
		for i := range 3 {
			got := b.send("POST", keysOfAcme, `{"name":"ci"}`, "Idempotency-Key", "u")
			made := decode[NewKey](t, got)
			if secret := !makes && i == 0; got.status != 201 || (made.Secret != nil) != secret {
				t.Errorf("made: %t, repeat %d: %d %s", makes, i, got.status, got.body)
			}
			ids[made.Token.ID] = true
		}
		if got := b.send("GET", keysOfAcme, ""); len(ids) != 1 || strings.Count(got.body, `"id"`) != 1 {
			t.Errorf("made: %t, ids %v: %s", makes, ids, got.body)
		}
	}
}

func TestIdempotencyKeyIsChecked(t *testing.T) {
	b := newBench(t)
	for _, key := range []string{" ", "a b", "é", strings.Repeat("x", 256)} {
		if got := b.send("POST", keysOfAcme, `{"name":"ci"}`, "Idempotency-Key", key); got.status != 400 {
			t.Errorf("%q: %d %s", key, got.status, got.body)
		}
	}
}

func TestParallelRepeatsMakeOneKey(t *testing.T) {
	b := newBench(t)
	var clients sync.WaitGroup
	var mu sync.Mutex
	secrets, ids := 0, map[string]bool{}
	for range 50 {
		clients.Go(func() {
			got := b.send("POST", keysOfAcme, `{"name":"ci"}`, "Idempotency-Key", "many")
			var made NewKey
			if err := json.Unmarshal([]byte(got.body), &made); err != nil || got.status != 201 {
				t.Errorf("%d %s", got.status, got.body)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			ids[made.Token.ID] = true
			if made.Secret != nil {
				secrets++
			}
		})
	}
	clients.Wait()
	if len(ids) != 1 || secrets != 1 {
		t.Errorf("%d keys, %d secrets", len(ids), secrets)
	}
	if got := b.send("GET", keysOfAcme, ""); strings.Count(got.body, `"id"`) != 1 {
		t.Error(got.body)
	}
}

func TestAuditTrail(t *testing.T) {
	b := newBench(t)
	id := b.create("acme", `{"name":"ci"}`).Token.ID
	b.create("other", `{"name":"ci"}`)
	b.send("PATCH", keysOfAcme+"/"+id, `{"disabled":true}`)
	b.send("POST", keysOfAcme+"/"+id+"/rotate", "")
	b.send("PATCH", "/v1/workspaces/acme", `{"suspended":true}`)
	b.send("DELETE", keysOfAcme+"/"+id, "")
	b.send("DELETE", keysOfAcme, "")
	var entries []AuditEntry
	if got := b.send("GET", "/v1/audit", ""); json.Unmarshal([]byte(got.body), &entries) != nil {
		t.Fatal(got.body)
	}
	var said []string
	for _, e := range entries {
		said = append(said, fmt.Sprint(e.Action, " ", *e.Workspace, " ", e.KeyID != nil && *e.KeyID == id))
		if e.Actor != "admin" || e.Address != "127.0.0.1" || e.Time == nil {
			t.Errorf("%+v", e)
		}
	}
	want := []string{"keys.delete acme false", "key.delete acme true", "workspace.update acme false", "key.rotate acme true", "key.update acme true", "key.create other false", "key.create acme true"}
	if strings.Join(said, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s\nwant\n%s", strings.Join(said, "\n"), strings.Join(want, "\n"))
	}
	page := b.send("GET", "/v1/audit?limit=3", "")
	if next := nextLink(page.header.Get("Link")); next == "" || strings.Count(b.send("GET", next, "").body, `"action"`) != 3 {
		t.Errorf("pages: %q %s", next, page.body)
	}
}
