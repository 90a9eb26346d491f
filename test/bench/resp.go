package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

var errNoName = errors.New("no such name")

// redisConn is a connection to a redis-server, to read binary values and to load many.
type redisConn struct {
	conn net.Conn
	in   *bufio.Reader
	out  *bufio.Writer
}

func dialRedis(address string) (*redisConn, error) {
	conn, err := net.DialTimeout("tcp", address, 2*time.Second)
	if err != nil {
		return nil, err
	}
	return &redisConn{conn, bufio.NewReader(conn), bufio.NewWriterSize(conn, 1<<20)}, nil
}

// send writes a command into the buffer.
func (c *redisConn) send(args ...string) {
	fmt.Fprintf(c.out, "*%d\r\n", len(args)) // an error stays until Flush
	for _, arg := range args {
		fmt.Fprintf(c.out, "$%d\r\n%s\r\n", len(arg), arg)
	}
}

// do sends one command and returns its reply; of an array the last element.
func (c *redisConn) do(args ...string) (string, error) {
	c.send(args...)
	if err := c.out.Flush(); err != nil {
		return "", err
	}
	return c.reply()
}

func (c *redisConn) reply() (string, error) {
	line, err := c.in.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSuffix(line, "\r\n")
	switch line[0] {
	case '-':
		return "", errors.New(line)
	case '$':
		n, _ := strconv.Atoi(line[1:])
		if n < 0 {
			return "", errNoName
		}
		text := make([]byte, n+2)
		_, err := io.ReadFull(c.in, text)
		return string(text[:n]), err
	case '*':
		n, _ := strconv.Atoi(line[1:])
		last := ""
		for range n {
			if last, err = c.reply(); err != nil {
				return "", err
			}
		}
		return last, nil
	default:
		return line[1:], nil
	}
}

// replies sends what is in the buffer and reads n replies.
func (c *redisConn) replies(n int) error {
	if err := c.out.Flush(); err != nil {
		return err
	}
	for range n {
		if _, err := c.reply(); err != nil {
			return err
		}
	}
	return nil
}

// used is the memory that the server's data takes.
func (c *redisConn) used() (int64, error) {
	text, err := c.do("INFO", "memory")
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(text, "used_memory:")
	number, _, _ := strings.Cut(rest, "\r\n")
	return strconv.ParseInt(number, 10, 64)
}

// usage is what Redis says that a name and its value take; 0 if there is none.
func (c *redisConn) usage(name string) (int64, error) {
	size, err := c.do("MEMORY", "USAGE", name, "SAMPLES", "0")
	if errors.Is(err, errNoName) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(size, 10, 64)
}

// ping is the median time of a PING, in microseconds.
func ping(address string) (float64, error) {
	c, err := dialRedis(address)
	if err != nil {
		return 0, err
	}
	defer c.conn.Close()
	times := make([]float64, 101)
	for i := range times {
		start := time.Now()
		if _, err := c.do("PING"); err != nil {
			return 0, err
		}
		times[i] = float64(time.Since(start).Microseconds())
	}
	return median(times), nil
}
