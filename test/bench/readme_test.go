package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReadme holds the README's figures to those that the benches have written.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	want := func(row string) {
		t.Helper()
		if !strings.Contains(string(text), row+"\n") {
			t.Errorf("README.md lacks the row\n%s", row)
		}
	}
	var latest struct{ Scenarios []outcome }
	read(t, "latest.json", &latest)
	for _, o := range latest.Scenarios {
		want(fmt.Sprintf("| %s | %.2f | %.2f | %.1f | %.1f | %.1f, floor %.1f |", o.Name, o.Rate, o.CPURatio, o.Gate.RedisCPU, o.Gate.P50/1000, o.Gate.P99/1000, o.Floor.P99/1000))
	}
	var grown growth
	read(t, "grow.json", &grown)
	m := grown.Memory
	want(fmt.Sprintf("| a key in Redis, its window apart | %.0f bytes |", m.Key))
	want(fmt.Sprintf("| a full window of 60, 1,000, 10,000 permits | %s bytes |", m.fullWindows()))
	want(fmt.Sprintf("| tpgate idle; with 10,000 connections at rest, under load; knowing a million keys | %.0f; %.0f, %.0f; %.0f MB |",
		megabytes(m.Idle), megabytes(m.Resting), megabytes(m.WithConnections), megabytes(m.WithHints)))
	want(fmt.Sprintf("| start to ready | %.0f ms |", m.Start))
}

func read(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("results", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}
