package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 2, 100}, 3}} {
		if got := median(c.values); got != c.want {
			t.Errorf("median of %v: %g, want %g", c.values, got, c.want)
		}
	}
}

// TestOutcome: a round in which the machine was slow is slow for both, and changes no ratio.
func TestOutcome(t *testing.T) {
	s := scenario{name: "uniform", rounds: [][2]sample{
		{{ServiceCPU: 15, Rate: 60}, {ServiceCPU: 10, Rate: 100}},
		{{ServiceCPU: 30, Rate: 30}, {ServiceCPU: 20, Rate: 50}},
		{{ServiceCPU: 15, Rate: 60}, {ServiceCPU: 10, Rate: 100}},
	}}
	if o := s.outcome(); o.CPURatio != 1.5 || o.Rate != 0.6 {
		t.Errorf("%+v", o)
	}
}

func TestJudge(t *testing.T) {
	verdicts := judge([]outcome{
		{Name: "uniform", CPURatio: 1.5, Rate: 0.59, Gate: sample{RedisCPU: 4}},
		{Name: "nginx", CPURatio: 9}, // has no target
	})
	if len(verdicts) != 3 || !verdicts[0].OK || verdicts[0].OKSecond || verdicts[1].OK || !verdicts[2].OK || !verdicts[2].OKSecond {
		t.Errorf("%+v", verdicts)
	}
	var printed bytes.Buffer
	if misses := printVerdicts(&printed, verdicts); misses != 1 || strings.Count(printed.String(), "MISS") != 3 {
		t.Errorf("%d misses:\n%s", misses, &printed)
	}
}

// TestDistance: bytes arrive in order, half a round trip later each way, and those under way do not wait for one another.
func TestDistance(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(conn, conn) }()
		}
	}()
	const roundTrip = 100 * time.Millisecond
	address, err := startDistance(ln.Addr().String(), roundTrip)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	start := time.Now()
	for _, word := range []string{"one ", "two ", "three"} {
		if _, err := io.WriteString(conn, word); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	got := make([]byte, len("one two three"))
	_, err = io.ReadFull(conn, got)
	if took := time.Since(start); err != nil || string(got) != "one two three" || took < roundTrip || took > 3*roundTrip {
		t.Errorf("%q after %s: %v", got, took, err)
	}
}

func TestPlot(t *testing.T) {
	svg := plot{title: "cost", unit: "µs", steps: []string{"1", "10"}, lines: []line{{"a", []float64{1, 7}}, {"b", []float64{2, 3}}}}.svg()
	for decoder := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v\n%s", err, svg)
		}
	}
	if strings.Count(svg, "<circle") != 4 || strings.Contains(svg, "NaN") {
		t.Error(svg)
	}
	if got := ceiling([]line{{"a", []float64{7, 0.3}}}); got != 8 {
		t.Errorf("the axis ends at %g", got)
	}
}
