package main

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// memories are sizes in bytes, and the time to the first answer.
type memories struct {
	Start           float64       `json:"start_ms"`                 // from exec to ready
	Idle            int64         `json:"idle"`                     // resident, before the first check
	Resting         int64         `json:"with_resting_connections"` // resident, 10,000 connections open that have asked once
	WithConnections int64         `json:"with_connections"`         // resident at most, under load over 10,000 connections
	WithHints       int64         `json:"with_hints"`               // resident, after checks of 1,000,000 keys
	Key             float64       `json:"redis_per_key"`
	Windows         map[int]int64 `json:"redis_per_full_window"` // by permits
}

// judge compares the sizes with their targets.
func (m *memories) judge() []verdict {
	target := func(what string, measured, most float64) verdict {
		return (&target{scenario: "memory", what: what, first: most}).judge(measured)
	}
	return []verdict{
		target("MB idle", megabytes(m.Idle), 30), target("MB with 10,000 connections at rest", megabytes(m.Resting), 100), target("ms from start to ready", m.Start, 100),
	}
}

// fullWindows lists the bytes of full windows, smallest first.
func (m *memories) fullWindows() string {
	return fmt.Sprintf("%s, %s, %s", grouped(int(m.Windows[60])), grouped(int(m.Windows[1000])), grouped(int(m.Windows[10_000])))
}

// starts is how often the start is timed.
const starts = 9

func (b *bench) growMemory(result *growth) error {
	g, _, address, err := b.onRedis()
	if err != nil {
		return err
	}
	m := &result.Memory
	key, err := g.newKey("bench-000", "")
	if err != nil {
		return err
	}
	m.Idle = g.memory("VmRSS")
	if m.Resting, err = g.rest(manyConnections, key.Secret); err != nil {
		return err
	}
	if m.Start, err = b.timeStart("redis://" + address); err != nil {
		return err
	}
	c, err := dialRedis(address)
	if err != nil {
		return err
	}
	defer c.conn.Close()
	before, err := c.used()
	if err != nil {
		return err
	}
	const keys = 100_000
	if _, err := g.cloned(keys, address); err != nil {
		return err
	}
	after, err := c.used()
	if err != nil {
		return err
	}
	m.Key, m.Windows = float64(after-before)/keys, map[int]int64{}
	for _, permits := range []int{60, 1000, 10_000} {
		if m.Windows[permits], err = b.window(g, c, permits); err != nil {
			return err
		}
	}
	fmt.Printf("start to ready %.0f ms; bytes in Redis per key %.0f, per full window of 60, 1,000, 10,000 permits %s\n", m.Start, m.Key, m.fullWindows())
	return nil
}

// rest opens this many connections, has each ask once, and returns what tpgate then has in memory.
func (g *gate) rest(n int, secret string) (int64, error) {
	request := "GET / HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer " + secret + "\r\n\r\n"
	answer := make([]byte, 4096)
	for range n {
		conn, err := net.DialTimeout("tcp", g.data, 5*time.Second)
		if err != nil {
			return 0, err
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, request); err != nil {
			return 0, err
		}
		if _, err := conn.Read(answer); err != nil {
			return 0, err
		}
	}
	time.Sleep(time.Second)
	return g.memory("VmRSS"), nil
}

// timeStart returns the median of the times from exec to ready, in milliseconds.
func (b *bench) timeStart(redisURL string) (float64, error) {
	var times []float64
	for range starts {
		start := time.Now()
		g, err := b.startGate(redisURL, nil)
		if err != nil {
			return 0, err
		}
		times = append(times, float64(time.Since(start).Microseconds())/1000)
		g.kill()
	}
	return median(times), nil
}

// window fills the window of a new key and returns by how much Redis says that the key has grown.
func (b *bench) window(g *gate, c *redisConn, permits int) (int64, error) {
	key, err := g.newKey("bench-000", strconv.Itoa(permits)+"/1d")
	if err != nil {
		return 0, err
	}
	script, err := b.script("window-"+strconv.Itoa(permits), []string{key.Secret})
	if err != nil {
		return 0, err
	}
	record, list := "tpgate:{bench-000}:k:"+key.Token.ID, "tpgate:{bench-000}:w:"+key.Token.ID
	empty, err := c.usage(record)
	if err != nil {
		return 0, err
	}
	if _, err := drive(g, load{script: script, connections: connections, mixed: true}, 2*time.Second); err != nil {
		return 0, err
	}
	full, err := c.usage(record)
	if err != nil {
		return 0, err
	}
	older, err := c.usage(list)
	return full + older - empty, err
}
