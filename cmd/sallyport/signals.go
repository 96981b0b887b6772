package main

import (
	"cmp"
	"context"

	"github.com/sallyport/sallyport/engine/signals"
	"github.com/sallyport/sallyport/internal/api"
)

// openSignals reads the data that facts come from.
func (s *Server) openSignals(context.Context) error {
	beside, err := BesideExecutable(".")
	if err != nil {
		return err
	}
	config := signals.Config{
		Folder: cmp.Or(s.config.SignalData, beside), IPData: s.config.IPData,
		AtypicalKm: s.config.AtypicalKm, ImpossibleKmh: s.config.ImpossibleKmh, Changed: s.ipDataChanged,
	}
	if config.IPData == nil {
		config.IPData = []string{beside}
	}
	if s.signals, err = signals.Open(config); err != nil {
		return err
	}
	s.closeLater(s.signals.Close)
	return nil
}

// ipDataChanged tells what came of new IP data.
func (s *Server) ipDataChanged(status string, err error) {
	if err != nil {
		s.log.Warn("new IP data cannot be used", "error", err, "ip", status)
		return
	}
	s.log.Info("new IP data are in use", "ip", status)
}

// ipDataPart is the state of the IP data: off when there are none.
func (s *Server) ipDataPart() api.Part {
	health := s.signals.Health()
	part := api.Part{Name: "ipdata", State: api.State(health.Status), Detail: health.Detail}
	if s.signals.Version() == "" {
		part.State = api.Off
	}
	return part
}
