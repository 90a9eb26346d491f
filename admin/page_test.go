package admin

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var linkForm = regexp.MustCompile(`^<(/v1/[A-Za-z0-9/_-]+\?cursor=[A-Za-z0-9_-]+&limit=\d+)>; rel="next"$`)

// next returns the target of an answer's Link, "" if there is none.
func (b *bench) next(a answer) string {
	b.t.Helper()
	link := a.header.Get("Link")
	if link == "" {
		return ""
	}
	found := linkForm.FindStringSubmatch(link)
	if found == nil {
		b.t.Fatalf("Link %q", link)
	}
	return found[1]
}

// TestPagesWhileKeysComeAndGo walks all pages while keys are made and deleted: what was there all the time comes exactly once, newest first.
func TestPagesWhileKeysComeAndGo(t *testing.T) {
	b := newBench(t)
	var stays, leaves []string
	for i := range 30 {
		id := b.create("acme", `{"name":"ci"}`).Token.ID
		if i%3 == 0 {
			leaves = append(leaves, id)
		} else {
			stays = append(stays, id)
		}
	}
	slices.Reverse(leaves)
	var seen []string
	var last Key
	for target, pages := "/v1/workspaces/acme/keys?limit=4", 0; target != ""; pages++ {
		got := b.send("GET", target, "")
		keys := decode[[]Key](t, got)
		if got.status != 200 || len(keys) == 0 || len(keys) > 4 || pages > 20 {
			t.Fatalf("page %d: %d %s", pages, got.status, got.body)
		}
		for _, key := range keys {
			// The keys of this test are made one after the other, so the times order them; of two in the same millisecond the id does.
			if last.ID != "" && (*key.CreatedAt > *last.CreatedAt && len(*key.CreatedAt) == len(*last.CreatedAt) || key.ID == last.ID) {
				t.Errorf("%+v after %+v", key, last)
			}
			last = key
			seen = append(seen, key.ID)
		}
		b.create("acme", `{"name":"came later"}`)
		// What the cursor stands on, and something of pages to come, is deleted.
		if slices.Contains(leaves, last.ID) {
			b.send("DELETE", "/v1/workspaces/acme/keys/"+last.ID, "")
		}
		if pages < len(leaves) {
			b.send("DELETE", "/v1/workspaces/acme/keys/"+leaves[pages], "")
		}
		target = b.next(got)
	}
	counts := map[string]int{}
	for _, id := range seen {
		counts[id]++
	}
	for _, id := range stays {
		if counts[id] != 1 {
			t.Errorf("key %s was listed %d times", id, counts[id])
		}
	}
	for id, n := range counts {
		if n > 1 || !slices.Contains(stays, id) && !slices.Contains(leaves, id) {
			t.Errorf("%s came %d times", id, n)
		}
	}
}

func TestPageSizes(t *testing.T) {
	b := newBench(t)
	for range 101 {
		b.create("acme", `{"name":"ci"}`)
	}
	for query, want := range map[string]int{"": 100, "?limit=1": 1, "?limit=100": 100, "?limit=101": 101, "?limit=1000": 101, "?other=1": 100} {
		got := b.send("GET", "/v1/workspaces/acme/keys"+query, "")
		if n := len(decode[[]Key](t, got)); n != want || (b.next(got) != "") != (want < 101) {
			t.Errorf("%q: %d keys, Link %q", query, n, got.header.Get("Link"))
		}
	}
	for _, query := range []string{"limit=0", "limit=1001", "limit=-1", "limit=", "limit=x", "limit=1e2", "limit=99999999999999999999", "limit=%zz", "limit=1;limit=2", "cursor="} {
		for _, list := range []string{"/v1/workspaces", "/v1/workspaces/acme/keys"} {
			got := b.send("GET", list+"?"+query, "")
			if got.status != 400 || !strings.HasPrefix(decode[Problem](t, got).Message, "The request is malformed: ") {
				t.Errorf("%s?%s: %d %s", list, query, got.status, got.body)
			}
		}
	}
}

func TestWorkspacePages(t *testing.T) {
	b := newBench(t)
	var want []string
	for i := range 7 {
		id := fmt.Sprintf("w%d", i)
		b.create(id, `{"name":"ci"}`)
		want = append(want, id)
	}
	b.send("PATCH", "/v1/workspaces/set", `{"limit":"1/1s"}`)
	want = append([]string{"set"}, want...)
	var got []string
	for target := "/v1/workspaces?limit=3"; target != ""; {
		page := b.send("GET", target, "")
		for _, workspace := range decode[[]Workspace](t, page) {
			got = append(got, workspace.ID)
		}
		target = b.next(page)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestCursorsOfOthersAreRefused(t *testing.T) {
	b := newBench(t)
	for range 3 {
		b.create("acme", `{"name":"ci"}`)
		b.create("other", `{"name":"secret of others"}`)
	}
	target := b.next(b.send("GET", "/v1/workspaces/acme/keys?limit=1", ""))
	address, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	cursor := address.Query().Get("cursor")
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		t.Fatal(err)
	}
	tampered := map[string]string{
		"empty tag": base64.RawURLEncoding.EncodeToString(append(make([]byte, 16), raw[16:]...)),
		"tag alone": base64.RawURLEncoding.EncodeToString(raw[:16]),
		"no tag":    base64.RawURLEncoding.EncodeToString(raw[16:]),
		"padded":    cursor + "=", "cut": cursor[:len(cursor)-2], "longer": cursor + "AAAA", "10 KB": strings.Repeat("A", 10<<10), "not base64": "!!!!", "text": "0/x", "NUL": "%00",
	}
	for i := range raw {
		changed := slices.Clone(raw)
		changed[i] ^= 1
		tampered[fmt.Sprintf("byte %d", i)] = base64.RawURLEncoding.EncodeToString(changed)
	}
	const refusal = `{"message":"The request is malformed: its cursor is not one that this list has given."}` + "\n"
	for name, other := range tampered {
		if got := b.send("GET", "/v1/workspaces/acme/keys?cursor="+other, ""); got.status != 400 || got.body != refusal {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	for _, list := range []string{"/v1/workspaces/other/keys", "/v1/workspaces"} {
		if got := b.send("GET", list+"?cursor="+cursor, ""); got.status != 400 || got.body != refusal {
			t.Errorf("%s: %d %s", list, got.status, got.body)
		}
	}
	if got := b.send("GET", "/v1/workspaces/acme/keys?limit=2&cursor="+cursor, ""); len(decode[[]Key](t, got)) != 2 {
		t.Errorf("with another limit the cursor goes on: %d %s", got.status, got.body)
	}
	b.serve()
	if got := b.send("GET", target, ""); got.status != 200 {
		t.Errorf("another instance with the same admin token: %d", got.status)
	}
	b.config.AdminToken += "2"
	b.serve()
	if got := b.send("GET", target, "", "Authorization", "Bearer "+b.config.AdminToken); got.status != 400 {
		t.Errorf("an instance with another admin token: %d", got.status)
	}
}
