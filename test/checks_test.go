package test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"
)

// rounds returns how often a test repeats: a few times in `make test`, many times in `make faults`.
func rounds(few, many int) int {
	if os.Getenv("TPGATE_FULL") == "1" {
		return many
	}
	return few
}

// answer is what a check was answered.
type answer struct {
	status         int
	workspace      string // X-Workspace-Id
	name           string // of a denial
	closes         bool   // the connection ends with it
	sent, received time.Time
}

// client asks one data listener over one connection, which it keeps while the server does. Unlike net/http's it never sends a request again: what fails has failed.
type client struct {
	address string
	conn    net.Conn
	reader  *bufio.Reader
}

// newClient returns a client whose connection ends with the test.
func newClient(t *testing.T, address string) *client {
	c := &client{address: address}
	t.Cleanup(c.close)
	return c
}

func (c *client) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// check asks about one key.
func (c *client) check(secret string) (answer, error) {
	sent := time.Now()
	got, err := c.send(sent, "GET / HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer "+secret+"\r\n\r\n")
	if err != nil {
		c.close()
		return answer{sent: sent, received: time.Now()}, err
	}
	return got, nil
}

func (c *client) send(sent time.Time, request string) (answer, error) {
	if c.conn == nil {
		conn, err := net.DialTimeout("tcp", c.address, 5*time.Second)
		if err != nil {
			return answer{}, err
		}
		c.conn, c.reader = conn, bufio.NewReader(conn)
	}
	_ = c.conn.SetDeadline(sent.Add(10 * time.Second))
	if _, err := io.WriteString(c.conn, request); err != nil {
		return answer{}, err
	}
	got, err := readAnswer(c.reader)
	got.sent = sent
	if got.closes {
		c.close()
	}
	return got, err
}

// readAnswer reads one answer, and sees to it that it is one that the data listener may give: all of an identity with 200, nothing of it otherwise.
func readAnswer(reader *bufio.Reader) (answer, error) {
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		return answer{}, err
	}
	body, err := io.ReadAll(response.Body)
	got := answer{status: response.StatusCode, workspace: response.Header.Get("X-Workspace-Id"), closes: response.Close, received: time.Now()}
	if err != nil {
		return got, err
	}
	identified := len(response.Header["X-Workspace-Id"]) == 1 && len(response.Header["X-Api-Key-Id"]) == 1 && got.workspace != "" && response.Header.Get("X-Api-Key-Id") != ""
	anonymous := len(response.Header["X-Workspace-Id"])+len(response.Header["X-Api-Key-Id"]) == 0
	if got.status == http.StatusOK && (!identified || len(body) > 0) || got.status != http.StatusOK && !anonymous {
		return got, fmt.Errorf("an answer with status %d has these headers: %v, and this body: %q", got.status, response.Header, body)
	}
	if got.status != http.StatusOK && len(body) > 0 {
		var denial struct{ Name string }
		err = json.Unmarshal(body, &denial)
		got.name = denial.Name
	}
	return got, err
}
