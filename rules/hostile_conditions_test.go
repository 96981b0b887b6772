package rules_test

import (
	"strings"

	"github.com/sallyport/sallyport/rules"
)

// hostileCondition is a condition that somebody may try to publish.
type hostileCondition struct {
	name, when   string
	want         string // part of the reason why it is refused; empty if it may be published
	line, column int    // of the problem
}

func repeat(s string, n int, separator string) string {
	return strings.TrimSuffix(strings.Repeat(s+separator, n), separator)
}

// conditionsToRefuse are conditions that would mislead, fail whenever they are
// evaluated, or cost too much.
func conditionsToRefuse() []hostileCondition {
	return []hostileCondition{
		{"empty", "", "a condition is missing", 0, 0},
		{"blank", " \n ", "a condition is missing", 0, 0},
		{"number as result", "custom.amount", "must be true or false; this one is of type number", 1, 1},
		{"text as result", `"true"`, "must be true or false; this one is of type string", 1, 1},
		{"list as result", "[true]", "must be true or false", 1, 1},
		{"null as result", "null", "must be true or false", 1, 1},
		{"choice of numbers as result", "(true ? 1 : 2)", "must be true or false", 1, 1},
		{"dyn hides the result's type", "dyn(true)", "there is no function dyn", 1, 1},
		{"dyn compares across types", `true || dyn(custom.amount) == dyn("1")`, "there is no function dyn", 1, 9},
		{"type", "type(custom.amount) == string", "there is no function type", 1, 1},
		{"has on a fact", "has(ip.countryCode)", "write known(ip.countryCode)", 1, 5},
		{"has on a custom field", "has(custom.amount)", "write known(custom.amount)", 1, 5},
		{"comparison with null", "ip.countryCode == null", "a value is never null", 1, 19},
		{"misspelt fact", `ip.contryCode == "US"`, "did you mean ip.countryCode?", 1, 1},
		{"misspelt fact on a later line", "true &&\n  user.isnew", "did you mean user.isNew?", 2, 3},
		{"unknown fact", `ip.kind == "1"`, "there are ip.address, ip.asn, ip.atypicalTravel", 1, 1},
		{"undeclared field", "custom.amonut > 1.0", "custom.amonut is not declared", 1, 1},
		{"undeclared field of another kind", "custom.currency == 'EUR'", "custom.currency is not declared", 1, 1},
		{"unknown name", "amount > 1", "there is no fact amount", 1, 1},
		{"group as value", "known(ip)", "ip is a group of facts", 1, 7},
		{"group by index", "ip['countryCode'] == 'US'", "ip is a group of facts", 1, 1},
		{"number against text", `custom.amount > "100"`, "> does not work with number and string", 1, 15},
		{"text against number", "custom.payee == 5", "== does not work with string and whole number", 1, 14},
		{"text in a list of numbers", `custom.amount in [1, "2"]`, "a string stands here where a number belongs", 1, 22},
		{"mixed list", "[1, 'a'].size() == 2", "a string stands here where a whole number belongs", 1, 5},
		{"mixed choice", "true ? custom.amount : custom.payee", "must be of one type", 1, 6},
		{"text as condition", "custom.payee && true", "a string stands here where a boolean belongs", 1, 7},
		{"field of a text", "user.email.domain == 'x'", "does not support field selection", 1, 11},
		{"assignment", "custom.amount = 5", "write == to compare", 1, 15},
		{"words for operators", "custom.amount > 1 and true", "write && for and", 1, 19},
		{"unclosed text", "custom.payee == 'x", "a text is not closed", 1, 17},
		{"unclosed parenthesis", "((custom.amount > 5)", "a parenthesis is not closed", 1, 21},
		{"text after the end", "true; true", "does not belong here", 1, 5},
		{"NUL", "true\x00", "does not belong here", 1, 5},
		{"invalid UTF-8", "custom.payee == '\xff'", "not valid UTF-8", 0, 0},
		{"number too large to be exact", "custom.amount == 9007199254740993", "too large to be compared exactly", 1, 18},
		{"number out of range", "custom.amount > 1e400", "invalid double literal", 1, 17},
		{"pattern from the data", "custom.payee.matches(custom.other)", "must be a literal text", 1, 14},
		{"pattern from the data, as a function", "matches(custom.payee, custom.other)", "must be a literal text", 1, 1},
		{"pattern put together", "custom.payee.matches('a' + custom.other)", "must be a literal text", 1, 14},
		{"pattern that is none", "custom.payee.matches('(')", "not a regular expression", 1, 22},
		{"pattern with a back reference", `custom.payee.matches('(a)\\1')`, "not a regular expression", 1, 22},
		{"pattern that repeats too often", "custom.payee.matches('(a{100}){100}')", "not a regular expression", 1, 22},
		{"pattern whose program is too large", "custom.payee.matches('((a{10}){10}){9}')", "program size", 1, 22},
		{"pattern that is slow on a long text", "custom.payee.matches('[a-z]{900}b')", "may cost", 0, 0},
		{"many patterns", repeat("custom.payee.matches('[a-z]{90}b')", 30, " || "), "may cost", 0, 0},
		{"pattern on a text made long", "(" + repeat("custom.payee", 100, " + ") + ").matches('a.*b')", "may cost", 0, 0},
		{"search in a text made long", "(" + repeat("custom.payee", 200, " + ") + ").contains('x')", "may cost", 0, 0},
		{"search in a loop", "[" + repeat("1", 100, ",") + "].exists(x, custom.payee.contains('" + strings.Repeat("y", 40) + "'))", "may cost", 0, 0},
		{"loops in loops in loops", "[1].all(a, [1].all(b, [1].all(c, a + b + c > 0)))", "may nest 2 deep", 1, 30},
		{"large loops in loops", "[" + repeat("1", 300, ",") + "].all(a, [" + repeat("1", 300, ",") + "].all(b, a + b > 0))", "may cost", 0, 0},
		{"too long", "custom.payee == '" + strings.Repeat("x", rules.MaxExpressionBytes) + "'", "at most 4096 are allowed", 0, 0},
		{"too many parts", repeat("true", 600, "||"), "at most 1000 are allowed", 0, 0},
		{"parentheses too deep", strings.Repeat("(", 400) + "true" + strings.Repeat(")", 400), "nests too deep", 1, 1},
		{"time that is none", "now > timestamp('yesterday')", "not a time", 1, 17},
		{"duration that is none", "duration('5 minutes') > duration('1s')", "not a duration", 1, 10},
		{"time zone that is none", "now.getHours('Mars/Base') > 1", "not a time zone", 1, 14},
		{"time zone of the machine", "now.getHours('Local') > 1", "not a time zone", 1, 14},
		{"time zone from the data", "now.getHours(custom.other) > 1", "must be a literal text", 1, 14},
		{"time zone of too many hours", "now.getHours('+25:00') > 1", "not a time zone", 1, 14},
		{"time zone that is a path", "now.getHours('../../etc/passwd') > 1", "not a time zone", 1, 14},
		{"message", "google.protobuf.Duration{seconds: 1} > duration('1s')", "cannot be made", 1, 25},
		{"bytes", "bytes(custom.payee).size() > 3", "there is no function bytes", 1, 1},
		{"function that is none", "custom.payee.lowerAscii() == 'x'", "there is no function lowerAscii", 1, 14},
		{"binding", "cel.bind(x, 1, x > 0)", "there is no function bind", 1, 5},
		{"known of nothing", "known()", "known does not work without a value", 1, 6},
		{"known of two", "known(ip.countryCode, ip.address)", "known does not work with string and string", 1, 6},
		{"loop variable that hides a group", "['x'].exists(ip, ip.countryCode == 'US')", "does not support field selection", 1, 20},
	}
}
