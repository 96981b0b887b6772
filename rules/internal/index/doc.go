// Package index finds, among thousands of rules, those that a set of values does
// not contradict, at a cost that hardly grows with the rules.
//
// A rule is a conjunction of tests, at most one per field; a test is the set of
// values for which it holds. For each field the index keeps, for any value, a row
// of bits: one per rule, set where the field's test holds or the rule does not
// test the field. Match takes one row per field and joins them with AND. What is
// left is exactly the rules whose tests all hold.
//
// A row per value would take too much memory, so a field keeps a few rows and,
// between them, the bits that change:
//
//   - The values of an ordered field are whole numbers. They fall into blocks; a
//     block has the row of its first value and, in order, each rule whose bit
//     changes at a later one.
//   - A text field has the row of all values that no rule names, and for each value
//     that is named the rules whose bits differ, or a row of its own if there are
//     many.
//
// A value may be unknown. Then a test is false, true or unsure, as in three-valued
// logic, and a rule all of whose tests are true or unsure is left, as unsure if
// one of them is.
//
// The structure follows bitmap indexes over predicates, known from packet
// classification as bit vectors (Lakshman and Stiliadis, SIGCOMM 1998).
package index
