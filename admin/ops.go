package admin

import (
	"context"
	"net/http"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Ops is the listener for probes and metrics: no credential, nothing secret, and nothing that changes anything.
type Ops struct {
	Ready    func(context.Context) error // why the store cannot answer now, nil if it can
	Gatherer prometheus.Gatherer

	draining atomic.Bool
}

// Drain makes /readyz say that no new traffic should come.
func (o *Ops) Drain() { o.draining.Store(true) }

// Handler serves /metrics, /livez and /readyz.
func (o *Ops) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.Gatherer, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { probe(w, "") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		switch {
		case o.draining.Load():
			probe(w, "draining")
		case r.URL.Query().Get("store") != "ignore" && o.Ready(r.Context()) != nil:
			probe(w, "the store cannot answer")
		default:
			probe(w, "")
		}
	})
	return mux
}

// probe answers 200 "ok", or 503 and why.
func probe(w http.ResponseWriter, fault string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if fault != "" {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(fault + "\n")) // an error means that the prober has gone
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}
