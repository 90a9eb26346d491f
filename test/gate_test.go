package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// gate is one instance of tpgate.
type gate struct {
	t                *testing.T
	data, admin, ops string // addresses
	dir              string
	flags            []string
	token            string // of the management API
	program          *program
}

// newGate returns an instance that is not started yet.
func newGate(t *testing.T, flags ...string) *gate {
	t.Helper()
	return &gate{t: t, data: freeAddress(t), admin: freeAddress(t), ops: freeAddress(t), dir: t.TempDir(), flags: flags}
}

// startGate starts an instance. The time for a decision is longer than the default, as tests share two cores with compilers.
func startGate(t *testing.T, flags ...string) *gate {
	t.Helper()
	g := newGate(t, flags...)
	g.restart()
	return g
}

// launch starts the program without waiting for it.
func (g *gate) launch(more ...string) *program {
	g.t.Helper()
	dependOnSources(g.t)
	args := []string{"serve", "--listen", g.data, "--admin-listen", g.admin, "--ops-listen", g.ops, "--data-dir", g.dir, "--drain", "0s", "--decision-timeout", "1s"}
	g.program = start(g.t, nil, binary, append(append(args, g.flags...), more...)...)
	return g.program
}

// restart starts the instance on the same addresses and waits until it is ready.
func (g *gate) restart(more ...string) {
	g.t.Helper()
	g.launch(more...).waitFor(g.t, "ready", func() bool {
		response, err := http.Get("http://" + g.ops + "/readyz")
		if err == nil {
			_ = response.Body.Close()
		}
		return err == nil && response.StatusCode == http.StatusOK
	})
	token, err := os.ReadFile(filepath.Join(g.dir, "admin-token"))
	if err != nil {
		g.t.Fatal(err)
	}
	g.token = strings.TrimSpace(string(token))
}

// crash kills the instance; stop asks it to end.
func (g *gate) crash() { g.program.kill() }

func (g *gate) stop() int {
	g.program.signal(syscall.SIGTERM)
	return g.program.waitEnd(g.t)
}

// apiKey is a key with its secret.
type apiKey struct {
	ID        string `json:"id"`
	Workspace string `json:"workspace_id"`
	Secret    string `json:"-"`
}

// path is the key's in the management API.
func (k apiKey) path() string { return "/v1/workspaces/" + k.Workspace + "/keys/" + k.ID }

// fields are those of a JSON object.
type fields map[string]any

// newKey makes a key of a workspace; more fields may be given.
func (g *gate) newKey(workspace string, more fields) (apiKey, error) {
	body := fields{"name": "test"}
	maps.Copy(body, more)
	var made struct {
		Token  apiKey `json:"token"`
		Secret string `json:"plain_token"`
	}
	if err := g.manage("POST", "/v1/workspaces/"+workspace+"/keys", body, &made); err != nil {
		return apiKey{}, err
	}
	made.Token.Secret = made.Secret
	return made.Token, nil
}

// mustKey is newKey for a test's own goroutine.
func (g *gate) mustKey(workspace string, more fields) apiKey {
	g.t.Helper()
	key, err := g.newKey(workspace, more)
	if err != nil {
		g.t.Fatal(err)
	}
	return key
}

// manage calls the management API. An answer that is not 2xx is an error.
func (g *gate) manage(method, path string, body fields, into any) error {
	var text []byte
	if body != nil {
		text, _ = json.Marshal(body)
	}
	request, err := http.NewRequest(method, "http://"+g.admin+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+g.token)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := managementClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s %s", method, path, response.Status, answer)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}

var managementClient = &http.Client{Timeout: 10 * time.Second}
