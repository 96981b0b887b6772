package rules

// Limits on what people may publish. They are checked when a set is compiled,
// so a set that compiles is cheap to evaluate whatever values it meets.
const (
	// MaxDefinitionBytes is the size of a definition as text.
	MaxDefinitionBytes = 8 << 20
	// MaxActions is how many actions a set may list.
	MaxActions = 200
	// MaxRules is how many rules a set may hold, over all actions.
	MaxRules = 20_000
	// MaxFields is how many custom fields a set may declare.
	MaxFields = 200
	// MaxMetrics is how many metrics a set may declare.
	MaxMetrics = 64
	// MaxLists is how many lists a set may declare.
	MaxLists = 64
	// MaxTests is how many tests a set may hold.
	MaxTests = 2000
	// MaxTestFacts is how many facts a test may give. No mapping of a definition
	// has more keys.
	MaxTestFacts = 1000
	// MaxDefinitionValues is how many values a text may hold, keys, lists and
	// mappings included. Where YAML repeats a part by an alias, it counts again.
	MaxDefinitionValues = 1_000_000
	// MaxDefinitionNesting is how deep they may nest.
	MaxDefinitionNesting = 100
	// MaxPosition is the largest position of a rule.
	MaxPosition = 1_000_000_000
	// MaxAdditions is how many rules of an action may add to a list, which bounds
	// what one decision writes.
	MaxAdditions = 100
	// MaxTags is how many tags a rule may carry.
	MaxTags = 20
	// MaxNameRunes bounds names and tags, in characters.
	MaxNameRunes = 200
	// MaxDescriptionRunes bounds descriptions, in characters.
	MaxDescriptionRunes = 2000
	// MaxPromptRunes bounds a prompt's template, in characters.
	MaxPromptRunes = 300
	// MaxProblems is how many problems a check reports.
	MaxProblems = 100
)

// Limits on one condition. A cost limit does not bound a single call, so the
// size of every string is bounded too (MaxStringBytes).
const (
	// MaxExpressionBytes is the size of a condition.
	MaxExpressionBytes = 4 << 10
	// MaxExpressionNodes counts the nodes of its tree, macros expanded.
	MaxExpressionNodes = 1000
	// MaxComprehensionNesting is how deep all, exists, map and filter may nest.
	MaxComprehensionNesting = 2
	// MaxLiteralNesting is how deep lists and maps may nest.
	MaxLiteralNesting = 5
	// MaxRegexProgram is the size of a compiled regular expression, in the
	// instructions of regexp/syntax.
	MaxRegexProgram = 1000
	// regexStepsPerCost is how many steps of a regular expression count as one
	// unit of cost: about 8 ns each, against 100 ns for a unit.
	regexStepsPerCost = 16
	// MaxRuleCost is what a condition may cost at worst, in CEL's cost units.
	MaxRuleCost = 100_000
	// MaxActionCost is what all conditions of an action may cost together.
	MaxActionCost = 1_000_000
	// MaxMetricsCost is what the conditions of all metrics may cost together: some
	// 2 ms. They are asked for every action, whatever its code, and where windows
	// are built from the log for millions of them. A condition that several metrics
	// share is asked, and costs, once; one that reads challenge.result is asked for
	// each of the ways in which a challenge can end.
	MaxMetricsCost = 20_000
)

// MaxStringBytes bounds every string that a condition reads. A longer one is
// an unknown value.
const MaxStringBytes = 4 << 10
