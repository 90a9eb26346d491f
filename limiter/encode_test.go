package limiter_test

import (
	"testing"

	"tpgate/limiter"
)

func TestEncode(t *testing.T) {
	for text, want := range map[string]string{
		"":                           "-",
		"off":                        "0",
		"60/1m":                      "1" + "0000060" + "0000060000",
		"1000000/31d,0/1ms":          "2" + "1000000" + "2678400000" + "0000000" + "0000000001",
		"10/1s,600/1m,9999/1d":       "3" + "0000010" + "0000001000" + "0000600" + "0000060000" + "0009999" + "0086400000",
		" 10/1s , 600/1m ,9999/24h ": "3" + "0000010" + "0000001000" + "0000600" + "0000060000" + "0009999" + "0086400000",
	} {
		got := parse(t, text).Encode()
		if got != want {
			t.Errorf("%q is encoded as %s, want %s", text, got, want)
		}
		if n := limiter.EncodedLength(got[0]); n != len(got) {
			t.Errorf("%q is encoded in %d characters, and told to be %d", text, len(got), n)
		}
	}
	for _, first := range []byte{0, ' ', '4', '9', 'x'} {
		if n := limiter.EncodedLength(first); n != 0 {
			t.Errorf("no limit is encoded with %q in front, but its length is %d", first, n)
		}
	}
}
