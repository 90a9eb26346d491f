package main

import (
	"bufio"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// TestLineNumbers reads files with blank lines in front and between: the numbers are those that an editor shows.
func TestLineNumbers(t *testing.T) {
	for text, want := range map[string][]int{
		"{}\n{}\n":                   {1, 2},
		"\n \r\n{}\n\n{}":            {3, 5},
		"workspace_id,b\n1,2\n3,4\n": {2, 3},
		"\n\nworkspace_id,b\n1,2\n\n\"3\n\",4\n5,6": {4, 6, 8},
	} {
		next, err := lineReader(bufio.NewReader(strings.NewReader(text)))
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		var got []int
		for {
			line, number, err := next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			if len(line) > 0 {
				got = append(got, number)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: keys on lines %v, want %v", text, got, want)
		}
	}
}
