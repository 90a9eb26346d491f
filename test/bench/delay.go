package main

import (
	"net"
	"time"
)

// distance is a TCP proxy that keeps every byte for a while, as a network of that round-trip time would: half of it each way, whatever else is under way.
type distance struct {
	ln     net.Listener
	target string
	half   time.Duration
}

// startDistance returns the proxy's address; it serves until the bench ends.
func startDistance(target string, roundTrip time.Duration) (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	d := &distance{ln, target, roundTrip / 2}
	go d.serve()
	return ln.Addr().String(), nil
}

func (d *distance) serve() {
	for {
		near, err := d.ln.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", d.target)
		if err != nil {
			_ = near.Close()
			continue
		}
		go d.carry(near, far)
		go d.carry(far, near)
	}
}

// parcel is what was read at once, and when it may be written.
type parcel struct {
	bytes []byte
	due   time.Time
}

func (d *distance) carry(from, to net.Conn) {
	road := make(chan parcel, 1024)
	go func() {
		defer close(road)
		for {
			p := parcel{bytes: make([]byte, 32<<10)}
			n, err := from.Read(p.bytes)
			p.bytes, p.due = p.bytes[:n], time.Now().Add(d.half)
			if n > 0 {
				road <- p
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range road {
		time.Sleep(time.Until(p.due))
		if _, err := to.Write(p.bytes); err != nil {
			break
		}
	}
	_, _ = to.Close(), from.Close()
	for range road { // until the reader has noticed
	}
}
