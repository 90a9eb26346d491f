package main

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sample is one run of wrk against one gate.
type sample struct {
	Rate       float64 `json:"requests_per_second"`
	ServiceCPU float64 `json:"service_cpu_us"` // per request
	RedisCPU   float64 `json:"redis_cpu_us"`   // per request
	P50        float64 `json:"p50_us"`
	P99        float64 `json:"p99_us"`
	Idle       float64 `json:"idle"` // part of the machine that nobody used meanwhile: if it is large, waiting is what limits the rate
	requests   float64
}

// load is what drives a gate.
type load struct {
	script      string
	path        string // how the floor knows what to answer
	connections int
	refused     bool // every answer is to be a refusal; else every one is to be 2xx
	mixed       bool // both are fine
	ordered     bool // each key once, then from the start again; else at random
}

// drive runs wrk with one thread. An answer of the wrong kind is an error: a number for something else is worse than none.
func drive(g *gate, l load, d time.Duration) (sample, error) {
	d += time.Duration(l.connections/2000) * time.Second // for a slow machine to open them
	service, redis, idle, start := g.cpu(), cpuOf(g.redis), idleTime(), time.Now()
	args := []string{"-t1", "-c" + strconv.Itoa(l.connections), "-d" + strconv.Itoa(int(d.Seconds())) + "s", "--timeout", "5s", "-s", l.script, g.url + l.path}
	if l.ordered {
		args = append(args, "ordered")
	}
	out, err := exec.Command("wrk", args...).CombinedOutput()
	service, redis, idle = g.cpu()-service, cpuOf(g.redis)-redis, idleTime()-idle
	machine := time.Since(start) * time.Duration(runtime.NumCPU())
	if err != nil {
		return sample{}, fmt.Errorf("wrk (make tools-bench installs it): %w\n%s", err, out)
	}
	var result struct {
		Requests, Micros, P50, P99 float64
		Refused, Broken            int
	}
	_, text, _ := strings.Cut(string(out), "RESULT ")
	if err := json.Unmarshal([]byte(text), &result); err != nil {
		return sample{}, fmt.Errorf("what wrk says is no result: %w\n%s", err, out)
	}
	want := 0
	if l.refused {
		want = int(result.Requests)
	}
	if result.Requests == 0 || result.Broken > 0 || (result.Refused != want && !l.mixed) {
		return sample{}, fmt.Errorf("of %.0f requests to %s, %d were refused and %d broken: not what this load is to get", result.Requests, g.url, result.Refused, result.Broken)
	}
	perRequest := func(cpu time.Duration) float64 { return float64(cpu.Microseconds()) / result.Requests }
	return sample{
		Rate: result.Requests / result.Micros * 1e6, ServiceCPU: perRequest(service), RedisCPU: perRequest(redis), P50: result.P50, P99: result.P99,
		Idle: float64(idle) / float64(machine), requests: result.Requests,
	}, nil
}

// scenario is one kind of load, measured against the floor under the same load.
type scenario struct {
	name        string
	gate, floor *gate
	load        load
	warm        time.Duration // with all keys in order, before the first round
	rounds      [][2]sample   // gate, floor
}

// leadIn is for how long a load goes on before it is measured: what counts is how checks go on, not how they begin again after others had the machine.
const leadIn = time.Second

// run adds a round: gate and floor one after the other, the other way round every second time.
func (s *scenario) run(d time.Duration) error {
	var both [2]sample
	for i := range both {
		which := (i + len(s.rounds)) % 2
		g := s.gate
		if which == 1 {
			g = s.floor
		}
		_, err := drive(g, s.load, leadIn)
		if err == nil {
			both[which], err = drive(g, s.load, d)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	s.rounds = append(s.rounds, both)
	return nil
}

// outcome is what the rounds of a scenario come to: the medians.
type outcome struct {
	Name     string  `json:"name"`
	Gate     sample  `json:"tpgate"`
	Floor    sample  `json:"floor"`
	CPURatio float64 `json:"cpu_ratio"`  // median of the rounds' ratios, not ratio of the medians: a round in which the machine was slow was slow for both
	Rate     float64 `json:"rate_ratio"` // likewise
}

func (s *scenario) outcome() outcome {
	return outcome{
		Name: s.name, Gate: s.medians(0), Floor: s.medians(1),
		CPURatio: s.median(func(r [2]sample) float64 { return r[0].ServiceCPU / r[1].ServiceCPU }),
		Rate:     s.median(func(r [2]sample) float64 { return r[0].Rate / r[1].Rate }),
	}
}

func (s *scenario) medians(which int) sample {
	return sample{
		Rate:       s.median(func(r [2]sample) float64 { return r[which].Rate }),
		ServiceCPU: s.median(func(r [2]sample) float64 { return r[which].ServiceCPU }),
		RedisCPU:   s.median(func(r [2]sample) float64 { return r[which].RedisCPU }),
		P50:        s.median(func(r [2]sample) float64 { return r[which].P50 }),
		P99:        s.median(func(r [2]sample) float64 { return r[which].P99 }),
		Idle:       s.median(func(r [2]sample) float64 { return r[which].Idle }),
	}
}

func (s *scenario) median(of func([2]sample) float64) float64 {
	values := make([]float64, 0, len(s.rounds))
	for _, r := range s.rounds {
		values = append(values, of(r))
	}
	return median(values)
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 0 {
		return (values[middle-1] + values[middle]) / 2
	}
	return values[middle]
}
