package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// inQuota is the limit of keys that are never to run out.
const inQuota = "1000000/1m"

// workspaces is over how many of them the keys are spread.
const workspaces = 200

// makers is how many management calls are under way at once.
const makers = 16

var client = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: makers}}

// made is a key as the management API returns it.
type made struct {
	Token struct {
		ID        string `json:"id"`
		Workspace string `json:"workspace_id"`
	} `json:"token"`
	Secret string `json:"plain_token"`
}

// newKey makes a key; limit "" is the service's default. The service may ask for patience.
func (g *gate) newKey(workspace, limit string) (made, error) {
	fields := map[string]string{"name": "bench"}
	if limit != "" {
		fields["limit"] = limit
	}
	body, _ := json.Marshal(fields)
	for {
		request, err := http.NewRequest("POST", "http://"+g.admin+"/v1/workspaces/"+workspace+"/keys", bytes.NewReader(body))
		if err != nil {
			return made{}, err
		}
		request.Header.Set("Authorization", "Bearer "+g.token)
		request.Header.Set("Content-Type", "application/json")
		response, err := client.Do(request)
		if err != nil {
			return made{}, err
		}
		answer, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil {
			return made{}, err
		}
		switch response.StatusCode {
		case http.StatusCreated:
			var key made
			return key, json.Unmarshal(answer, &key)
		case http.StatusTooManyRequests:
			time.Sleep(100 * time.Millisecond)
		default:
			return made{}, fmt.Errorf("creating a key: %s %s", response.Status, answer)
		}
	}
}

// newKeys makes n keys over all workspaces and returns their secrets.
func (g *gate) newKeys(n int) ([]string, error) {
	secrets, errs := make([]string, n), make([]error, makers)
	var wait sync.WaitGroup
	for m := range makers {
		wait.Go(func() {
			for i := m; i < n && errs[m] == nil; i += makers {
				var key made
				key, errs[m] = g.newKey(fmt.Sprintf("bench-%03d", i%workspaces), "")
				secrets[i] = key.Secret
			}
		})
	}
	wait.Wait()
	return secrets, errors.Join(errs...)
}

// unknownKeys returns well-formed keys that nobody has made.
func unknownKeys(n int) []string {
	secrets := make([]string, n)
	for i := range secrets {
		secrets[i] = "tp_" + strings.ToUpper(rand.Text())[:24] + strings.ToLower(rand.Text())[:24]
	}
	return secrets
}

// script writes a script for wrk that asks with these keys, in random order, each request formatted beforehand; and says at the end what wrk has counted, as JSON.
func (b *bench) script(name string, secrets []string) (string, error) {
	keys, path := filepath.Join(b.dir, name+".keys"), filepath.Join(b.dir, name+".lua")
	err := errors.Join(
		os.WriteFile(keys, []byte(strings.Join(secrets, "\n")+"\n"), 0o600),
		os.WriteFile(path, []byte(strings.ReplaceAll(scriptText, "KEYS", keys)), 0o600))
	return path, err
}

const scriptText = `local requests, n, at, ordered = {}, 0, 0, false

function init(args)
  ordered = args[1] == "ordered"
  math.randomseed(os.time())
  for key in io.lines("KEYS") do
    n = n + 1
    requests[n] = wrk.format("GET", nil, {Authorization = "Bearer " .. key})
  end
end

function request()
  if ordered then
    at = at % n + 1
    return requests[at]
  end
  return requests[math.random(n)]
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format('RESULT {"requests":%d,"micros":%d,"p50":%d,"p99":%d,"refused":%d,"broken":%d}\n', summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), e.status, e.connect + e.read + e.write + e.timeout))
end
`
