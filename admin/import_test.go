package admin

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"tpgate/store"
)

// TestImportedTimes imports a key for each way to write when it expires. Whatever is long ago is so, too, where a store takes the beginning of its count for no time at all.
func TestImportedTimes(t *testing.T) {
	b := newBench(t)
	for text, want := range map[string]store.Verdict{
		"":                           store.Allowed,
		"2999-01-01 00:00:00":        store.Allowed,
		"9999-12-31 23:59:59.999999": store.Allowed,
		"2020-01-01 00:00:00":        store.Expired,
		"1970-01-01 00:00:00":        store.Expired,
		"1970-01-01 00:00:00.0004":   store.Expired,
		"1969-12-31 23:59:59":        store.Expired,
		"0001-01-01 00:00:00":        store.Expired,
		"1970-01-01T00:00:00Z":       store.Expired,
		"0001-01-01T00:00:00Z":       store.Expired,
		"1970-01-01":                 store.Expired,
	} {
		secret := b.config.Tokens.New()
		got := b.send("POST", "/v1/import", fmt.Sprintf(`{"workspace_id":"acme","name":"x","sha256":"%x","expires_at":%q}`, sha256.Sum256([]byte(secret)), text), "Content-Type", "application/x-ndjson")
		if !strings.Contains(got.body, `{"imported":1,"existing":0,"failed":0}`) || b.verify(secret) != want {
			t.Errorf("%q: %d %s, verdict %v, want %v", text, got.status, got.body, b.verify(secret), want)
		}
	}
}

// TestDryRunIsMeant imports nothing for whoever may have meant a dry run.
func TestDryRunIsMeant(t *testing.T) {
	b := newBench(t)
	line := fmt.Sprintf(`{"workspace_id":"acme","name":"x","sha256":"%064x"}`, 7)
	for _, c := range []struct {
		query        string
		status, keys int
	}{
		{"?dry_run=1", 400, 0}, {"?dry_run=yes", 400, 0}, {"?dry_run", 400, 0}, {"?dry_run=TRUE", 400, 0}, {"?dry_run=%zz", 400, 0},
		{"?dry_run=true", 200, 0}, {"?dry_run=false", 200, 1}, {"", 200, 1},
	} {
		got := b.send("POST", "/v1/import"+c.query, line, "Content-Type", "application/x-ndjson")
		if keys := decode[Workspace](t, b.send("GET", "/v1/workspaces/acme", "")).Keys; got.status != c.status || keys != c.keys {
			t.Errorf("%q: %d %s, and %d keys; want %d and %d", c.query, got.status, got.body, keys, c.status, c.keys)
		}
	}
}

// TestStrictRows imports no line of which something would have to be guessed or replaced.
func TestStrictRows(t *testing.T) {
	b := newBench(t)
	for fields, want := range map[string]string{
		`"name":"x"`:            `"imported"`,
		`"name":17,"id":18`:     `"imported","id":"18"`,
		`"name":"\ud83d\ude00"`: `"imported"`,
		`"name":"\ud83dx"`:      `the body has half of a surrogate pair`,
		"\"name\":\"a\xffb\"":   `the body is not UTF-8`,
		`"name":{"first":"x"}`:  `name is neither a string nor a number`,
		`"name":["x"]`:          `name is neither a string nor a number`,
		`"name":"x","id":true`:  `id is neither a string nor a number`,
		`"name":"x","limit":[]`: `limit is neither a string nor a number`,
		`"name":null`:           `the name is empty`,
	} {
		line := fmt.Sprintf(`{"workspace_id":"acme","sha256":"%x",%s}`, sha256.Sum256([]byte(fields)), fields)
		got := b.send("POST", "/v1/import", line, "Content-Type", "application/x-ndjson")
		if got.status != 200 || !strings.Contains(got.body, want) {
			t.Errorf("%s: %d %s, want %s", fields, got.status, got.body, want)
		}
	}
}
