package test

import (
	"net/http"
	"strings"
	"testing"
)

// unknown is a key of the right form that nobody has.
var unknown = "tp_" + strings.Repeat("0", 48)

// TestEmptiedRedis empties Redis under a running instance. A store that has lost its keys cannot tell a wrong key from a lost one: it must not say 401, and nobody may take it for a new one.
func TestEmptiedRedis(t *testing.T) {
	redis := startRedis(t)
	g := startGate(t, "--redis-url", redis.url())
	key, never := g.mustKey("acme", nil), g.mustKey("acme", nil)
	c := newClient(t, g.data)
	expect := func(secret string, status int) {
		t.Helper()
		if got, err := c.check(secret); err != nil || got.status != status {
			t.Errorf("a check was answered %d, %v: it must be %d", got.status, err, status)
		}
	}
	expect(key.Secret, http.StatusOK)
	expect(unknown, http.StatusUnauthorized)
	if reply, err := redis.command("FLUSHALL"); err != nil || reply != "+OK" {
		t.Fatalf("FLUSHALL: %s, %v", reply, err)
	}
	for range 3 {
		for _, secret := range []string{key.Secret, never.Secret, unknown} {
			expect(secret, http.StatusServiceUnavailable)
		}
	}
	for _, call := range []struct {
		method, path string
		body         fields
	}{
		{"GET", key.path(), nil},
		{"GET", "/v1/workspaces", nil},
		{"GET", "/v1/workspaces/acme", nil},
		{"GET", "/v1/workspaces/acme/keys", nil},
		{"POST", "/v1/workspaces/acme/keys", fields{"name": "more"}},
		{"POST", "/v1/workspaces/other/keys", fields{"name": "more"}},
		{"PATCH", "/v1/workspaces/acme", fields{"suspended": true}},
		{"PATCH", key.path(), fields{"disabled": true}},
		{"POST", key.path() + "/rotate", fields{}},
		{"DELETE", key.path(), nil},
		{"DELETE", "/v1/workspaces/acme/keys", nil},
	} {
		if err := g.manage(call.method, call.path, call.body, nil); err == nil || !strings.Contains(err.Error(), "503") {
			t.Errorf("%s %s: %v, not 503", call.method, call.path, err)
		}
	}
	expect(unknown, http.StatusServiceUnavailable)
	if code := g.stop(); code != 0 {
		t.Errorf("ending the instance: exit code %d", code)
	}

	refusing := g.launch()
	if code := refusing.waitEnd(t); code == 0 || !strings.Contains(refusing.output.String(), "--accept-empty-store") {
		t.Errorf("started on the emptied Redis: exit code %d, and it says %q", code, refusing.output.String())
	}
	g.restart("--accept-empty-store")
	c.close()
	expect(key.Secret, http.StatusUnauthorized)
	expect(g.mustKey("acme", nil).Secret, http.StatusOK)
	g.stop()
	g.restart() // and from now on without it
	c.close()
	expect(key.Secret, http.StatusUnauthorized)
}
