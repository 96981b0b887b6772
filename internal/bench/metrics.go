package main

import (
	"context"
	"time"

	"github.com/sallyport/sallyport/engine/metrics/metricsbench"
)

// The aims of metrics, at so many users.
const (
	metricUsers  = 1_000_000
	aimMicros    = 2   // update and read of six metrics, less is better
	aimUserBytes = 160 // per user and key kind, one event each, less is better
)

// metricFigures measures the windows alone, in this process.
func metricFigures(context.Context, Config) ([]figure, error) {
	const actions, batch = 200_000, metricsbench.BatchSize
	windows, err := metricsbench.New(metricUsers, "")
	if err != nil {
		return nil, err
	}
	var micros []float64
	for range actions / batch {
		work := windows.Workload(batch)
		start := time.Now()
		if err := windows.UpdateAndRead(work); err != nil {
			return nil, err
		}
		micros = append(micros, float64(time.Since(start).Nanoseconds())/1000/batch)
	}
	if err := windows.Close(); err != nil {
		return nil, err
	}
	perUser, err := metricsbench.BytesPerUser(metricUsers)
	if err != nil {
		return nil, err
	}
	many, err := metricsbench.Collection(metricUsers)
	if err != nil {
		return nil, err
	}
	few, err := metricsbench.Collection(1000)
	if err != nil {
		return nil, err
	}
	usual, longest, err := metricsbench.Staleness(50)
	if err != nil {
		return nil, err
	}
	return []figure{
		atMost("metrics.update-and-read-six-us", median(micros), aimMicros),
		atMost("metrics.bytes-per-user", perUser, aimUserBytes),
		plain("metrics.gc-of-1000-users", float64(many)/float64(few)),
		plain("metrics.gc-ms", milliseconds(many)),
		plain("metrics.staleness-ms", milliseconds(usual)),
		plain("metrics.staleness-longest-ms", milliseconds(longest)),
	}, nil
}
