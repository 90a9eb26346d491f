// Command bench measures what a check costs, against the floor: a server of the same kind, settings and headers that decides nothing (folder floor).
//
// Absolute figures drift with the machine and with what else runs on it. So gate and floor are driven in turns, over several rounds in rotated order, and what counts is
// the median of the rounds' ratios; processor time per request is read from /proc, not derived from rates. main.go says what is measured, system.go starts it,
// keys.go makes the keys and wrk's scripts, measure.go drives and counts, targets.go judges; grow*.go, by -grow, measure how the cost grows and draw it.
//
// Run it from the repository's root: go run ./test/bench.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// options are the command line's.
type options struct {
	rounds  int
	seconds int
	keys    int
	only    string
	results string
	grow    bool
	settle  time.Duration
}

// bench is one run.
type bench struct {
	options
	dir       string // of everything that it writes
	port      int    // the last that was given away
	processes []*process
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 9, "rounds for each scenario")
	flag.IntVar(&o.seconds, "seconds", 2, "how long each gate is driven in a round")
	flag.IntVar(&o.keys, "keys", 10_000, "keys of the uniform load")
	flag.StringVar(&o.only, "only", "", "comma-separated names of scenarios; empty: all")
	flag.StringVar(&o.results, "results", "bench-results", "folder for latest.json (or grow.json and plots)")
	flag.BoolVar(&o.grow, "grow", false, "measure how the cost grows instead")
	flag.DurationVar(&o.settle, "settle", 10*time.Second, "the longest to wait, before each measurement, until others leave the machine idle")
	flag.Parse()
	misses, err := run(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	if misses > 0 {
		fmt.Fprintf(os.Stderr, "bench: %d targets of the first column are missed\n", misses)
		os.Exit(1)
	}
}

// run returns how many targets of the first column are missed.
func run(o options) (int, error) {
	dir, err := os.MkdirTemp("", "tpgate-bench-")
	if err != nil {
		return 0, err
	}
	b := &bench{options: o, dir: dir, port: 20000 + os.Getpid()%8000}
	defer b.close()
	if err := b.build(); err != nil {
		return 0, err
	}
	if o.grow {
		return b.grow()
	}
	scenarios, err := b.scenarios()
	if err != nil {
		return 0, err
	}
	outcomes, err := b.measure(scenarios)
	if err != nil {
		return 0, err
	}
	verdicts := judge(outcomes)
	printOutcomes(os.Stdout, outcomes)
	fmt.Println()
	misses := printVerdicts(os.Stdout, verdicts)
	return misses, b.write("latest.json", map[string]any{
		"machine": describe(), "rounds": o.rounds, "seconds": o.seconds, "keys": o.keys, "scenarios": outcomes, "targets": verdicts,
	})
}

func (b *bench) close() {
	for _, p := range b.processes {
		p.kill()
	}
	_ = os.RemoveAll(b.dir)
}

// wanted reports whether a scenario is asked for.
func (b *bench) wanted(name string) bool {
	for wanted := range strings.SplitSeq(b.only, ",") {
		if b.only == "" || wanted == name {
			return true
		}
	}
	return false
}

// measure runs all scenarios, the floor beside each, in an order that is rotated from round to round, after each was warmed up.
func (b *bench) measure(scenarios []*scenario) ([]outcome, error) {
	for _, s := range scenarios {
		warm := s.load
		warm.ordered = s.warm > 0
		if _, err := drive(s.gate, warm, max(time.Second, s.warm)); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	for round := range b.rounds {
		for i := range scenarios {
			settle(b.settle)
			if err := scenarios[(i+round)%len(scenarios)].run(time.Duration(b.seconds) * time.Second); err != nil {
				return nil, err
			}
		}
		fmt.Fprintf(os.Stderr, "round %d of %d, load average %s\n", round+1, b.rounds, loadAverage())
	}
	var outcomes []outcome
	for _, s := range scenarios {
		outcomes = append(outcomes, s.outcome())
	}
	return outcomes, nil
}

func (b *bench) write(name string, results any) error {
	text, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(b.results, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.results, name), append(text, '\n'), 0o644)
}
