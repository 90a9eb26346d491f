package store_test

import (
	"strings"
	"testing"
	"time"

	"tpgate/store"
)

func TestStatusAt(t *testing.T) {
	now := time.Date(2026, 4, 1, 10, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name string
		key  store.Key
		want store.Status
	}{
		{"without an expiry", store.Key{}, store.StatusActive},
		{"just before its expiry", store.Key{ExpiresAt: now.Add(time.Nanosecond)}, store.StatusActive},
		{"at its expiry", store.Key{ExpiresAt: now}, store.StatusExpired},
		{"after its expiry", store.Key{ExpiresAt: now.Add(-time.Hour)}, store.StatusExpired},
		{"at its expiry, told in another zone", store.Key{ExpiresAt: now.In(time.FixedZone("", 3600))}, store.StatusExpired},
		{"disabled", store.Key{Disabled: true, ExpiresAt: now.Add(time.Hour)}, store.StatusDisabled},
		{"disabled and expired", store.Key{Disabled: true, ExpiresAt: now}, store.StatusDisabled},
	} {
		if got := c.key.StatusAt(now); got != c.want {
			t.Errorf("%s a key is %s, want %s", c.name, got, c.want)
		}
	}
}

func TestZeroDecisionDenies(t *testing.T) {
	if (store.Decision{}).Verdict != store.Unavailable || store.Unavailable == store.Allowed {
		t.Error("the zero decision is not Unavailable")
	}
}

func TestValidID(t *testing.T) {
	for id, want := range map[string]bool{
		"a": true, "Z": true, "0": true, "-": true, "_": true, "acme": true, "3f2b-9C_x": true, strings.Repeat("x", 64): true,
		"": false, strings.Repeat("x", 65): false, "a b": false, "a/b": false, "a.b": false, "a:b": false, "{a}": false, "é": false, "a\n": false, "\x00": false, "a%20": false, "*": false,
	} {
		if got := store.ValidID(id); got != want {
			t.Errorf("%q is valid: %t, want %t", id, got, want)
		}
	}
}

func TestCheckName(t *testing.T) {
	for name, want := range map[string]string{
		"ci":                        "",
		" ":                         "",
		"Zapier – production ☃ 👩‍🚀": "",
		strings.Repeat("é", 255):    "",
		"<script>\"'":               "",
		"":                          "the name is empty",
		strings.Repeat("é", 256):    "the name has 256 characters: at most 255 are allowed",
		"a\xffb":                    "the name is not UTF-8",
		strings.Repeat("\xc3", 300): "the name is not UTF-8",
		"a\nb":                      "the name contains a control character (U+000A)",
		"\x00":                      "the name contains a control character (U+0000)",
		"tab\t":                     "the name contains a control character (U+0009)",
		"del\x7f":                   "the name contains a control character (U+007F)",
		"next\u0085line":            "the name contains a control character (U+0085)",
	} {
		got := ""
		if err := store.CheckName(name); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
