package store

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tpgate/limiter"
)

// testPilot speaks to no Redis at all.
func testPilot() *pilot {
	r := &Redis{names: newNames("tpgate"), id: "0123456789abcdef", metrics: NewMetrics(prometheus.NewRegistry())}
	r.defaults.KeyLimit, _ = limiter.Parse("60/1m")
	return &pilot{
		names: r.names, storeID: r.id, metrics: r.metrics, key: r.defaults.KeyLimit.Encode(),
		verify: newScript(limiter.Script(verifyText)), lookup: newScript(lookupText),
	}
}

// reply is a well-formed answer of verify.lua to one call.
func (c *chunk) reply(decided string, granted, remaining int) []byte {
	answer := append([]byte{}, c.nonce[:]...)
	answer = binary.BigEndian.AppendUint64(answer, 1795458255000000)
	for _, call := range c.calls {
		answer = append(answer, decided...)
		answer = append(answer, byte(granted>>8), byte(granted))
		answer = append(answer, "00000600000060000"...)
		answer = append(answer, byte(remaining>>16), byte(remaining>>8), byte(remaining))
		answer = binary.BigEndian.AppendUint64(answer, 1795458254000000)
		answer = append(answer, layout)
		answer = append(answer, call.digest[:]...)
	}
	return answer
}

func bulk(body []byte) []byte { return fmt.Appendf(nil, "$%d\r\n%s\r\n", len(body), body) }

// TestScriptReplies has one call answered by replies that are not its own, each but a byte away from it.
func TestScriptReplies(t *testing.T) {
	p := testPilot()
	good := func(c *chunk) []byte { return c.reply("AK", 1, 59) }
	for _, c := range []struct {
		name  string
		reply func(c *chunk) []byte
		want  bool
	}{
		{"its own", good, true},
		{"of another call", func(c *chunk) []byte { r := good(c); r[15]++; return r }, false},
		{"of another process", func(c *chunk) []byte { r := good(c); r[0]++; return r }, false},
		{"of another digest", func(c *chunk) []byte { r := good(c); r[len(r)-1]++; return r }, false},
		{"of two calls", func(c *chunk) []byte { r := good(c); return append(r, r[nonceLength+stampLength:]...) }, false},
		{"of no call", func(c *chunk) []byte { return good(c)[:nonceLength+stampLength] }, false},
		{"cut off", func(c *chunk) []byte { r := good(c); return r[:len(r)-1] }, false},
		{"more granted than asked for", func(c *chunk) []byte { return c.reply("AK", 2, 59) }, false},
		{"of another layout", func(c *chunk) []byte { r := good(c); r[len(r)-proofLength]++; return r }, false},
		{"a window that is no number", func(c *chunk) []byte { r := good(c); r[nonceLength+stampLength+4] = '-'; return r }, false},
		{"empty", func(*chunk) []byte { return nil }, false},
		{"the nonce alone", func(c *chunk) []byte { return c.nonce[:] }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := &chunk{script: &p.verify, nonce: p.nextNonce(), calls: []*call{{digest: Digest{1}, permits: 1}}}
			if got := p.enter(k, c.reply(k)); got != c.want {
				t.Errorf("it is believed: %t", got)
			}
			if got := k.calls[0].granted == 1; c.want && (!got || k.calls[0].standing.Remaining != 59 || k.calls[0].standing.Wait != 59*time.Second) {
				t.Errorf("the answer is %+v", k.calls[0].answer)
			}
		})
	}
}

// TestRESP reads what Redis sends, and what it never sends in answer to a script.
func TestRESP(t *testing.T) {
	for text, want := range map[string]string{
		"$5\r\nhello\r\n": "hello", "$0\r\n\r\n": "", "+OK\r\n": "OK", "-NOSCRIPT no\r\n": "error redis: NOSCRIPT no", "-\r\n": "error redis: ",
		"$-1\r\n": "misdelivered", ":1\r\n": "misdelivered", "*1\r\n": "misdelivered", "$99999999999999999999\r\n": "misdelivered", "$70000\r\n": "misdelivered",
		"\r\n": "misdelivered", "x\n": "misdelivered", "$5\n": "misdelivered", "$ 5\r\nhello\r\n": "misdelivered", "$5\r\nhel": "error EOF", "": "error EOF",
		"$5\r\nhello!!": "misdelivered", "+" + strings.Repeat("x", 20<<10) + "\r\n": "error bufio: buffer full", "$20000\r\n" + strings.Repeat("y", 20000) + "\r\n": strings.Repeat("y", 20000),
	} {
		l := &lane{in: bufio.NewReaderSize(strings.NewReader(text), laneBuffer)}
		body, err := l.reply()
		got := string(body)
		switch {
		case errors.Is(err, errMisdelivered):
			got = "misdelivered"
		case err != nil:
			got = "error " + err.Error()
		}
		if got != want {
			t.Errorf("%.30q is read as %.30q, want %.30q", text, got, want)
		}
	}
}

// FuzzScriptReply takes any bytes for what comes back over a connection: a check is granted nothing unless the reply has its nonce, its digest and the right shape.
func FuzzScriptReply(f *testing.F) {
	p := testPilot()
	nonce := [nonceLength]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	flight := func() []*call {
		return []*call{{digest: Digest{1}, permits: 1, place: place{"a", "1"}}, {digest: Digest{2}, permits: 3, place: place{"b", "2"}}}
	}
	seed := &chunk{script: &p.verify, nonce: nonce, calls: flight()}
	f.Add(bulk(seed.reply("AK", 1, 59)))
	f.Add(bulk(seed.reply("RO", 0, 0)))
	f.Add(bulk(append(nonce[:], "F"+string(seed.calls[0].digest[:])+"003a/1"+"U"+string(seed.calls[1].digest[:])+"000"...)))
	f.Add([]byte("-MOVED 1 127.0.0.1:1\r\n"))
	f.Add([]byte("$-1\r\n"))
	f.Fuzz(func(t *testing.T, bytesOfReply []byte) {
		for _, script := range []*script{&p.verify, &p.lookup} {
			c := &chunk{script: script, nonce: nonce, calls: flight()}
			l := &lane{in: bufio.NewReaderSize(bytes.NewReader(bytesOfReply), laneBuffer)}
			reply, err := l.reply()
			reply = slices.Clone(reply)
			if err != nil || !p.enter(c, reply) {
				continue // the round trip ends these calls with an error, whatever was entered
			}
			if !bytes.HasPrefix(reply, nonce[:]) {
				t.Fatalf("%q is believed without its nonce", reply)
			}
			for i, call := range c.calls {
				granted := call.verdict == 'A' && call.granted > 0
				if (granted || call.found != place{}) && !bytes.Contains(reply, call.digest[:]) {
					t.Fatalf("call %d is answered %+v without its digest", i, call.answer)
				}
				if call.granted > call.permits || (granted && len(reply) != nonceLength+stampLength+2*verdictLength) {
					t.Fatalf("call %d is granted %d of %d by %q", i, call.granted, call.permits, reply)
				}
				if call.found != (place{}) && (!ValidID(call.found.workspace) || !ValidID(call.found.id)) {
					t.Fatalf("call %d is found at %+v", i, call.found)
				}
			}
		}
	})
}
