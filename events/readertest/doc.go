// Package readertest is the contract that every events.Reader keeps, as a test
// suite:
//
//	func TestReader(t *testing.T) {
//		readertest.Run(t, func(t *testing.T, log []events.Event) events.Reader { … })
//	}
//
// The SQL log and the ClickHouse archive run it over their real engines, so that
// the console shows the same whichever of the two it reads.
package readertest
