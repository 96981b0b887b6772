package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/rules"
)

// latencyBuckets are in seconds, finest around the time of one track.
var latencyBuckets = []float64{.0005, .001, .002, .004, .008, .016, .032, .064, .125, .25, .5, 1, 2, 5}

// metrics is what Prometheus reads under /metrics. Its registry is the server's
// own, so that two servers in one process do not meet.
type metrics struct {
	registry  *prometheus.Registry
	requests  *prometheus.HistogramVec
	decisions *prometheus.CounterVec
	ruleFails *prometheus.CounterVec
}

func newMetrics(s *Server) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sallyport_request_seconds", Buckets: latencyBuckets,
			Help: "Time to answer, by route template, status and, for tracked actions, what was decided.",
		}, []string{"route", "status", "outcome"}),
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sallyport_decisions_total", Help: "Recorded decisions by what the rules asked for, what became of it, and why; a repeated track counts once.",
		}, []string{"outcome", "state", "reason"}),
		ruleFails: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sallyport_rule_errors_total", Help: "Conditions that ended in an error, by rule.",
		}, []string{"rule"}),
	}
	m.registry.MustRegister(m.requests, m.decisions, m.ruleFails, &partsCollector{server: s},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) observe(route string, status int, outcome string, took time.Duration) {
	m.requests.WithLabelValues(route, statusText(status), outcome).Observe(took.Seconds())
}

// statusText saves the allocation for the statuses of a healthy server.
func statusText(status int) string {
	switch status {
	case http.StatusOK:
		return "200"
	case http.StatusBadRequest:
		return "400"
	case http.StatusUnauthorized:
		return "401"
	}
	return strconv.Itoa(status)
}

func (m *metrics) decided(d *engine.Decision) {
	if d.Repeated {
		return
	}
	m.decisions.WithLabelValues(string(d.Outcome), string(d.State), string(d.Reason)).Inc()
	for i := range d.Matches {
		if d.Matches[i].Result == rules.Erred {
			m.ruleFails.WithLabelValues(d.Matches[i].ID).Inc()
		}
	}
}

// handler writes the metrics.
func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

var (
	partUp  = prometheus.NewDesc("sallyport_part_up", "1 when a part works, 0.5 when it is degraded, 0 when it is down.", []string{"part"}, nil)
	partLag = prometheus.NewDesc("sallyport_part_lag_events", "Events in the log that a part has not seen yet.", []string{"part"}, nil)
	logHead = prometheus.NewDesc("sallyport_log_head", "Number of the last event in the log's current epoch.", nil, nil)
	ruleSet = prometheus.NewDesc("sallyport_rule_set", "Number of the rule set in force on this node.", nil, nil)
)

// partsCollector asks the parts when Prometheus asks, so that nothing runs while
// nobody looks.
type partsCollector struct{ server *Server }

// Describe implements prometheus.Collector.
func (c *partsCollector) Describe(out chan<- *prometheus.Desc) {
	out <- partUp
	out <- partLag
	out <- logHead
	out <- ruleSet
}

// Collect implements prometheus.Collector. A log that cannot be read leaves its
// gauge out rather than reporting an old number.
func (c *partsCollector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), c.server.config.MaxRequest)
	defer cancel()
	for _, part := range c.server.parts(ctx) {
		if part.State == Off {
			continue
		}
		out <- prometheus.MustNewConstMetric(partUp, prometheus.GaugeValue, part.State.level(), part.Name)
		if part.Lag != nil {
			out <- prometheus.MustNewConstMetric(partLag, prometheus.GaugeValue, float64(*part.Lag), part.Name)
		}
	}
	if head, err := c.server.config.Store.Head(ctx); err == nil {
		out <- prometheus.MustNewConstMetric(logHead, prometheus.GaugeValue, float64(head.Seq))
	}
	out <- prometheus.MustNewConstMetric(ruleSet, prometheus.GaugeValue, float64(c.server.config.Rules.Current().Number()))
}
