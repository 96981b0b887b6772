// Package engine decides what to do about an action: it gathers facts, asks the
// rules, applies the policies for people who cannot be challenged and for
// decisions that fail, and records the decision together with its event.
//
// It runs without a server: see examples/embedded.
package engine
