package rules

import "fmt"

// Language is what the conditions of one definition may say. It checks many of
// them without compiling the rest of the definition each time, such as the
// conditions of its metrics. It is safe for concurrent use.
type Language struct {
	compiler *compiler
}

// mostListTests is how many different list tests one condition can hold: each is
// a call with a name and a dotted name.
const mostListTests = MaxExpressionNodes / 4

// NewLanguage prepares the language of a definition. It reads the names and types
// of fields, metrics and lists alone, and leaves out those that are not allowed,
// so the definition need not compile. Its rules are not looked at.
func NewLanguage(d *Definition) (*Language, error) {
	// Which lists conditions test is not known yet. What stands for a test is a
	// boolean value, whichever list it is about.
	tests := make([]ListTest, mostListTests)
	for i := range tests {
		tests[i] = newListTest(fmt.Sprint(i), listPrefix)
	}
	c, err := newCompiler(d, tests)
	if err != nil {
		return nil, err
	}
	var s Set
	s.layOut(d, tests)
	c.slots = s.slots
	for _, test := range tests {
		c.stands = append(c.stands, test.Name)
	}
	return &Language{compiler: c}, nil
}

// Check compiles a condition and returns what is wrong with it, as Check does for
// a rule that has it. The problems have a line and a column and no field.
func (l *Language) Check(when string) []Problem {
	_, problems := l.compiler.compile(when)
	problems = problems[:min(len(problems), MaxProblems)]
	for i := range problems {
		problems[i].Message = bounded(problems[i].Message)
	}
	return problems
}
