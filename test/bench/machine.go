package main

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// machine is what the figures were measured on.
type machine struct {
	CPU         string `json:"cpu"`
	Cores       int    `json:"cores"`
	MaxProcs    int    `json:"gomaxprocs"` // of the bench, and of tpgate and the floor, which inherit what the environment says
	Go          string `json:"go"`
	LoadAverage string `json:"load_average"` // at the end; the bench's own load is about 2
	Date        string `json:"date"`
}

func describe() machine {
	m := machine{Cores: runtime.NumCPU(), MaxProcs: runtime.GOMAXPROCS(0), Go: runtime.Version(), LoadAverage: loadAverage(), Date: time.Now().UTC().Format(time.DateOnly)}
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			m.CPU = strings.TrimSpace(value)
		}
	}
	return m
}

func loadAverage() string {
	text, _ := os.ReadFile("/proc/loadavg")
	average, _, _ := strings.Cut(string(text), " ")
	return average
}

const (
	// busy is the part of the machine that others may use when a measurement starts.
	busy = 0.15
	// glance is how long the machine is watched to know.
	glance = 250 * time.Millisecond
)

// settle waits until the machine is nearly idle, for some time at most: whatever else runs on it would be measured too.
func settle(atMost time.Duration) {
	for limit := time.Now().Add(atMost); time.Now().Before(limit); {
		idle := idleTime()
		time.Sleep(glance)
		if share := float64(idleTime()-idle) / float64(glance) / float64(runtime.NumCPU()); share > 1-busy {
			return
		}
	}
}

// idleTime is what all processors have spent idle.
func idleTime() time.Duration {
	text, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(text), "\n")
	words := strings.Fields(line) // cpu user nice system idle iowait …, in hundredths of a second
	if len(words) < 6 {
		return 0
	}
	idle, _ := strconv.Atoi(words[4])
	waiting, _ := strconv.Atoi(words[5])
	return time.Duration(idle+waiting) * 10 * time.Millisecond
}
