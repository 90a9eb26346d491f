package storetest

import (
	"bytes"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"tpgate/store"
)

var noteTests = []contract{
	{name: "a note is kept for the first who claims its name", run: noteClaim},
	{name: "of many concurrent claims exactly one wins, and the others learn its value", run: noteClaimTogether},
	{name: "a note is replaced only by who knows its value", run: noteReplace},
	{name: "of many concurrent replacements exactly one wins", run: noteReplaceTogether},
	{name: "a note lasts as long as it was given, no less and no more", run: noteEnds},
	{name: "a replaced note lasts as long as its replacement was given", run: noteReplacedLasts},
}

func (f *fixture) claim(name, value string, ttl time.Duration) []byte {
	f.Helper()
	found, err := f.Claim(f.Context(), name, []byte(value), ttl)
	f.must(err)
	return found
}

// wantNote fails unless this is the value of the note.
func (f *fixture) wantNote(name, want string) {
	f.Helper()
	if got := f.claim(name, "another", time.Hour); string(got) != want {
		f.Fatalf("the note %s is %q, want %q", name, got, want)
	}
}

func noteClaim(f *fixture) {
	for _, name := range []string{"a", "A", "a:b/c {d} ☃", store.NewID()} {
		value := "\x00\xff binary\r\n" + name
		if got := f.claim(name, value, time.Hour); got != nil {
			f.Fatalf("a new note has the value %q", got)
		}
		f.wantNote(name, value)
		f.wantNote(name, value)
	}
	large := string(bytes.Repeat([]byte("0123456789abcdef"), 4096))
	f.claim("large", large, time.Hour)
	f.wantNote("large", large)
}

func noteClaimTogether(f *fixture) {
	for round := range 3 {
		name := fmt.Sprint("name", round)
		var winners atomic.Int64
		values := make([]string, 50)
		together(50, func(i int) {
			found, err := f.Claim(f.Context(), name, fmt.Append(nil, i), time.Hour)
			if err != nil {
				f.Error(err)
			}
			if values[i] = string(found); found == nil {
				winners.Add(1)
				values[i] = fmt.Sprint(i)
			}
		})
		if n := winners.Load(); n != 1 {
			f.Fatalf("%d claims won", n)
		}
		for _, v := range values {
			if v != values[0] {
				f.Fatalf("the values differ: %q", values)
			}
		}
	}
}

func noteReplace(f *fixture) {
	replace := func(name, old string, value []byte, want bool) {
		f.Helper()
		done, err := f.Replace(f.Context(), name, []byte(old), value, time.Hour)
		f.must(err)
		if done != want {
			f.Fatalf("replacing %s of %s: %t, want %t", old, name, done, want)
		}
	}
	replace("none", "old", []byte("new"), false)
	f.claim("a", "one", time.Hour)
	f.claim("b", "one", time.Hour)
	replace("a", "two", []byte("three"), false)
	f.wantNote("a", "one")
	replace("a", "one", []byte("two"), true)
	f.wantNote("a", "two")
	replace("a", "one", []byte("three"), false)
	f.wantNote("a", "two")
	f.wantNote("b", "one")

	replace("a", "one", nil, false)
	f.wantNote("a", "two")
	replace("a", "two", nil, true)
	replace("a", "two", []byte("three"), false)
	if got := f.claim("a", "four", time.Hour); got != nil {
		f.Fatalf("a note that was removed is %q", got)
	}
	f.wantNote("a", "four")
}

func noteReplaceTogether(f *fixture) {
	value := "first"
	f.claim("a", value, time.Hour)
	for round := range 5 {
		won := make([]bool, 20)
		together(len(won), func(i int) {
			var err error
			if won[i], err = f.Replace(f.Context(), "a", []byte(value), fmt.Append(nil, round, i), time.Hour); err != nil {
				f.Error(err)
			}
		})
		winner := slices.Index(won, true)
		if winner < 0 || slices.Contains(won[winner+1:], true) {
			f.Fatalf("who won: %v, want one", won)
		}
		value = fmt.Sprint(round, winner)
		f.wantNote("a", value)
	}
}

// noteEnds claims a note again and again. That it ends is waited for; that it does not end early is measured, so a slow computer disturbs neither.
func noteEnds(f *fixture) {
	const ttl = 200 * time.Millisecond
	claimed := time.Now()
	f.claim("a", "one", ttl)
	for deadline := claimed.Add(30 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		found := f.claim("a", "two", time.Hour)
		took := time.Since(claimed)
		if found == nil && took < ttl-2*time.Millisecond {
			f.Fatalf("a note of %s has ended after %s", ttl, took)
		}
		if found == nil {
			break
		}
		if time.Now().After(deadline) {
			f.Fatalf("a note of %s has not ended after %s", ttl, took)
		}
	}
	f.wantNote("a", "two")

	f.claim("b", "one", time.Millisecond)
	time.Sleep(20 * time.Millisecond)
	if done, err := f.Replace(f.Context(), "b", []byte("one"), []byte("two"), time.Hour); done || err != nil {
		f.Fatalf("a note that has ended was replaced: %t (error %v)", done, err)
	}
}

func noteReplacedLasts(f *fixture) {
	const ttl = 200 * time.Millisecond
	for range 20 {
		name := store.NewID()
		f.claim(name, "one", ttl)
		done, err := f.Replace(f.Context(), name, []byte("one"), []byte("two"), time.Hour)
		f.must(err)
		if !done {
			continue // this computer was so busy that the note had ended
		}
		time.Sleep(ttl + 50*time.Millisecond)
		f.wantNote(name, "two")
		return
	}
	f.Fatal("20 notes ended before they could be replaced")
}
