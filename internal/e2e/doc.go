// Package e2e holds the tests that run the product as its users do: the built
// binary as a process of its own, the published SDKs unmodified, a real browser
// with a virtual authenticator, kill -9.
//
// What cannot be written in Go is in the scripts *.mjs, which Node runs and
// whose steps become sub-tests. `make test` installs what they need; set
// SALLYPORT_SHOTS=1 to leave screenshots of every screen in the folder .shots.
package e2e
