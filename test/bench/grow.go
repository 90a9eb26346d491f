package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// point is a step of a series: how large, and what was measured there.
type point struct {
	Size int     `json:"size"`
	Ping float64 `json:"redis_ping_us,omitempty"` // median of a PING over the same distance
	outcome
}

// growth is everything that -grow measures.
type growth struct {
	Machine     machine  `json:"machine"`
	Keys        []point  `json:"keys"`        // loaded
	Connections []point  `json:"connections"` // of the proxies
	Distance    []point  `json:"distance_ms"` // round-trip time to Redis, one connection of the proxy
	Instances   []point  `json:"instances"`   // of tpgate on one Redis; the same 64 connections in all
	Memory      memories `json:"memory"`
}

// manyConnections is the largest number of connections; each end needs a file descriptor for each.
const manyConnections = 10_000

// grow measures all series, draws them, and writes grow.json. It returns how many targets are missed.
func (b *bench) grow() (int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, err
	}
	if limit.Max < manyConnections+1000 {
		return 0, fmt.Errorf("%d open files are allowed and %d needed: ulimit -Hn", limit.Max, manyConnections+1000)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil { // wrk inherits it
		return 0, err
	}
	if err := os.MkdirAll(b.results, 0o755); err != nil {
		return 0, err
	}
	g := &growth{}
	if text, err := os.ReadFile(filepath.Join(b.results, "grow.json")); err == nil { // what is not measured this time stays
		if err := json.Unmarshal(text, g); err != nil {
			return 0, err
		}
	}
	for _, series := range []struct {
		name    string
		measure func(*growth) error
	}{{"memory", b.growMemory}, {"keys", b.growKeys}, {"connections", b.growConnections}, {"distance", b.growDistance}, {"instances", b.growInstances}} {
		if !b.wanted(series.name) {
			continue
		}
		if err := series.measure(g); err != nil {
			return 0, fmt.Errorf("%s: %w", series.name, err)
		}
		b.rest()
	}
	g.Machine = describe()
	fmt.Printf("tpgate in memory: %.1f MB idle; with %s connections %.1f MB at rest, %.1f MB at most under load; %.1f MB after checks of a million keys\n", megabytes(g.Memory.Idle),
		grouped(manyConnections), megabytes(g.Memory.Resting), megabytes(g.Memory.WithConnections), megabytes(g.Memory.WithHints))
	return printVerdicts(os.Stdout, g.Memory.judge()), b.write("grow.json", g)
}

func megabytes(bytes int64) float64 { return float64(bytes) / 1e6 }

// rest ends all programs, so that the next series has the machine for itself.
func (b *bench) rest() {
	for _, p := range b.processes {
		p.kill()
	}
	b.processes = nil
}

// onRedis starts a redis-server, tpgate on it, and the floor.
func (b *bench) onRedis() (g, floor *gate, address string, err error) {
	redis, address, err := b.startRedis()
	if err != nil {
		return nil, nil, "", err
	}
	if g, err = b.startGate("redis://"+address, []*process{redis}); err != nil {
		return nil, nil, "", err
	}
	floor, err = b.startFloor()
	return g, floor, address, err
}

// points measures scenarios, whose sizes are given, and prints them.
func (b *bench) points(what string, sizes []int, scenarios []*scenario) ([]point, error) {
	outcomes, err := b.measure(scenarios)
	if err != nil {
		return nil, err
	}
	points := make([]point, len(sizes))
	for i, o := range outcomes {
		points[i] = point{Size: sizes[i], outcome: o}
	}
	fmt.Println(what)
	printOutcomes(os.Stdout, outcomes)
	return points, nil
}

func (b *bench) growKeys(result *growth) error {
	sizes := []int{1_000, 100_000, 1_000_000}
	var scenarios []*scenario
	for _, n := range sizes {
		g, floor, address, err := b.onRedis()
		if err != nil {
			return err
		}
		secrets, err := g.cloned(n, address)
		if err != nil {
			return err
		}
		name := grouped(n)
		script, err := b.script("keys-"+strconv.Itoa(n), secrets)
		if err != nil {
			return err
		}
		scenarios = append(scenarios, &scenario{name: name, gate: g, floor: floor, load: load{script: script, connections: connections}, warm: time.Duration(2+n/20_000) * time.Second})
	}
	var err error
	if result.Keys, err = b.points("keys loaded", sizes, scenarios); err != nil {
		return err
	}
	result.Memory.WithHints = scenarios[len(scenarios)-1].gate.memory("VmRSS")
	return b.draw("keys", costs("CPU of a check, by keys loaded", result.Keys))
}

func (b *bench) growConnections(result *growth) error {
	sizes := []int{64, 256, 1_000, manyConnections}
	g, floor, _, err := b.onRedis()
	if err != nil {
		return err
	}
	secrets, err := g.newKeys(b.keys)
	if err != nil {
		return err
	}
	script, err := b.script("connections", secrets)
	if err != nil {
		return err
	}
	var scenarios []*scenario
	for _, n := range sizes {
		scenarios = append(scenarios, &scenario{name: grouped(n), gate: g, floor: floor, load: load{script: script, connections: n}})
	}
	if result.Connections, err = b.points("connections", sizes, scenarios); err != nil {
		return err
	}
	result.Memory.WithConnections = g.memory("VmHWM")
	return b.draw("connections", costs("CPU of a check, by connections", result.Connections))
}

// growDistance compares the time of a check at low load with the distance to Redis: one connection, so nothing waits but for Redis.
func (b *bench) growDistance(result *growth) error {
	sizes := []int{0, 1, 5, 20}
	redis, address, err := b.startRedis()
	if err != nil {
		return err
	}
	floor, err := b.startFloor()
	if err != nil {
		return err
	}
	var scenarios []*scenario
	var script string
	pings := make([]float64, len(sizes))
	for i, ms := range sizes {
		at := address
		if ms > 0 {
			if at, err = startDistance(address, time.Duration(ms)*time.Millisecond); err != nil {
				return err
			}
		}
		if pings[i], err = ping(at); err != nil {
			return err
		}
		g, err := b.startGate("redis://"+at, []*process{redis})
		if err != nil {
			return err
		}
		if script == "" {
			secrets, err := g.newKeys(200)
			if err != nil {
				return err
			}
			if script, err = b.script("distance", secrets); err != nil {
				return err
			}
		}
		scenarios = append(scenarios, &scenario{name: strconv.Itoa(ms) + " ms", gate: g, floor: floor, load: load{script: script, connections: 1}, warm: time.Duration(1+ms/2) * time.Second})
	}
	if result.Distance, err = b.points("distance to Redis, one connection", sizes, scenarios); err != nil {
		return err
	}
	p := plot{title: "Time of a check, by distance to Redis", unit: "ms, one check at a time; below, what a PING takes", lines: []line{{name: "p50"}, {name: "p99"}}}
	for i := range result.Distance {
		at := &result.Distance[i]
		at.Ping = pings[i]
		fmt.Printf("%s: PING %.2f ms, check p50 %.2f, p99 %.2f\n", at.Name, at.Ping/1000, at.Gate.P50/1000, at.Gate.P99/1000)
		p.steps = append(p.steps, fmt.Sprintf("%.1f ms", at.Ping/1000))
		p.lines[0].values = append(p.lines[0].values, at.Gate.P50/1000)
		p.lines[1].values = append(p.lines[1].values, at.Gate.P99/1000)
	}
	return b.draw("distance", p)
}

// costs plots the processor time of service and Redis.
func costs(title string, points []point) plot {
	p := plot{title: title, unit: "µs", lines: []line{{name: "tpgate"}, {name: "Redis"}}}
	for _, at := range points {
		p.steps = append(p.steps, at.Name)
		p.lines[0].values = append(p.lines[0].values, at.Gate.ServiceCPU)
		p.lines[1].values = append(p.lines[1].values, at.Gate.RedisCPU)
	}
	return p
}

// grouped writes a number with its thousands apart.
func grouped(n int) string {
	text := strconv.Itoa(n)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}
