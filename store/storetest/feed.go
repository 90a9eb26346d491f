package storetest

import (
	"errors"
	"fmt"
	"strings"

	"tpgate/store"
)

var feedTests = []contract{
	{name: "who listens from the end hears of what comes, in order", run: feedFollows},
	{name: "the feed goes on where somebody stopped listening", run: feedResumes},
	{name: "a listener that missed more than the feed keeps is told of the gap", run: feedGap},
	{name: "concurrent announcements are all heard", run: feedTogether},
}

// heard returns what was announced after an id, in pages, and the id of the last.
func (f *fixture) heard(after string, page int) (keys string, last string) {
	f.Helper()
	var words []string
	for {
		list, err := f.Revocations(f.Context(), after, page)
		f.must(err)
		for _, r := range list {
			words, after = append(words, r.Workspace+"/"+r.KeyID), r.ID
		}
		if len(list) < page {
			return strings.Join(words, " "), after
		}
	}
}

func (f *fixture) announce(keys ...string) {
	f.Helper()
	var list []store.Revocation
	for _, key := range keys {
		list = append(list, store.Revocation{Workspace: "acme", KeyID: key})
	}
	f.must(f.Announce(f.Context(), list))
}

func (f *fixture) end() string {
	f.Helper()
	last, err := f.LastRevocation(f.Context())
	f.must(err)
	return last
}

func feedFollows(f *fixture) {
	start := f.end()
	if heard, _ := f.heard(start, 10); heard != "" {
		f.Fatalf("heard %q before anything was announced", heard)
	}
	f.announce("a")
	f.announce("b", "c")
	f.must(f.Announce(f.Context(), nil))
	for _, page := range []int{1, 2, 10} {
		heard, last := f.heard(start, page)
		if heard != "acme/a acme/b acme/c" || last != f.end() {
			f.Fatalf("in pages of %d: heard %q up to %s, want up to %s", page, heard, last, f.end())
		}
	}
}

func feedResumes(f *fixture) {
	f.announce("a", "b")
	stopped := f.end()
	f.announce("c")
	if heard, _ := f.heard(stopped, 10); heard != "acme/c" {
		f.Fatalf("heard %q, want acme/c", heard)
	}
	if again := f.end(); again == stopped {
		f.Fatal("the end did not move")
	}
}

func feedGap(f *fixture) {
	start := f.end()
	f.announce("first")
	first := f.end()
	many := make([]string, store.FeedLength)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	f.announce(many...)
	for _, after := range []string{start, "", "x", "1-", "-1", "9999999999999-0", f.end() + "0", "*", "$"} {
		if _, err := f.Revocations(f.Context(), after, 10); !errors.Is(err, store.ErrGap) {
			f.Errorf("after %q: %v, want ErrGap", after, err)
		}
	}
	if _, err := f.Revocations(f.Context(), first, 10); err != nil && !errors.Is(err, store.ErrGap) { // all that came after it is there, which a store need not know
		f.Error(err)
	}
	f.announce("last")
	if _, err := f.Revocations(f.Context(), first, 10); !errors.Is(err, store.ErrGap) {
		f.Errorf("%v, want ErrGap", err)
	}
}

func feedTogether(f *fixture) {
	start := f.end()
	together(8, func(client int) {
		for i := range 25 {
			if err := f.Announce(f.Context(), []store.Revocation{{Workspace: fmt.Sprint(client), KeyID: fmt.Sprint(i)}}); err != nil {
				f.Error(err)
			}
		}
	})
	heard, _ := f.heard(start, 30)
	seen := map[string]int{}
	for word := range strings.FieldsSeq(heard) {
		client, number, _ := strings.Cut(word, "/")
		if number != fmt.Sprint(seen[client]) {
			f.Fatalf("of client %s comes %s, want %d", client, number, seen[client])
		}
		seen[client]++
	}
	for client := range 8 {
		if seen[fmt.Sprint(client)] != 25 {
			f.Fatalf("heard %v", seen)
		}
	}
}
