package storetest

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"tpgate/store"
)

var journalTests = []contract{
	{name: "an audit trail without entries is empty", run: func(f *fixture) { f.entries(1, 0) }},
	{name: "entries are read newest first, as they were recorded", run: journalReadBack},
	{name: "every entry is on exactly one page, whatever is recorded meanwhile", run: journalPages},
	{name: "concurrent entries have ids of their own, which grow with time", run: journalTogether},
	{name: "of more entries the newest are kept", run: journalLength},
}

// entries returns the audit trail, walked in pages, and fails unless it has this many entries, each with an id that is less than that of the one before.
func (f *fixture) entries(page, want int) []store.Entry {
	f.Helper()
	var entries []store.Entry
	for before := ""; ; before = entries[len(entries)-1].ID {
		list, err := f.Entries(f.Context(), before, page)
		f.must(err)
		if len(list) > page {
			f.Fatalf("a page of %d has %d entries", page, len(list))
		}
		entries = append(entries, list...)
		if len(list) < page {
			break
		}
	}
	if len(entries) != want {
		f.Fatalf("the audit trail has %d entries, want %d", len(entries), want)
	}
	ids := map[string]bool{}
	for _, e := range entries {
		if e.ID == "" || ids[e.ID] {
			f.Fatalf("the id %q is empty or not unique", e.ID)
		}
		ids[e.ID] = true
	}
	return entries
}

func journalReadBack(f *fixture) {
	at := time.Date(2026, 4, 1, 10, 0, 0, 123_000_000, time.FixedZone("", 7200))
	want := []store.Entry{
		{Time: at, Actor: "admin", Action: "key.create", Workspace: "a", KeyID: store.NewID(), Address: "192.0.2.1:5555"},
		{Time: at.Add(-time.Hour), Actor: "<img onerror> =cmd|\u202e\r\n\x00 \"☃\"", Action: "import", Address: "[2001:db8::1%eth0]:1"},
		{Time: at, Action: strings.Repeat("x", 1000)},
	}
	for _, e := range want {
		e.ID = "not mine to choose"
		f.must(f.Record(f.Context(), e))
	}
	got := f.entries(10, len(want))
	slices.Reverse(got)
	for i := range want {
		want[i].ID, want[i].Time = got[i].ID, want[i].Time.UTC()
		if g, w := fmt.Sprintf("%+q", got[i]), fmt.Sprintf("%+q", want[i]); g != w {
			f.Fatalf("the entry differs:\n got %s\nwant %s", g, w)
		}
	}
}

func journalPages(f *fixture) {
	record := func(action string) {
		f.Helper()
		f.must(f.Record(f.Context(), store.Entry{Time: time.Now(), Action: action}))
	}
	for i := range 20 {
		record(fmt.Sprint(i))
	}
	for _, page := range []int{1, 3, 20, 1000} {
		for i, e := range f.entries(page, 20) {
			if e.Action != fmt.Sprint(19-i) {
				f.Fatalf("in pages of %d entry %d is %s", page, i, e.Action)
			}
		}
	}
	var seen []string
	before := ""
	for range 20 {
		list, err := f.Entries(f.Context(), before, 3)
		f.must(err)
		for _, e := range list {
			seen, before = append(seen, e.Action), e.ID
		}
		record("meanwhile")
	}
	if got, want := strings.Join(seen, " "), "19 18 17 16 15 14 13 12 11 10 9 8 7 6 5 4 3 2 1 0"; got != want {
		f.Fatalf("the walk saw %s, want %s", got, want)
	}
}

func journalTogether(f *fixture) {
	var mu sync.Mutex
	recorded := map[int]int{} // by client, how many
	together(8, func(client int) {
		for i := range 25 {
			if err := f.Record(f.Context(), store.Entry{Time: time.Now(), Actor: fmt.Sprint(client), Action: fmt.Sprint(i)}); err != nil {
				f.Error(err)
				return
			}
			mu.Lock()
			recorded[client]++
			mu.Unlock()
		}
	})
	for _, e := range f.entries(7, 200) {
		var client int
		_, err := fmt.Sscan(e.Actor, &client)
		f.must(err)
		recorded[client]--
		if e.Action != fmt.Sprint(recorded[client]) {
			f.Fatalf("of client %d comes entry %s, want %d", client, e.Action, recorded[client])
		}
	}
}

func journalLength(f *fixture) {
	if os.Getenv("TPGATE_FULL") != "1" {
		f.Skip("takes a minute: TPGATE_FULL=1")
	}
	const more = 150
	together(200, func(client int) {
		for i := client; i < store.JournalLength; i += 200 {
			if err := f.Record(f.Context(), store.Entry{Time: time.Now(), Action: "old"}); err != nil {
				f.Error(err)
				return
			}
		}
	})
	f.entries(1000, store.JournalLength)
	for i := range more {
		f.must(f.Record(f.Context(), store.Entry{Time: time.Now(), Action: "new"}))
		if i%50 == 0 {
			f.entries(1000, store.JournalLength)
		}
	}
	for i, e := range f.entries(1000, store.JournalLength) {
		if want := map[bool]string{true: "new", false: "old"}[i < more]; e.Action != want {
			f.Fatalf("entry %d is %s, want %s", i, e.Action, want)
		}
	}
}
