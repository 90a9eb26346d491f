package authz

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

// reference is what parseAuthorization does, written so that it can be seen to be right.
func reference(values [][]byte) (string, bearer) {
	if len(values) == 0 {
		return "", bearerMissing
	}
	found := regexp.MustCompile(`(?s)^[Bb][Ee][Aa][Rr][Ee][Rr] (.+)$`).FindSubmatch(values[0])
	if len(values) > 1 || found == nil {
		return "", bearerInvalid
	}
	return string(found[1]), bearerPresent
}

func FuzzParseAuthorization(f *testing.F) {
	key := "tp_" + strings.Repeat("A", 48)
	for _, value := range []string{
		"Bearer " + key, "bearer " + key, "BEARER " + key, "bEaReR x", "", "Bearer", "Bearer ", "Bearer  " + key, "Bearer\t" + key, "Bearer\x00" + key, "Bearer" + key, " Bearer " + key,
		"Basic " + key, "Token " + key, key, "Bearer " + key + ", Bearer " + key, "\x02earer x", "Bearer\xa0x", "BEARER@x", "Bearer \xff\xfe", "Bearer \n", "Ｂearer x", "Bearers x", "Beareſ x", "\"earer x",
	} {
		for headers := range 3 {
			f.Add([]byte(value), []byte("Bearer "+key), headers)
		}
	}
	f.Fuzz(func(t *testing.T, first, second []byte, headers int) {
		values := [][]byte{first, second}[:min(uint(headers), 2)]
		got, found := parseAuthorization(values)
		want, expected := reference(values)
		if string(got) != want || found != expected {
			t.Errorf("%q: %q %d, want %q %d", values, got, found, want, expected)
		}
		if found == bearerPresent && !bytes.HasSuffix(first, got) {
			t.Errorf("%q is not a part of %q", got, first)
		}
	})
}
