// Package architecture holds no code: its test checks that the packages import
// each other, and the world, only as the design says.
package architecture
