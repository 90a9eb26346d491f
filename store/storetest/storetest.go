// Package storetest is the contract of [store.Store] as a test: what every store must do, one sentence a subtest.
package storetest

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tpgate/limiter"
	"tpgate/store"
)

// Run tests the stores that open returns: each new and empty, with these defaults, and closed when its test ends.
func Run(t *testing.T, open func(t *testing.T, defaults store.Defaults) store.Store) {
	for _, c := range slices.Concat(keyTests, listTests, verdictTests, rotationTests, quotaTests, workspaceTests, importTests, legacyTests,
		journalTests, feedTests, usageTests, noteTests, raceTests) {
		t.Run(c.name, func(t *testing.T) {
			defaults := store.Defaults{KeyLimit: limit(t, c.keyLimit, "60/1m"), WorkspaceLimit: limit(t, c.workspaceLimit, "off")}
			c.run(&fixture{T: t, Store: open(t, defaults)})
		})
	}
}

// contract is one sentence of the contract. Default limits are 60/1m and off unless given.
type contract struct {
	name                     string
	run                      func(f *fixture)
	keyLimit, workspaceLimit string
}

// staleRefusal is a little longer than a refusal over quota may be repeated from memory.
const staleRefusal = 30 * time.Millisecond

// fixture is a store under test, with what the tests do most.
type fixture struct {
	*testing.T
	store.Store
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// newKey returns a key that has not been created: valid, with a digest of its own.
func newKey(workspace string, set ...func(*store.Key)) store.Key {
	key := store.Key{ID: store.NewID(), Workspace: workspace, Name: "ci", Hint: "tp_abcd…", Digest: newDigest(), CreatedAt: time.Now()}
	for _, s := range set {
		s(&key)
	}
	return key
}

func newDigest() store.Digest {
	var digest store.Digest
	_, _ = rand.Read(digest[:]) // never returns an error: it ends the program instead (crypto/rand)
	return digest
}

// create creates a key in the workspace.
func (f *fixture) create(workspace string, set ...func(*store.Key)) store.Key {
	f.Helper()
	key, err := f.Create(f.Context(), newKey(workspace, set...))
	f.must(err)
	return key
}

// update changes a key.
func (f *fixture) update(key store.Key, change func(*store.Key)) store.Key {
	f.Helper()
	key, err := f.UpdateKey(f.Context(), key.Workspace, key.ID, func(k *store.Key) error { change(k); return nil })
	f.must(err)
	return key
}

// set changes a workspace.
func (f *fixture) set(workspace string, change func(*store.Workspace)) store.Workspace {
	f.Helper()
	w, err := f.UpdateWorkspace(f.Context(), workspace, func(w *store.Workspace) error { change(w); return nil })
	f.must(err)
	return w
}

// rotate gives the key a new digest; the old one is valid until the time given.
func (f *fixture) rotate(key store.Key, until time.Time) store.Key {
	f.Helper()
	return f.update(key, func(k *store.Key) { k.Previous, k.PreviousUntil, k.Digest = k.Digest, until, newDigest() })
}

// check verifies a digest, with time enough.
func (f *fixture) check(digest store.Digest) store.Decision {
	return f.Verify(digest, time.Now().Add(10*time.Second))
}

// want fails unless a check of the digest comes to this verdict.
func (f *fixture) want(verdict store.Verdict, digest store.Digest) store.Decision {
	f.Helper()
	d := f.check(digest)
	if d.Verdict != verdict {
		f.Fatalf("the check came to %s (error %v), want %s", word(d.Verdict), d.Err, word(verdict))
	}
	return d
}

// allowed counts how many of n checks are allowed; the others must be limited.
func (f *fixture) allowed(n int, digest store.Digest) int {
	f.Helper()
	allowed := 0
	for range n {
		switch d := f.check(digest); d.Verdict {
		case store.Allowed:
			allowed++
		case store.Limited:
		default:
			f.Fatalf("the check came to %s (error %v), want allowed or limited", word(d.Verdict), d.Err)
		}
	}
	return allowed
}

// ids returns the ids of a workspace's keys, walked in pages.
func (f *fixture) ids(workspace string, page int) []string {
	f.Helper()
	var ids []string
	after := store.Position{}
	for {
		keys, err := f.ListKeys(f.Context(), workspace, after, page)
		f.must(err)
		if len(keys) > page {
			f.Fatalf("a page of %d has %d keys", page, len(keys))
		}
		for _, k := range keys {
			ids = append(ids, k.ID)
			after = store.Position{CreatedAt: k.CreatedAt, ID: k.ID}
		}
		if len(keys) < page {
			return ids
		}
	}
}

// same fails unless the keys agree in every field.
func (f *fixture) same(got, want store.Key) {
	f.Helper()
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		f.Fatalf("the key differs:\n got %s\nwant %s", g, w)
	}
}

func limit(t testing.TB, text ...string) limiter.Limit {
	t.Helper()
	for _, text := range text {
		if text == "" {
			continue
		}
		l, err := limiter.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	return limiter.Limit{}
}

// withLimit gives a new key its own limit.
func (f *fixture) withLimit(text string) func(*store.Key) {
	l := limit(f, text)
	return func(k *store.Key) { k.Limit = l }
}

func disabled(k *store.Key) { k.Disabled = true }

func expired(k *store.Key) { k.ExpiresAt = time.Now().Add(-time.Hour) }

func ended(at time.Time) func(*store.Key) { return func(k *store.Key) { k.ExpiresAt = at } }

func suspend(w *store.Workspace) { w.Suspended = true }

func lift(w *store.Workspace) { w.Suspended = false }

func word(v store.Verdict) string {
	words := strings.Fields("unavailable allowed unknown disabled expired suspended limited")
	if int(v) < len(words) {
		return words[v]
	}
	return fmt.Sprintf("verdict %d", v)
}
