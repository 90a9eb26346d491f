package admin

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"tpgate/limiter"
)

func TestParseTokens(t *testing.T) {
	digest := fmt.Sprintf("%x", sha256.Sum256([]byte("secret")))
	tokens, err := ParseTokens("# who may do what\n\nci " + digest + " acme keys\nboss " + strings.ToUpper(digest) + " * admin\n")
	if err != nil || len(tokens) != 2 {
		t.Fatal(tokens, err)
	}
	if c := tokens[0].caller; c.name != "ci" || c.workspace != "acme" || c.role != roleKeys || tokens[1].workspace != "" || tokens[1].role != roleAdmin {
		t.Errorf("%+v", tokens)
	}
	_, err = ParseTokens(strings.Join([]string{
		"ci " + digest + " acme", "c/i " + digest + " acme keys", "ci 12 acme keys", "ci " + digest + " a/b keys", "ci " + digest + " acme owner", "admin " + digest + " * admin",
	}, "\n"))
	want := []string{
		"line 1: it is not NAME", "line 2: the name", "line 3: the second word is not a SHA-256", `line 4: "a/b" is neither`, `line 5: the role "owner"`, `line 6: the name "admin" is there already`,
	}
	for i, line := range strings.Split(fmt.Sprint(err), "\n") {
		if i >= len(want) || !strings.HasPrefix(line, want[i]) {
			t.Errorf("fault %d is %q", i+1, line)
		}
	}
}

func TestKeysTokenGivesNoMoreThanThereIs(t *testing.T) {
	b := newBench(t)
	tokens, err := ParseTokens(fmt.Sprintf("ci %x acme keys\n", sha256.Sum256([]byte("a secret"))))
	if err != nil {
		t.Fatal(err)
	}
	b.config.Callers = tokens
	sixty, _ := limiter.Parse("60/1m")
	for _, c := range []struct {
		workspace, limit string
		want             int
	}{
		{`null`, `"60/1m"`, 201}, {`null`, `"61/1m"`, 403}, {`null`, `"60/59s"`, 403}, {`null`, `"off"`, 403}, {`null`, `null`, 201}, {`null`, `"1/1s,60/1m"`, 201},
		{`"600/1m"`, `"600/1m"`, 201}, {`"600/1m"`, `"601/1m"`, 403}, {`"10/1m"`, `"11/1m"`, 403}, {`"10/1m"`, `"10/1h"`, 201},
	} {
		for _, service := range [][2]limiter.Limit{{sixty, limiter.Off}, {limiter.Off, sixty}} { // of keys, or of workspaces
			b.config.KeyLimit, b.config.WorkspaceLimit = service[0], service[1]
			b.serve()
			if got := b.send("PATCH", "/v1/workspaces/acme", `{"limit":`+c.workspace+`}`); got.status != 200 {
				t.Fatal(got.body)
			}
			if got := b.send("POST", keysOfAcme, `{"name":"ci","limit":`+c.limit+`}`, "Authorization", "Bearer a secret"); got.status != c.want {
				t.Errorf("a key of %s in a workspace of %s, by default %v: %d %s, want %d", c.limit, c.workspace, service, got.status, got.body, c.want)
			}
		}
	}
}
