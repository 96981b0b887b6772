// Package load sends track requests over plain TCP connections, one per caller,
// and counts and times the answers. The benchmark and the kill test use it, so
// that both speak to the server in the same way and spend little time of their
// own: a request is one write of bytes that were built beforehand.
//
// It is no HTTP client for anything else: no TLS, no redirects, no proxies.
package load
