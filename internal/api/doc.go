// Package api is Sallyport's HTTP server: the wire protocol that backends and
// client SDKs speak, the management and console APIs, and the pages that an
// operator's tools read. It is the only package that knows Echo.
//
// A request goes one way: the outer handler sets headers and answers CORS
// preflights, the router finds the endpoint, its guard finds out who calls, its
// handler answers or returns an error, and errors.go turns any error into an
// answer. routes.go is the table of contents.
//
// Handlers see requests as a *call and never write an error themselves.
package api
