package test

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
	"time"
)

// listen opens the feed of revocations after an id ("": now), and returns its lines; the channel is closed when the feed ends.
func (g *gate) listen(after string) <-chan string {
	g.t.Helper()
	request, err := http.NewRequest("GET", "http://"+g.admin+"/v1/revocations", nil)
	if err != nil {
		g.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+g.token)
	if after != "" {
		request.Header.Set("Last-Event-ID", after)
	}
	response, err := (&http.Client{}).Do(request) // without a time limit
	if err != nil || response.StatusCode != http.StatusOK {
		g.t.Fatal(response, err)
	}
	g.t.Cleanup(func() { _ = response.Body.Close() })
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for in := bufio.NewScanner(response.Body); in.Scan(); {
			lines <- in.Text()
		}
	}()
	return lines
}

// TestFeedOfInstances ends keys on one instance and listens on another: for longer than any request may take there, and on after that instance was killed.
func TestFeedOfInstances(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	a, b := startGate(t, "--redis-url", redis.url()), startGate(t, "--redis-url", redis.url())
	lines, id := a.listen(""), ""
	end := func() {
		t.Helper()
		key := b.mustKey("acme", nil)
		if err := b.manage("DELETE", key.path(), nil, nil); err != nil {
			t.Fatal(err)
		}
		want := `data: {"id":"` + key.ID + `","workspace_id":"acme"}`
		for timeout := time.After(patience); ; {
			select {
			case line, open := <-lines:
				if !open {
					t.Fatalf("the feed ended, and it lacks %s", want)
				}
				if rest, ok := strings.CutPrefix(line, "id: "); ok {
					id = rest
				}
				if line == want {
					return
				}
			case <-timeout:
				t.Fatalf("nothing heard of %s", want)
			}
		}
	}
	end()
	time.Sleep(17 * time.Second) // a request is read for 15
	end()
	a.crash()
	lost := b.mustKey("acme", nil)
	if err := b.manage("DELETE", lost.path(), nil, nil); err != nil {
		t.Fatal(err)
	}
	a.restart()
	lines = a.listen(id)
	for line := range lines {
		if strings.HasPrefix(line, "data: ") {
			if !strings.Contains(line, lost.ID) {
				t.Errorf("after the restart comes %s first, want that %s has ended", line, lost.ID)
			}
			break
		}
	}
	end()
	a.stop()
	for range lines { // ends
	}
}
