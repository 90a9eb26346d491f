package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// target is a line of what a check may cost. Only the first bound decides.
type target struct {
	scenario, what string
	of             func(outcome) float64 // nil of what no scenario measures
	atLeast        bool                  // else at most
	first, second  float64               // second 0: none
	absolute       bool                  // depends on the machine
}

func cpuRatio(o outcome) float64  { return o.CPURatio }
func rateRatio(o outcome) float64 { return o.Rate }
func redisCPU(o outcome) float64  { return o.Gate.RedisCPU }

var targets = []target{
	{scenario: "uniform", what: "service CPU ÷ floor", of: cpuRatio, first: 1.5, second: 1.3},
	{scenario: "uniform", what: "req/s ÷ floor", of: rateRatio, atLeast: true, first: 0.6, second: 0.75},
	{scenario: "uniform", what: "Redis CPU µs", of: redisCPU, first: 8, second: 5, absolute: true},
	{scenario: "hot", what: "service CPU ÷ floor", of: cpuRatio, first: 1.4, second: 1.2},
	{scenario: "hot", what: "req/s ÷ floor", of: rateRatio, atLeast: true, first: 0.75, second: 0.9},
	{scenario: "hot", what: "Redis CPU µs", of: redisCPU, first: 4, absolute: true},
	{scenario: "over quota", what: "service CPU ÷ floor", of: cpuRatio, first: 1.1},
	{scenario: "over quota", what: "req/s ÷ floor", of: rateRatio, atLeast: true, first: 0.95},
	{scenario: "over quota", what: "Redis CPU µs", of: redisCPU, first: 0.5, absolute: true}, // "about nothing": 50 calls a second, and what an idle Redis takes
	{scenario: "unknown", what: "service CPU ÷ floor", of: cpuRatio, first: 1.4},
	{scenario: "unknown", what: "req/s ÷ floor", of: rateRatio, atLeast: true, first: 0.75},
	{scenario: "unknown", what: "Redis CPU µs", of: redisCPU, first: 5, absolute: true},
}

// verdict is a target with what was measured.
type verdict struct {
	Scenario string  `json:"scenario"`
	What     string  `json:"what"`
	Measured float64 `json:"measured"`
	First    float64 `json:"target_1"`
	Second   float64 `json:"target_2,omitempty"`
	Absolute bool    `json:"depends_on_machine,omitempty"`
	OK       bool    `json:"ok"`
	OKSecond bool    `json:"ok_2,omitempty"`
	atLeast  bool
}

// judge compares the outcomes with the targets of the scenarios that were run.
func judge(outcomes []outcome) []verdict {
	var verdicts []verdict
	for _, t := range targets {
		for _, o := range outcomes {
			if o.Name == t.scenario {
				verdicts = append(verdicts, t.judge(t.of(o)))
			}
		}
	}
	return verdicts
}

// judge compares what was measured with the target's bounds.
func (t *target) judge(measured float64) verdict {
	v := verdict{Scenario: t.scenario, What: t.what, Measured: measured, First: t.first, Second: t.second, Absolute: t.absolute, atLeast: t.atLeast}
	holds := func(bound float64) bool { return t.atLeast == (measured >= bound) || measured == bound }
	v.OK, v.OKSecond = holds(t.first), t.second != 0 && holds(t.second)
	return v
}

// printOutcomes writes what was measured.
func printOutcomes(w io.Writer, outcomes []outcome) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\treq/s\tof floor\tservice µs\tfloor µs\t÷ floor\tRedis µs\tp50 µs\tp99 µs\tfloor p50\tfloor p99\tidle %\tfloor idle\t")
	for _, o := range outcomes {
		fmt.Fprintf(table, "%s\t%.0f\t%.2f\t%.1f\t%.1f\t%.2f\t%.1f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t\n", o.Name, o.Gate.Rate, o.Rate, o.Gate.ServiceCPU, o.Floor.ServiceCPU, o.CPURatio,
			o.Gate.RedisCPU, o.Gate.P50, o.Gate.P99, o.Floor.P50, o.Floor.P99, 100*o.Gate.Idle, 100*o.Floor.Idle)
	}
	_ = table.Flush()
}

// printVerdicts writes the table of targets and returns how many of the first column are missed.
func printVerdicts(w io.Writer, verdicts []verdict) int {
	misses := 0
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "scenario\twhat\tmeasured\ttarget 1\t\ttarget 2\t")
	for _, v := range verdicts {
		sign, second := "≤", ""
		if v.atLeast {
			sign = "≥"
		}
		if v.Second != 0 {
			second = fmt.Sprintf("%s %g %s", sign, v.Second, word(v.OKSecond))
		}
		note := ""
		if v.Absolute {
			note = "  (depends on the machine)"
		}
		if !v.OK {
			misses++
		}
		fmt.Fprintf(table, "%s\t%s\t%.2f\t%s %g\t%s\t%s\t%s\n", v.Scenario, v.What, v.Measured, sign, v.First, word(v.OK), second, note)
	}
	_ = table.Flush()
	return misses
}

func word(ok bool) string {
	if ok {
		return "ok"
	}
	return "MISS"
}
