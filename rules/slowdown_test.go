//go:build !race

package rules_test

// slowdown is how much longer things take under the race detector.
const slowdown = 1
