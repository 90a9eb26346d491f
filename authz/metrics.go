package authz

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts what was decided. Its labels come from closed sets: the transport, and the verdicts of verdict.go.
type Metrics struct {
	decisions [verdicts]prometheus.Counter // curried: no look-up of labels per check
	duration  prometheus.Observer
	_         [64]byte // a cache line between what every check reads and what every check writes
	inflight  atomic.Int64
}

// NewMetrics registers the data plane's metrics. Every series exists from the start, so that a rate over it is never missing.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	decisions := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tpgate_decisions_total", Help: "Checks answered, by verdict.",
	}, []string{"transport", "verdict"})
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "tpgate_decision_duration_seconds", Help: "Time from a request's headers to its answer.",
		Buckets: []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .15, .25, 1},
	}, []string{"transport"})
	m := &Metrics{duration: duration.WithLabelValues("http")}
	registry.MustRegister(decisions, duration, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "tpgate_inflight_checks", Help: "Checks under way.",
	}, func() float64 { return float64(m.inflight.Load()) }))
	for v := range verdicts {
		m.decisions[v] = decisions.WithLabelValues("http", wordings[v].label)
	}
	return m
}

func (m *Metrics) begin() { m.inflight.Add(1) }

func (m *Metrics) end(v verdict, took time.Duration) {
	m.inflight.Add(-1)
	m.decisions[v].Inc()
	m.duration.Observe(took.Seconds())
}
