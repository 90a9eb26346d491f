package authz

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// connPair returns a connection as the server has it, and the client's end.
func connPair(t *testing.T) (*clientConn, net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := tolerantListener{ln}.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = client.Close(), accepted.Close() })
	return accepted.(*clientConn), client
}

// TestConnReadsAhead: the first byte is asked for alone, as fasthttp does, and what came with it is handed on whatever the sizes.
func TestConnReadsAhead(t *testing.T) {
	c, client := connPair(t)
	sent := bytes.Repeat([]byte("0123456789abcdefg"), 1000) // longer than readAhead
	go func() {
		_, _ = client.Write(sent)
		_ = client.Close()
	}()
	var got []byte
	for i := 0; ; i++ {
		p := make([]byte, []int{1, 1, 4095, 3, 5000}[i%5])
		n, err := c.Read(p)
		if err == io.EOF {
			break
		}
		if err != nil || n == 0 {
			t.Fatal(n, err)
		}
		got = append(got, p[:n]...)
	}
	if !bytes.Equal(got, sent) {
		t.Errorf("%d bytes of %d, or others", len(got), len(sent))
	}
}

func TestConnDeadlines(t *testing.T) {
	for _, size := range []int{1, 100} {
		c, client := connPair(t)
		p := make([]byte, size)
		within := func(what string, least, most time.Duration, set func() error, want error) {
			t.Helper()
			start := time.Now()
			if err := set(); err != nil {
				t.Fatal(err)
			}
			_, err := c.Read(p)
			if took := time.Since(start); !errors.Is(err, want) || took < least || took > most {
				t.Fatalf("%s, reading %d: %v after %v", what, size, err, took)
			}
		}
		say := func(after time.Duration) {
			time.AfterFunc(after, func() { _, _ = client.Write([]byte("x")) })
		}
		deadline := func(d time.Duration) func() error {
			return func() error { return c.SetReadDeadline(time.Now().Add(d)) }
		}
		say(50 * time.Millisecond)
		within("a long deadline, waited under", 0, 5*time.Second, deadline(10*time.Second), nil)
		say(50 * time.Millisecond)
		within("a shorter one than is known", 0, 5*time.Second, deadline(300*time.Millisecond), nil)
		within("a longer one, after the known one has passed", 500*time.Millisecond, 5*time.Second, func() error {
			if err := c.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
				return err
			}
			time.Sleep(500 * time.Millisecond)
			_, err := client.Write([]byte("x"))
			return err
		}, nil)
		within("a short one that nothing meets", 100*time.Millisecond-deadlineSlack, 5*time.Second, deadline(100*time.Millisecond), os.ErrDeadlineExceeded)
		say(100 * time.Millisecond)
		within("none", 100*time.Millisecond, 5*time.Second, func() error { return c.SetDeadline(time.Time{}) }, nil)
	}
}

// TestConnWritesToTheEnd: what the socket does not take at once is written when it does, but not beyond the deadline.
func TestConnWritesToTheEnd(t *testing.T) {
	c, client := connPair(t)
	if err := errors.Join(c.SetWriteBuffer(64<<10), client.(*net.TCPConn).SetReadBuffer(64<<10)); err != nil {
		t.Fatal(err)
	}
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<17) // 2 MiB, more than those hold
	received := make(chan []byte)
	go func() {
		time.Sleep(50 * time.Millisecond)
		got := make([]byte, len(sent))
		_, _ = io.ReadFull(client, got)
		received <- got
	}()
	if err := c.SetWriteDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Write(sent); n != len(sent) || err != nil {
		t.Fatal(n, err)
	}
	if !bytes.Equal(<-received, sent) {
		t.Error("what arrived is not what was written")
	}

	if err := c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	n, err := c.Write(sent)
	if !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 || n >= len(sent) {
		t.Errorf("to a client that reads nothing, %d bytes went: %v", n, err)
	}
	_ = client.Close()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("reading from a closed connection succeeds")
	}
}
