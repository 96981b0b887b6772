// Package console serves the web application that analysts and reviewers use.
//
// The application is built by Vite from console/web into console/dist and is
// embedded in the binary:
//
//	mux.Handle("/console/", console.Handler("/console"))
//
// The package knows nothing of the application's data: the API under
// PREFIX/api belongs to internal/api and must be routed before this handler.
package console
