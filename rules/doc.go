// Package rules decides what is risky. It turns facts about an action into an
// outcome by evaluating CEL conditions that analysts write.
//
//	definition, err := rules.ParseYAML(text)
//	set, err := rules.Compile(rules.Version{Number: 1, Definition: definition}) // *CompileError names each problem
//	result := set.Evaluate("payment", &facts) // pure: no I/O, no clock
//
// A value that is not there is CEL's unknown, never a zero or an empty string:
// a condition that needs it ends unknown and does not match.
package rules
