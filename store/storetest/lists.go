package storetest

import (
	"fmt"
	"slices"
	"time"

	"tpgate/store"
)

var listTests = []contract{
	{name: "keys are listed newest first, those of one time by their ids", run: listOrder},
	{name: "a workspace without keys has an empty list", run: emptyList},
	{name: "a list shows keys as they are", run: listedKeys},
	{name: "every key that stays is on exactly one page, whatever comes and goes", run: stablePages},
}

func listOrder(f *fixture) {
	base := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, at := range []struct {
		id string
		ms int
	}{{"c", 10}, {"a", 30}, {"e", 10}, {"Z", 10}, {"b", 20}, {"d", 10}, {"_", 40}, {"f", 0}} {
		f.create("a", func(k *store.Key) { k.ID, k.CreatedAt = at.id, base.Add(time.Duration(at.ms)*time.Millisecond) })
	}
	f.create("b")
	want := []string{"_", "a", "b", "e", "d", "c", "Z", "f"}
	for _, page := range []int{1, 2, 3, 8, 1000} {
		if got := f.ids("a", page); !slices.Equal(got, want) {
			f.Fatalf("in pages of %d the keys are %v, want %v", page, got, want)
		}
	}
}

func emptyList(f *fixture) {
	f.create("b")
	for _, after := range []store.Position{{}, {CreatedAt: time.Now(), ID: "x"}} {
		keys, err := f.ListKeys(f.Context(), "a", after, 10)
		f.must(err)
		if len(keys) != 0 {
			f.Fatalf("%d keys are listed", len(keys))
		}
	}
}

func listedKeys(f *fixture) {
	key := f.create("a", f.withLimit("3/1m"), ended(time.Now().Add(time.Hour)))
	f.want(store.Allowed, key.Digest)
	f.update(key, func(k *store.Key) { k.Name, k.Disabled = "renamed", true })
	f.create("a", expired)
	keys, err := f.ListKeys(f.Context(), "a", store.Position{}, 10)
	f.must(err)
	if len(keys) != 2 {
		f.Fatalf("%d keys are listed, want 2, the expired one too", len(keys))
	}
	for _, listed := range keys {
		read, err := f.Key(f.Context(), "a", listed.ID)
		f.must(err)
		f.same(listed, read)
	}
}

// stablePages walks over 40 keys that stay; between the pages keys are deleted and made on both sides of the walk, also the one that the position names.
func stablePages(f *fixture) {
	base := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(ms int) func(*store.Key) {
		return func(k *store.Key) { k.CreatedAt = base.Add(time.Duration(ms) * time.Millisecond) }
	}
	seen := map[string]int{}
	var goes []store.Key
	for i := range 40 {
		seen[f.create("a", at(10*i)).ID] = 0
		goes = append(goes, f.create("a", at(10*i)), f.create("a", at(10*i+5)))
	}
	after := store.Position{}
	for page := range 100 {
		keys, err := f.ListKeys(f.Context(), "a", after, 7)
		f.must(err)
		if len(keys) == 0 {
			break
		}
		for _, k := range keys {
			if _, stays := seen[k.ID]; stays {
				seen[k.ID]++
			}
			after = store.Position{CreatedAt: k.CreatedAt, ID: k.ID}
		}
		goes = slices.DeleteFunc(goes, func(k store.Key) bool {
			ends := k.ID == after.ID || page%2 == 0 && k.CreatedAt.UnixMilli()%4 == 1
			if ends {
				f.must(f.DeleteKey(f.Context(), "a", k.ID))
			}
			return ends
		})
		goes = append(goes, f.create("a", at(1000+page)), f.create("a", at(399-17*page)))
	}
	for id, times := range seen {
		if times != 1 {
			f.Fatalf("key %s was on %s", id, fmt.Sprintf("%d pages", times))
		}
	}
}
