package test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// acceptance is one thing that must hold behind every proxy. It returns what does not.
type acceptance struct {
	number, name string
	breaks       func(s *stack) (mend func()) // what is broken meanwhile, if anything
	run          func(s *stack) error
}

var cases = sorted(slices.Concat(verdictCases, trafficCases, identityCases, outageCases, backendCases))

func sorted(all []acceptance) []acceptance {
	slices.SortFunc(all, func(a, b acceptance) int { return strings.Compare(a.number, b.number) })
	return all
}

// TestAcceptance runs all cases on all proxies. A case that a proxy cannot meet must fail in the way that the table of proxies says.
func TestAcceptance(t *testing.T) {
	for _, p := range proxies {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, p)
			for _, c := range cases {
				result, err := meet(s, c)
				if err != nil {
					t.Errorf("%s %s: %v", c.number, c.name, err)
				}
				results.note(c.number, p.name, result)
			}
		})
	}
}

// meet runs one case and returns what stands in the table of results. Everything works again afterwards.
func meet(s *stack, c acceptance) (string, error) {
	if c.breaks == nil {
		return settle(s, c)
	}
	mend := c.breaks(s)
	result, err := settle(s, c)
	mend()
	if back := s.back(); err == nil && back != nil {
		return "FAIL", fmt.Errorf("not mended: %w", back)
	}
	return result, err
}

func settle(s *stack, c acceptance) (string, error) {
	err := c.run(s)
	limit, limited := s.proxy.deviations[c.number]
	switch {
	case !limited && err == nil:
		return "ok", nil
	case !limited:
		return "FAIL", err
	case err == nil:
		return "FAIL", fmt.Errorf("this works now: take it out of the deviations of %s", s.proxy.name)
	}
	if err := limit.instead(s); err != nil {
		return "FAIL", fmt.Errorf("not even what is expected instead (%s): %w", limit.why, err)
	}
	return results.footnote(limit.why), nil
}

// results is the table that the run prints at its end.
var results = resultTable{cells: map[[2]string]string{}}

type resultTable struct {
	sync.Mutex
	cells map[[2]string]string // by case and proxy
	notes []string
}

func (r *resultTable) note(number, proxy, result string) {
	r.Lock()
	defer r.Unlock()
	r.cells[[2]string{number, proxy}] = result
}

// footnote returns the mark of a footnote.
func (r *resultTable) footnote(text string) string {
	r.Lock()
	defer r.Unlock()
	i := slices.Index(r.notes, text)
	if i < 0 {
		i = len(r.notes)
		r.notes = append(r.notes, text)
	}
	return fmt.Sprintf("no (%d)", i+1)
}

// printResults prints the table, if the acceptance cases ran.
func printResults() {
	results.Lock()
	defer results.Unlock()
	if len(results.cells) == 0 {
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n%-57s", "")
	for _, p := range proxies {
		fmt.Fprintf(&b, " %-13s", p.name)
	}
	for _, c := range cases {
		fmt.Fprintf(&b, "\n%s %-54s", c.number, c.name)
		for _, p := range proxies {
			result := results.cells[[2]string{c.number, p.name}]
			if result == "" {
				result = "not run"
			}
			fmt.Fprintf(&b, " %-13s", result)
		}
	}
	for i, why := range results.notes {
		fmt.Fprintf(&b, "\n(%d) %s", i+1, why)
	}
	fmt.Fprintf(os.Stdout, "%s\n\n", b.String())
}
