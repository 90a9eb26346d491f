package store

import "time"

// The connections of a gatherer: how many there are, and how they come and go.

// widen has another connection opened, if that is sensible: not many at a time, but one that hangs keeps nobody from trying again. The caller holds the lock.
func (g *gatherer) widen() {
	now := time.Now()
	if g.closed || g.lanes == maxLanes || now.Sub(g.failed) < retryDial || (g.opening > g.lanes/2 && now.Sub(g.tried) < retryDial) {
		return
	}
	g.lanes++
	g.opening++
	g.tried = now
	go g.open()
}

// open adds a connection, in a goroutine of its own since the handshake takes several round trips, and sends off what waits for it.
func (g *gatherer) open() {
	l, err := g.pilot.open(time.Now().Add(dialTimeout))
	g.mu.Lock()
	defer g.mu.Unlock()
	g.opening--
	switch {
	case err != nil:
		g.lanes--
		g.failed, g.fault = time.Now(), err
		if g.lanes == 0 {
			g.strand(g.detach(), err, nil)
		}
	case g.closed:
		g.lanes--
		l.close()
	default:
		g.idle = append(g.idle, l)
		g.lead(g.depart())
	}
}

// drop ends the idle connections, since they lead to a node that no longer decides.
func (g *gatherer) drop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, l := range g.idle {
		l.close()
	}
	g.lanes -= len(g.idle)
	g.idle = nil
}
