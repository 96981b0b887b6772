package api

import (
	"net/http"
)

// mount hands everything at and under prefix to a handler that writes its own
// pages, errors included. Nil mounts nothing.
func (s *Server) mount(prefix string, pages http.Handler) {
	if pages == nil {
		return
	}
	serve := func(k *call) error {
		pages.ServeHTTP(k.Response(), k.Request())
		return nil
	}
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
		s.at(method, prefix, open, serve)
		s.at(method, prefix+"/*", open, serve)
	}
}
