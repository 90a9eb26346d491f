package storetest

import (
	"errors"
	"fmt"
	"slices"

	"tpgate/limiter"
	"tpgate/store"
)

var workspaceTests = []contract{
	{name: "a workspace that nobody has touched exists, without settings", run: untouched},
	{name: "a workspace's settings are read back as they were set", run: settings},
	{name: "a change of settings that fails changes nothing", run: failedSettings},
	{name: "a workspace counts its keys", run: keyCount},
	{name: "workspaces that have or had keys or settings are listed in order", run: listWorkspaces},
	{name: "settings and keys do not disturb each other", run: settingsAndKeys},
}

func (f *fixture) workspace(id string) store.Workspace {
	f.Helper()
	w, err := f.Workspace(f.Context(), id)
	f.must(err)
	return w
}

func untouched(f *fixture) {
	if got := f.workspace("nobody"); got != (store.Workspace{ID: "nobody"}) {
		f.Fatalf("got %+v", got)
	}
	list, err := f.ListWorkspaces(f.Context(), "", 10)
	f.must(err)
	if len(list) != 0 {
		f.Fatalf("listed are %+v, want none", list)
	}
}

func settings(f *fixture) {
	tenth := limit(f, "600/1m,10/1s")
	set := f.set("a", func(w *store.Workspace) {
		w.Limit, w.Suspended, w.ID, w.Keys, w.Version = tenth, true, "b", 77, 99
	})
	want := store.Workspace{ID: "a", Limit: tenth, Suspended: true, Version: 1}
	if got := f.workspace("a"); got != want || set != want {
		f.Fatalf("set %+v, got %+v, want %+v", set, got, want)
	}
	f.set("a", func(w *store.Workspace) { w.Limit = limiter.Limit{} })
	want = store.Workspace{ID: "a", Suspended: true, Version: 2}
	if got := f.workspace("a"); got != want {
		f.Fatalf("got %+v, want %+v", got, want)
	}
	f.set("a", func(w *store.Workspace) { w.Limit, w.Suspended = limiter.Off, false })
	want = store.Workspace{ID: "a", Limit: limiter.Off, Version: 3}
	if got := f.workspace("a"); got != want {
		f.Fatalf("got %+v, want %+v", got, want)
	}
	if got := f.workspace("b"); got != (store.Workspace{ID: "b"}) {
		f.Fatalf("the other workspace: got %+v", got)
	}
}

func failedSettings(f *fixture) {
	own := errors.New("my own")
	_, err := f.UpdateWorkspace(f.Context(), "a", func(w *store.Workspace) error { w.Suspended = true; return own })
	if err != own {
		f.Fatalf("error %v, want that of the change itself", err)
	}
	f.want(store.Allowed, f.create("a").Digest)
	if got := f.workspace("a"); got.Suspended {
		f.Fatalf("got %+v", got)
	}
}

func keyCount(f *fixture) {
	count := func(want int) {
		f.Helper()
		list, err := f.ListWorkspaces(f.Context(), "", 10)
		f.must(err)
		if got := f.workspace("a").Keys; got != want || list[0].Keys != want {
			f.Fatalf("the workspace has %d keys, %d in the list, want %d", got, list[0].Keys, want)
		}
	}
	first := f.create("a")
	f.create("a", expired)
	count(2)
	f.set("a", suspend)
	f.update(first, disabled)
	f.rotate(first, first.CreatedAt)
	count(2)
	f.must(f.DeleteKey(f.Context(), "a", first.ID))
	count(1)
	f.create("a")
	count(2)
	f.must(f.DeleteKeys(f.Context(), "a"))
	count(0)
	f.create("a")
	count(1)
}

func listWorkspaces(f *fixture) {
	want := []string{"-", "10", "2", "B", "_", "a", "a-b", "ab", "b"}
	for i, id := range want {
		switch i % 3 {
		case 0:
			f.create(id)
		case 1:
			f.set(id, func(w *store.Workspace) { w.Limit = limiter.Off })
		case 2:
			f.must(f.DeleteKey(f.Context(), id, f.create(id).ID))
		}
	}
	for _, page := range []int{1, 2, 4, 100} {
		var got []string
		for after := ""; ; after = got[len(got)-1] {
			list, err := f.ListWorkspaces(f.Context(), after, page)
			f.must(err)
			for _, w := range list {
				got = append(got, w.ID)
			}
			if len(list) < page {
				break
			}
		}
		if !slices.Equal(got, want) {
			f.Fatalf("in pages of %d the workspaces are %v, want %v", page, got, want)
		}
	}
	list, err := f.ListWorkspaces(f.Context(), "aa", 1)
	f.must(err)
	if fmt.Sprint(list) != fmt.Sprint([]store.Workspace{f.workspace("ab")}) {
		f.Fatalf("after aa comes %v, want ab", list)
	}
}

func settingsAndKeys(f *fixture) {
	key := f.create("a")
	f.set("a", func(w *store.Workspace) { w.Limit = limit(f, "5/1m") })
	f.create("a")
	f.must(f.DeleteKey(f.Context(), "a", key.ID))
	f.must(f.DeleteKeys(f.Context(), "a"))
	if got := f.workspace("a"); got.Limit.String() != "5/1m" || got.Suspended {
		f.Fatalf("after changes of keys the settings are %+v", got)
	}
	key = f.create("a")
	f.set("a", suspend)
	f.set("a", lift)
	got, err := f.Key(f.Context(), "a", key.ID)
	f.must(err)
	f.same(got, key)
}
