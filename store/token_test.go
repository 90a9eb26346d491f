package store_test

import (
	"bytes"
	"crypto/sha256"
	"regexp"
	"strings"
	"testing"

	"tpgate/store"
)

func newTokens(t testing.TB, prefix string) store.Tokens {
	t.Helper()
	tokens, err := store.NewTokens(prefix)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func TestNewTokens(t *testing.T) {
	for prefix, good := range map[string]bool{
		"tp_": true, "a": true, "live-": true, "sk_live_": true, "0123456789abcdef": true,
		"": false, "0123456789abcdefg": false, "tp ": false, "tp.": false, "tép": false, "tp\x00": false, "tp/": false,
	} {
		_, err := store.NewTokens(prefix)
		if (err == nil) != good {
			t.Errorf("prefix %q: error %v, want a good one: %t", prefix, err, good)
		}
		if err != nil && !strings.Contains(err.Error(), "use one such as tp_") {
			t.Errorf("prefix %q: the error does not say what to do: %v", prefix, err)
		}
	}
}

func TestTokensAreWellFormed(t *testing.T) {
	for _, prefix := range []string{"tp_", "x", "0123456789abcdef"} {
		tokens := newTokens(t, prefix)
		shape := regexp.MustCompile(`^` + prefix + `[A-Za-z0-9]{48}$`)
		seen := map[string]bool{}
		for range 1000 {
			secret := tokens.New()
			if !shape.MatchString(secret) || seen[secret] {
				t.Fatalf("key %s is malformed or was made before", secret)
			}
			seen[secret] = true
			digest, ok := tokens.Digest([]byte(secret))
			if !ok || digest != tokens.DigestOf(secret) || digest != sha256.Sum256([]byte(secret)) {
				t.Fatalf("key %s: digest %x, %t", secret, digest, ok)
			}
		}
	}
	if hint := newTokens(t, "tp_").Hint("tp_AbCd" + strings.Repeat("x", 44)); hint != "tp_AbCd…" {
		t.Errorf("the hint is %s", hint)
	}
}

// TestTokensAreUniform counts characters: chi-square over 62 with 61 degrees of freedom exceeds 160 about once in 10^10 runs.
func TestTokensAreUniform(t *testing.T) {
	tokens := newTokens(t, "tp_")
	var all, byPlace [128]int
	const n = 20_000
	for range n {
		secret := tokens.New()[3:]
		for i := range len(secret) {
			all[secret[i]]++
		}
		byPlace[secret[47]]++
	}
	for name, c := range map[string]struct {
		counts [128]int
		sum    float64
	}{"all places": {all, 48 * n}, "the last place": {byPlace, n}} {
		chi := 0.0
		for _, r := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789" {
			want := c.sum / 62
			off := float64(c.counts[r]) - want
			chi += off * off / want
		}
		if chi > 160 {
			t.Errorf("%s: chi-square is %.0f, the characters are not uniform", name, chi)
		}
	}
}

func TestNewID(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id := store.NewID()
		if len(id) != 16 || !store.ValidID(id) || seen[id] {
			t.Fatalf("id %s is malformed or was made before", id)
		}
		seen[id] = true
	}
}

func TestDigestRefusesTheMalformed(t *testing.T) {
	tokens := newTokens(t, "tp_")
	x := strings.Repeat("x", 48)
	for name, credential := range map[string]string{
		"empty":                     "",
		"the prefix alone":          "tp_",
		"47 characters":             "tp_" + x[:47],
		"49 characters":             "tp_" + x + "x",
		"5000 characters":           "tp_" + strings.Repeat("x", 5000),
		"51 without prefix":         x + "xxx",
		"TP_":                       "TP_" + x,
		"tp-":                       "tp-" + x,
		"a prefix too late":         "xtp_" + x[:47],
		"a letter of two bytes":     "tp_é" + x[:46],
		"a letter of two bytes, 48": "tp_é" + x[:47],
		"percent-encoded":           "tp_%41" + x[:45],
		"DEL":                       "tp_\x7f" + x[:47],
		"NUL":                       "tp_" + x[:47] + "\x00",
		"NUL after it":              "tp_" + x + "\x00",
		"=":                         "tp_" + x[:47] + "=",
		"a space in front":          " tp_" + x[:47],
		"a space at the end":        "tp_" + x[:47] + " ",
		"a line break at the end":   "tp_" + x + "\n",
		"a quote":                   "tp_" + x[:47] + `"`,
		"two keys":                  "tp_" + x + ",tp_" + x,
		"an underscore":             "tp_" + x[:47] + "_",
		"@ [ ` { / :":               "tp_@[`{/:" + x[:42],
	} {
		if digest, ok := tokens.Digest([]byte(credential)); ok || digest != (store.Digest{}) {
			t.Errorf("%s: %q has digest %x", name, credential, digest)
		}
	}
	if _, ok := tokens.Digest(nil); ok {
		t.Error("nothing has a digest")
	}
	if _, ok := tokens.Digest([]byte("tp_" + x)); !ok {
		t.Error("48 of x have no digest")
	}
}

func TestDigestDoesNotAllocate(t *testing.T) {
	tokens := newTokens(t, "tp_")
	for _, credential := range [][]byte{[]byte(tokens.New()), []byte("tp_wrong"), bytes.Repeat([]byte("x"), 5000)} {
		if n := testing.AllocsPerRun(1000, func() { tokens.Digest(credential) }); n != 0 {
			t.Errorf("the digest of %d bytes allocates %v times", len(credential), n)
		}
	}
}

func FuzzDigest(f *testing.F) {
	tokens := newTokens(f, "tp_")
	shape := regexp.MustCompile(`\Atp_[A-Za-z0-9]{48}\z`)
	f.Add([]byte(tokens.New()))
	f.Add([]byte("tp_" + strings.Repeat("é", 24)))
	f.Add([]byte("tp_" + strings.Repeat("0", 47) + "\n"))
	f.Fuzz(func(t *testing.T, credential []byte) {
		before := bytes.Clone(credential)
		digest, ok := tokens.Digest(credential)
		if want := shape.Match(credential); ok != want {
			t.Errorf("%q is a key: %t, want %t", credential, ok, want)
		}
		if ok && digest != sha256.Sum256(credential) || !ok && digest != (store.Digest{}) {
			t.Errorf("%q has digest %x", credential, digest)
		}
		if !bytes.Equal(credential, before) {
			t.Errorf("%q became %q", before, credential)
		}
	})
}
