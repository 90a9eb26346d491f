package test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// onBothStores runs a test on the embedded store and on Redis.
func onBothStores(t *testing.T, run func(t *testing.T, flags ...string)) {
	t.Run("embedded", func(t *testing.T) { run(t) })
	t.Run("redis", func(t *testing.T) { run(t, "--redis-url", startRedis(t).url()) })
}

// imported is the answer to one line of an import.
type imported struct {
	Line    int    `json:"line"`
	Status  string `json:"status"`
	ID      string `json:"id"`
	Message string `json:"message"`
}

// importLines imports rows and returns the answer to each.
func (g *gate) importLines(rows ...fields) []imported {
	g.t.Helper()
	var body bytes.Buffer
	for _, row := range rows {
		_ = json.NewEncoder(&body).Encode(row)
	}
	answer := g.stream("POST", "/v1/import", &body)
	lines := strings.Split(strings.TrimSpace(answer), "\n")
	if len(lines) != len(rows)+1 {
		g.t.Fatalf("%d rows have %d answers:\n%s", len(rows), len(lines)-1, answer)
	}
	answers := make([]imported, len(rows))
	for i := range answers {
		if err := json.Unmarshal([]byte(lines[i]), &answers[i]); err != nil {
			g.t.Fatal(err)
		}
	}
	return answers
}

// stream sends NDJSON to the management API and returns its NDJSON.
func (g *gate) stream(method, path string, body io.Reader) string {
	g.t.Helper()
	request, err := http.NewRequest(method, "http://"+g.admin+path, body)
	if err != nil {
		g.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+g.token)
	request.Header.Set("Content-Type", "application/x-ndjson")
	response, err := managementClient.Do(request)
	if err != nil {
		g.t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		g.t.Fatalf("%s %s: %s %s %v", method, path, response.Status, answer, err)
	}
	return string(answer)
}

// status returns what a check of the secret is answered, asking again for a while where the answer is 503: the first use of an imported key may take longer than a check may.
func (g *gate) status(secret string) int {
	g.t.Helper()
	for end := time.Now().Add(10 * time.Second); ; {
		request, _ := http.NewRequest("GET", "http://"+g.data+"/", nil)
		request.Header.Set("Authorization", "Bearer "+secret)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			g.t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusServiceUnavailable || time.Now().After(end) {
			return response.StatusCode
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (g *gate) mustStatus(secret string, want int, when string) {
	g.t.Helper()
	if got := g.status(secret); got != want {
		g.t.Errorf("%s: %d, want %d", when, got, want)
	}
}

// secretOf makes a well-formed secret for a test.
func secretOf(name string) string { return fmt.Sprintf("tp_%x", sha256.Sum256([]byte(name)))[:51] }

// trypost is a row of TryPost's table of keys as PHP writes it.
func trypost(t *testing.T, secret string, cost int) fields {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(secret), cost)
	if err != nil {
		t.Fatal(err)
	}
	return fields{
		"id": nil, "workspace_id": "acme", "name": "old", "token_lookup": secret[3:19], "token_hash": "$2y$" + string(hash[4:]),
		"expires_at": nil, "last_used_at": "2026-03-01 09:00:00", "created_at": "2025-12-24 18:00:00", "updated_at": "2026-03-01 09:00:00",
	}
}

// TestImportTryPost moves a TryPost table: its keys work, become SHA-256 when they are used, and die when they are deleted, in whichever form.
func TestImportTryPost(t *testing.T) {
	onBothStores(t, func(t *testing.T, flags ...string) {
		g := startGate(t, flags...)
		used, unused, other := secretOf("used"), secretOf("unused"), secretOf("used")[:19]+secretOf("other")[19:]
		rows := []fields{trypost(t, used, 12), trypost(t, unused, 4)}
		first := g.importLines(rows...)
		for i, line := range g.importLines(rows...) {
			if first[i].Status != "imported" || line.Status != "exists" || line.ID != first[i].ID {
				t.Errorf("line %d: %+v, then %+v", i+1, first[i], line)
			}
		}
		g.mustStatus(used, http.StatusOK, "first use")
		g.mustStatus(other, http.StatusUnauthorized, "another secret with the same look-up")
		export := g.stream("GET", "/v1/export", nil)
		if !strings.Contains(export, fmt.Sprintf("%x", sha256.Sum256([]byte(used)))) || strings.Count(export, "$2y$") != 1 {
			t.Errorf("after its first use the key is not stored as SHA-256 alone:\n%s", export)
		}
		for i, secret := range []string{used, unused} {
			if err := g.manage("DELETE", "/v1/workspaces/acme/keys/"+first[i].ID, nil, nil); err != nil {
				t.Fatal(err)
			}
			g.mustStatus(secret, http.StatusUnauthorized, "deleted")
		}
		for _, line := range g.importLines(rows...) {
			if line.Status != "exists" {
				t.Errorf("imported again after it was deleted: %+v", line)
			}
		}
		g.mustStatus(used, http.StatusUnauthorized, "deleted and imported again")
		g.mustStatus(unused, http.StatusUnauthorized, "deleted and imported again")
		if answer := g.stream("POST", "/v1/import", strings.NewReader(export)); !strings.Contains(answer, `{"imported":0,"existing":2,"failed":0}`) {
			t.Errorf("an export of the deleted keys is imported: %s", answer)
		}
		g.mustStatus(used, http.StatusUnauthorized, "deleted, and an export of it imported")
	})
}

// TestImportSlowHash compares a bcrypt hash that takes longer than a check may: whoever asks again is answered, be it the right secret or not.
func TestImportSlowHash(t *testing.T) {
	onBothStores(t, func(t *testing.T, flags ...string) {
		g := startGate(t, append(flags, "--decision-timeout", "20ms")...)
		right := secretOf("right")
		wrong := right[:19] + secretOf("wrong")[19:]
		g.importLines(trypost(t, right, 12))
		g.mustStatus(wrong, http.StatusUnauthorized, "another secret with the same look-up")
		g.mustStatus(right, http.StatusOK, "the secret")
		g.mustStatus(wrong, http.StatusUnauthorized, "another secret after the right one")
	})
}

// TestRotateImported rotates keys with an overlap that were imported as bcrypt rows and not used since: the old secret works until the overlap ends.
func TestRotateImported(t *testing.T) {
	onBothStores(t, func(t *testing.T, flags ...string) {
		g := startGate(t, flags...)
		old := secretOf("old")
		id := g.importLines(trypost(t, old, 4))[0].ID
		rotate := func(body fields) string {
			t.Helper()
			var made struct {
				Secret string `json:"plain_token"`
			}
			if err := g.manage("POST", "/v1/workspaces/acme/keys/"+id+"/rotate", body, &made); err != nil {
				t.Fatal(err)
			}
			return made.Secret
		}
		fresh := rotate(fields{"overlap": "1h"})
		if export := g.stream("GET", "/v1/export", nil); !strings.Contains(export, fmt.Sprintf("%x", sha256.Sum256([]byte(fresh)))) || strings.Contains(export, "$2y$") {
			t.Errorf("the export does not have the present secret's hash alone: %s", export)
		}
		g.mustStatus(fresh, http.StatusOK, "the new secret")
		for range 2 {
			g.mustStatus(old, http.StatusOK, "the old secret in the overlap")
		}
		g.mustStatus(old[:19]+secretOf("other")[19:], http.StatusUnauthorized, "another secret with the same look-up")
		rotate(nil)
		g.mustStatus(old, http.StatusUnauthorized, "the old secret after a second rotation")
		g.mustStatus(fresh, http.StatusUnauthorized, "the second secret after a rotation without overlap")

		unused := secretOf("unused and rotated")
		id = g.importLines(trypost(t, unused, 4))[0].ID
		rotate(fields{"overlap": "1h"})
		last := rotate(fields{"overlap": "1h"})
		g.mustStatus(unused, http.StatusUnauthorized, "the first secret after two rotations")
		g.mustStatus(last, http.StatusOK, "the last secret")
	})
}

// TestImportDeletedInUpgrade deletes keys while their first use is being verified: whatever comes first, they are dead afterwards.
func TestImportDeletedInUpgrade(t *testing.T) {
	onBothStores(t, func(t *testing.T, flags ...string) {
		g := startGate(t, flags...)
		for round := range rounds(15, 200) {
			secret := secretOf(fmt.Sprint(t.Name(), round))
			id := g.importLines(trypost(t, secret, 4))[0].ID
			var upgrade sync.WaitGroup
			upgrade.Go(func() { g.status(secret) })
			time.Sleep(time.Duration(round%5) * time.Millisecond)
			if err := g.manage("DELETE", "/v1/workspaces/acme/keys/"+id, nil, nil); err != nil {
				t.Fatal(err)
			}
			g.mustStatus(secret, http.StatusUnauthorized, "deleted during its upgrade")
			upgrade.Wait()
			g.mustStatus(secret, http.StatusUnauthorized, "deleted, and the upgrade is over")
		}
	})
}

// TestExportRestores moves all keys from one store to the other.
func TestExportRestores(t *testing.T) {
	from, to := startGate(t), startGate(t, "--redis-url", startRedis(t).url())
	live := from.mustKey("acme", fields{"limit": "7/1m"})
	dead := from.mustKey("acme", fields{"name": `<img onerror=alert(1)> =cmd|' \u202e`})
	if err := from.manage("PATCH", dead.path(), fields{"disabled": true}, nil); err != nil {
		t.Fatal(err)
	}
	legacy := secretOf("legacy")
	from.importLines(trypost(t, legacy, 4))
	export := from.stream("GET", "/v1/export", nil)
	if strings.Contains(export, live.Secret) {
		t.Error("the export has a secret in it")
	}
	if answer := to.stream("POST", "/v1/import", strings.NewReader(export)); !strings.Contains(answer, `{"imported":3,"existing":0,"failed":0}`) {
		t.Fatal(answer)
	}
	to.mustStatus(live.Secret, http.StatusOK, "a live key")
	to.mustStatus(dead.Secret, http.StatusUnauthorized, "a disabled key")
	to.mustStatus(legacy, http.StatusOK, "a key that was not used yet")
	var shown struct {
		Limit string `json:"limit"`
	}
	if err := to.manage("GET", live.path(), nil, &shown); err != nil || shown.Limit != "7/1m" {
		t.Errorf("the restored key has limit %q, %v", shown.Limit, err)
	}
}

// TestPepper moves keys to a pepper, and to another one, as they are used.
func TestPepper(t *testing.T) {
	onBothStores(t, func(t *testing.T, flags ...string) {
		file := filepath.Join(t.TempDir(), "pepper")
		g := startGate(t, flags...)
		key := g.mustKey("acme", nil)
		for _, peppers := range []string{"first-pepper-of-the-test\n", "second-pepper-of-the-test\nfirst-pepper-of-the-test\n", "second-pepper-of-the-test\n"} {
			if err := os.WriteFile(file, []byte(peppers), 0o600); err != nil {
				t.Fatal(err)
			}
			g.stop()
			g.restart("--pepper-file", file)
			before := g.stream("GET", "/v1/export", nil)
			g.mustStatus(key.Secret, http.StatusOK, "with "+peppers)
			if strings.HasPrefix(peppers, "second-pepper-of-the-test\nfirst") || strings.HasPrefix(peppers, "first") {
				g.waitUntil("the key has moved", func() bool { return g.stream("GET", "/v1/export", nil) != before })
			}
		}
		var rotated struct {
			Secret string `json:"plain_token"`
		}
		if err := g.manage("POST", key.path()+"/rotate", fields{"overlap": "1h"}, &rotated); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("third-pepper-of-the-test\nsecond-pepper-of-the-test\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for range 2 { // starts anew, so that nothing is remembered
			g.stop()
			g.restart("--pepper-file", file)
			for _, secret := range []string{key.Secret, rotated.Secret, key.Secret, rotated.Secret} {
				g.mustStatus(secret, http.StatusOK, "in the overlap of a rotation, moving to a third pepper")
				time.Sleep(50 * time.Millisecond)
			}
		}
		g.stop()
		g.restart()
		g.mustStatus(rotated.Secret, http.StatusUnauthorized, "without the pepper that it has moved to")
	})
}

func (g *gate) waitUntil(what string, done func() bool) {
	g.t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			g.t.Fatalf("not within ten seconds: %s", what)
		}
	}
}

// TestImportMany imports many rows with the command, into Redis, with flat memory.
func TestImportMany(t *testing.T) {
	g := startGate(t, "--redis-url", startRedis(t).url())
	n := rounds(20_000, 1_000_000)
	path := filepath.Join(t.TempDir(), "keys.csv")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(file, "workspace_id,name,sha256")
	for i := range n {
		fmt.Fprintf(file, "w%d,key %d,%x\n", i%1000, i, sha256.Sum256([]byte(secretOf(fmt.Sprint("many", i)))))
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(binary, "keys", "import", path, "--server", "http://"+g.admin, "--admin-token-file", filepath.Join(g.dir, "admin-token"))
	out, err := command.CombinedOutput()
	if err != nil || !strings.Contains(string(out), fmt.Sprintf("%d imported, 0 existed already, 0 failed", n)) {
		t.Fatalf("%v\n%s", err, out[max(0, len(out)-500):])
	}
	g.mustStatus(secretOf("many0"), http.StatusOK, "the first")
	g.mustStatus(secretOf(fmt.Sprint("many", n-1)), http.StatusOK, "the last")
	if used := g.program.memory(t, "VmHWM"); used > 150_000<<10 {
		t.Errorf("the service took %d kB for %d keys", used>>10, n)
	}
}
