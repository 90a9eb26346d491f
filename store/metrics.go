package store

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts what a store does. Labels come from closed sets: operations are the methods' names in lower case ("verify", "lookup", "create", …), kinds those of errorKind, and "file" of the embedded store.
type Metrics struct {
	duration *prometheus.HistogramVec
	errors   *prometheus.CounterVec
	verify   prometheus.Observer // of duration
	lookup   prometheus.Observer
}

// NewMetrics registers a store's metrics.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	m := &Metrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tpgate_store_duration_seconds", Help: "Time for one operation of the store; one round trip may serve many checks.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1},
		}, []string{"operation"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tpgate_store_errors_total", Help: "Operations of the store that failed, by kind of fault.",
		}, []string{"operation", "kind"}),
	}
	registry.MustRegister(m.duration, m.errors)
	m.verify, m.lookup = m.duration.WithLabelValues("verify"), m.duration.WithLabelValues("lookup") // dashboards and alerts find what they are made for from the start
	for _, kind := range []string{"lost", "broken", "misdelivered", "timeout", "canceled", "refused", "connection", "file"} {
		m.errors.WithLabelValues("verify", kind)
	}
	return m
}

// observe records the time since start for an operation of the control plane.
func (m *Metrics) observe(operation string, start time.Time) {
	m.duration.WithLabelValues(operation).Observe(time.Since(start).Seconds())
}
