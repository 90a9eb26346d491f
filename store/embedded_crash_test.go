package store_test

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"tpgate/store"
)

// everything renders all keys of all workspaces, and all workspaces.
func everything(t testing.TB, s store.Store) (keys, workspaces string) {
	t.Helper()
	list, err := s.ListWorkspaces(t.Context(), "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range list {
		workspaces += fmt.Sprintf("%+v\n", w)
		page, err := s.ListKeys(t.Context(), w.ID, store.Position{}, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range page {
			keys += fmt.Sprintf("%+v\n", k)
		}
	}
	return keys, workspaces
}

// TestEmbeddedSurvivesKill kills a process that changes keys, again and again. What it has acknowledged is there afterwards; the change under way is there as a whole or not at all.
func TestEmbeddedSurvivesKill(t *testing.T) {
	rounds := 15
	if os.Getenv("TPGATE_FULL") == "1" {
		rounds = 500
	}
	dir := t.TempDir()
	known := model{}
	changes := 0
	for round := range rounds {
		done, open := killedWriter(t, dir)
		changes += len(done)
		for _, c := range done {
			known.apply(c)
		}
		with := known.clone()
		if open != "" {
			with.apply(open)
		}
		s := openEmbedded(t, dir)
		switch got := modelOf(t, s); got.String() {
		case known.String():
		case with.String():
			known = with
		default:
			t.Fatalf("round %d: after %d changes and the kill during %q the file holds\n%s\nwant\n%s", round, len(done), open, got, known)
		}
		closeEmbedded(t, s)
	}
	if changes < rounds {
		t.Errorf("only %d changes in %d rounds: nothing was tested", changes, rounds)
	}
}

// killedWriter starts TestEmbeddedWriter as a process, kills it after a while, and returns the changes that it had acknowledged and the one that was under way ("": none).
func killedWriter(t *testing.T, dir string) (done []string, open string) {
	writer := exec.Command(os.Args[0], "-test.run=^TestEmbeddedWriter$")
	writer.Env = append(os.Environ(), "TPGATE_TEST_WRITER_DIR="+dir)
	writer.Stderr = os.Stderr
	out, err := writer.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := writer.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for started := false; lines.Scan(); {
		if !started {
			started = true
			time.AfterFunc(time.Duration(rand.IntN(40_000))*time.Microsecond, func() { _ = writer.Process.Kill() })
		}
		if lines.Text() == "done" {
			done, open = append(done, open), ""
		} else {
			open = lines.Text()
		}
	}
	_ = writer.Wait() // killed
	return done, open
}

// TestEmbeddedWriter is the process that TestEmbeddedSurvivesKill kills. By itself it does nothing.
func TestEmbeddedWriter(t *testing.T) {
	dir := os.Getenv("TPGATE_TEST_WRITER_DIR")
	if dir == "" {
		return
	}
	s := openEmbedded(t, dir)
	for known := modelOf(t, s); ; {
		change := known.randomChange()
		fmt.Println(change)
		if err := perform(t, s, change); err != nil {
			t.Fatal(err)
		}
		known.apply(change)
		fmt.Println("done")
	}
}

// model is what a store should hold: of each key, and of the workspace under "", what the changes have made of it.
type model map[string]string

func (m model) clone() model {
	c := model{}
	maps.Copy(c, m)
	return c
}

func (m model) String() string {
	var lines []string
	for id, what := range m {
		lines = append(lines, id+": "+what)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// randomChange returns "VERB ID VALUE".
func (m model) randomChange() string {
	id, value := store.NewID(), store.NewID()
	if verb := []string{"create", "import", "update", "delete", "suspend", "delete_all"}[min(rand.IntN(16)/3, 5)]; verb == "suspend" || verb == "delete_all" {
		return verb + " all " + value
	} else if verb == "import" {
		return verb + " " + id + " " + value
	} else if verb != "create" {
		for id := range m {
			if id != "" {
				return verb + " " + id + " " + value
			}
		}
	}
	return "create " + id + " " + value
}

func (m model) apply(change string) {
	f := strings.Fields(change)
	switch f[0] {
	case "create", "update":
		m[f[1]] = f[2]
	case "import":
		for i := range 3 {
			m[fmt.Sprint(f[1], i)] = fmt.Sprint(f[2], i)
		}
	case "delete":
		delete(m, f[1])
	case "suspend":
		m[""] = fmt.Sprint(m[""] != "true")
	case "delete_all":
		workspace, set := m[""]
		clear(m)
		if set {
			m[""] = workspace
		}
	}
}

// perform makes a change to the store.
func perform(t *testing.T, s store.Store, change string) error {
	f := strings.Fields(change)
	id, value := f[1], f[2]
	var err error
	switch f[0] {
	case "create":
		_, err = s.Create(t.Context(), store.Key{ID: id, Workspace: "acme", Name: value, Digest: sha256.Sum256([]byte(value)), CreatedAt: time.Now()})
	case "import":
		keys := make([]store.Key, 3)
		for i := range keys {
			name := fmt.Sprint(value, i)
			keys[i] = store.Key{ID: fmt.Sprint(id, i), Workspace: "acme", Name: name, Digest: sha256.Sum256([]byte(name)), Fingerprint: store.FingerprintOf(name), CreatedAt: time.Now()}
		}
		err = errors.Join(s.Import(t.Context(), keys)...)
	case "update":
		_, err = s.UpdateKey(t.Context(), "acme", id, func(k *store.Key) error {
			k.Name, k.Previous, k.PreviousUntil, k.Digest = value, k.Digest, time.Now().Add(time.Hour), sha256.Sum256([]byte(value))
			return nil
		})
	case "delete":
		err = s.DeleteKey(t.Context(), "acme", id)
	case "suspend":
		_, err = s.UpdateWorkspace(t.Context(), "acme", func(w *store.Workspace) error { w.Suspended = !w.Suspended; return nil })
	case "delete_all":
		err = s.DeleteKeys(t.Context(), "acme")
	}
	return err
}

// modelOf reads what the store holds, and checks that every key is found by its digest.
func modelOf(t *testing.T, s store.Store) model {
	t.Helper()
	m := model{}
	w, err := s.Workspace(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	if w.Version > 0 {
		m[""] = fmt.Sprint(w.Suspended)
	}
	keys, err := s.ListKeys(t.Context(), "acme", store.Position{}, 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		m[k.ID] = k.Name
		if k.Digest != sha256.Sum256([]byte(k.Name)) {
			t.Errorf("key %s has half an update: name and digest differ", k.ID)
		}
		if d := s.Verify(k.Digest, time.Now().Add(time.Second)); d.KeyID != k.ID {
			t.Errorf("key %s is not found by its digest: %+v", k.ID, d)
		}
	}
	if len(keys) != w.Keys {
		t.Errorf("the workspace counts %d keys, %d are listed", w.Keys, len(keys))
	}
	return m
}
