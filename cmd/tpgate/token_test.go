package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// TestAdminTokenIsMadeOnce starts many instances on one directory at once: all use the token of the first.
func TestAdminTokenIsMadeOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "by", "tpgate", "admin-token")
	tokens := make([]string, 32)
	var all sync.WaitGroup
	for i := range tokens {
		all.Go(func() {
			var err error
			if tokens[i], err = adminToken(path); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, token := range tokens {
		if token != tokens[0] || !regexp.MustCompile(`^tpa_[A-Za-z0-9]{48}$`).MatchString(token) {
			t.Fatalf("%q and %q", tokens[0], token)
		}
	}
	about, err := os.Stat(path)
	if err != nil || about.Mode() != 0o600 {
		t.Errorf("%v, %v", about.Mode(), err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("something was left beside the token: %v, %v", entries, err)
	}
}

func TestAdminTokenFiles(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		mode fs.FileMode
		good bool
	}{
		"good":           {"tpa_long-enough-to-be-a-token\n", 0o600, true},
		"of a group":     {"tpa_long-enough-to-be-a-token", 0o640, true},
		"CRLF":           {"tpa_long-enough-to-be-a-token\r\n", 0o400, true},
		"all may read":   {"tpa_long-enough-to-be-a-token", 0o644, true},
		"all may write":  {"tpa_long-enough-to-be-a-token", 0o602, true},
		"short":          {"tpa_short", 0o600, false},
		"empty":          {"\n", 0o600, false},
		"two lines":      {"tpa_long-enough-to-be-a-token\ntpa_long-enough-to-be-a-token\n", 0o600, false},
		"not for header": {"tpa_lang-genug-für-ein-token", 0o600, false},
	} {
		path := filepath.Join(t.TempDir(), "admin-token")
		if err := errors.Join(os.WriteFile(path, []byte(test.text), 0o600), os.Chmod(path, test.mode)); err != nil {
			t.Fatal(err)
		}
		token, err := adminToken(path)
		if (err == nil) != test.good || test.good && token != "tpa_long-enough-to-be-a-token" {
			t.Errorf("%s: %q, %v", name, token, err)
		}
		if warned := openToAll(path) != ""; warned != strings.HasPrefix(name, "all") {
			t.Errorf("%s: warned: %t", name, warned)
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != test.text {
			t.Errorf("%s: the file was changed: %q, %v", name, text, err)
		}
	}
}

func TestPlain(t *testing.T) {
	for text, want := range map[string]string{
		"ci":                       "ci",
		"Zürich 東京 🔑":              "Zürich 東京 🔑",
		"\x1b[2J\x1b]0;x\a":        `\u001B[2J\u001B]0;x\u0007`,
		"a\r\nb\tc":                `a\u000D\u000Ab\u0009c`,
		"\u202eevil\u2066":         `\u202Eevil\u2066`,
		"\u0085\u2028\ufeff\u200b": `\u0085\u2028\uFEFF\u200B`,
		"\x00":                     `\u0000`,
		"\xff":                     "\ufffd",
		"a\u00a0b":                 `a\u00A0b`,
		`<img onerror=x>`:          `<img onerror=x>`,
	} {
		if got := plain(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
