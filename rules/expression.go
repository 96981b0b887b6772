package rules

import (
	"errors"
	"fmt"
	"maps"
	"regexp/syntax"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/sallyport/sallyport/rules/internal/index"
)

// condition is one compiled CEL expression.
type condition struct {
	tests   []index.Test    // what the index answers; nil when the compiler has no slots
	never   bool            // it is false whatever the facts are
	program cel.Program     // of what is left besides the tests, nil when nothing is
	source  *ast.SourceInfo // where an error happened, nil without a program
	reads   []string        // names of the facts it may read
	cost    uint64          // of the program at worst, in CEL's units, and testCost
	bounded bool            // cost is limited at run time too
}

// language is CEL as analysts write it: its standard library, the built-in
// facts as dotted variables and the function known. Custom fields join per set.
// Literals are checked by validators, which join per set as well.
var language = sync.OnceValues(func() (*cel.Env, error) {
	options := []cel.EnvOption{
		cel.DefaultUTCTimeZone(true),
		cel.CrossTypeNumericComparisons(true),
		cel.RegexProgramSizeLimit(MaxRegexProgram),
		cel.ExpressionNodeLimit(MaxExpressionNodes),
		cel.ParserExpressionSizeLimit(MaxExpressionBytes),
		cel.Function("known", cel.Overload("known_value", []*cel.Type{cel.TypeParamType("T")}, cel.BoolType,
			cel.OverloadIsNonStrict(), cel.UnaryBinding(known))),
	}
	for _, b := range builtins() {
		options = append(options, cel.Variable(b.Name, b.celType))
	}
	return cel.NewEnv(options...)
})

// validators check what a type does not tell.
func validators() cel.EnvOption {
	return cel.ASTValidators(
		cel.ValidateDurationLiterals(),
		cel.ValidateTimestampLiterals(),
		cel.ValidateRegexLiterals(),
		cel.ValidateHomogeneousAggregateLiterals(),
		cel.ValidateComprehensionNestingLimit(MaxComprehensionNesting),
	)
}

// needsValidators tells whether a tree holds anything that a validator looks at.
// Most conditions do not, and the validators take as long as checking types.
func needsValidators(tree *ast.AST) bool {
	found := false
	ast.PreOrderVisit(tree.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.LiteralKind, ast.IdentKind, ast.SelectKind:
		case ast.CallKind:
			switch e.AsCall().FunctionName() {
			case overloads.TypeConvertDuration, overloads.TypeConvertTimestamp, overloads.Matches:
				found = true
			}
		default:
			found = true
		}
	}))
	return found
}

// known tells whether a value is there. It must see unknown values, so CEL does
// not propagate them past it.
func known(v ref.Val) ref.Val {
	switch {
	case types.IsUnknown(v):
		return types.False
	case types.IsError(v):
		return v
	}
	return types.True
}

// compiler turns conditions into programs for one definition.
type compiler struct {
	env   *cel.Env
	plain *cel.Env             // the same without validators
	facts map[string]*cel.Type // every name that a condition may read, list tests among them
	lists map[string]ListType  // by the name in conditions, such as list.suspects
	slots map[string]int       // places of the facts in an activation; without them nothing is left to an index
	// stands are the names that stand for the list tests of a condition, in the order
	// in which they come. Without them each stands for itself.
	stands []string
}

// newCompiler declares what the rules of a definition may read. It leaves out
// what has no proper name or type; the checker reports that.
func newCompiler(d *Definition, tests []ListTest) (*compiler, error) {
	c := &compiler{lists: map[string]ListType{}}
	more := make(map[string]*cel.Type, len(d.Metrics)+len(tests))
	for i := range d.Metrics {
		if isFieldName(d.Metrics[i].Name) {
			more[metricPrefix+d.Metrics[i].Name] = cel.DoubleType
		}
	}
	for _, test := range tests {
		more[test.Name] = cel.BoolType
	}
	for _, l := range d.Lists {
		c.lists[listPrefix+l.Name] = l.Type
	}
	return c, c.declare(d.Fields, more)
}

// declare makes the compiler's environment: the built-in facts, fields, and more.
func (c *compiler) declare(fields []Field, more map[string]*cel.Type) error {
	base, err := language()
	if err != nil {
		return fmt.Errorf("prepare CEL: %w", err)
	}
	c.facts = make(map[string]*cel.Type, len(builtins())+len(fields)+len(more))
	for _, b := range builtins() {
		c.facts[b.Name] = b.celType
	}
	var variables []cel.EnvOption
	add := func(name string, typ *cel.Type) {
		if _, twice := c.facts[name]; twice {
			return
		}
		c.facts[name] = typ
		variables = append(variables, cel.Variable(name, typ))
	}
	for i := range fields {
		if typ := fields[i].celType(); typ != nil && isFieldName(fields[i].Name) {
			add(fields[i].fact(), typ)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(more)) {
		add(name, more[name])
	}
	if c.plain, err = base.Extend(variables...); err == nil {
		c.env, err = c.plain.Extend(validators())
	}
	if err != nil {
		return fmt.Errorf("declare what conditions may read: %w", err)
	}
	return nil
}

// compile returns the condition or the problems in it, with positions.
func (c *compiler) compile(text string) (*condition, []Problem) {
	switch {
	case strings.TrimSpace(text) == "":
		return nil, []Problem{{Message: "a condition is missing; write true for one that always matches"}}
	case len(text) > MaxExpressionBytes:
		return nil, []Problem{{Message: fmt.Sprintf("the condition has %d bytes; at most %d are allowed", len(text), MaxExpressionBytes)}}
	case !utf8.ValidString(text):
		return nil, []Problem{{Message: "the condition is not valid UTF-8"}}
	}
	parsed, issues := c.env.Parse(text)
	if issues.Err() != nil {
		return nil, celProblems(issues)
	}
	if n := ast.NodeCount(parsed.NativeRep()); n > MaxExpressionNodes {
		return nil, []Problem{{Message: fmt.Sprintf("the condition has %d parts; at most %d are allowed", n, MaxExpressionNodes)}}
	}
	if problems := c.vet(parsed.NativeRep()); len(problems) > 0 {
		return nil, problems
	}
	c.replaceListTests(parsed.NativeRep())
	if problems := c.alignNumbers(parsed.NativeRep()); len(problems) > 0 {
		return nil, problems
	}
	env := c.plain
	if needsValidators(parsed.NativeRep()) {
		env = c.env
	}
	checked, issues := env.Check(parsed)
	if issues.Err() != nil {
		return nil, celProblems(issues)
	}
	if !checked.OutputType().IsExactType(cel.BoolType) {
		return nil, []Problem{{Line: 1, Column: 1, Message: fmt.Sprintf("a condition must be true or false; this one is of type %s", typeName(checked.OutputType().String()))}}
	}
	return c.plan(checked)
}

// testCost is what the tests of a condition cost together, which the index
// answers for all rules at once.
const testCost = 1

// plan takes the condition apart, estimates the worst case of what the index
// cannot answer, and builds its program.
func (c *compiler) plan(checked *cel.Ast) (*condition, []Problem) {
	tree := checked.NativeRep()
	cond := &condition{cost: testCost}
	for _, reference := range tree.ReferenceMap() {
		if _, ok := c.facts[reference.Name]; ok && !slices.Contains(cond.reads, reference.Name) {
			cond.reads = append(cond.reads, reference.Name)
		}
	}
	slices.Sort(cond.reads)
	parts, left := c.extract(tree)
	cond.tests, cond.never = parts.tests, parts.never
	if left == nil {
		return cond, nil
	}
	estimate, err := cost.Cost(left, sizes{c.facts})
	if err != nil {
		return nil, []Problem{{Message: fmt.Sprintf("its cost cannot be estimated: %v", err)}}
	}
	if estimate.Max > MaxRuleCost {
		return nil, []Problem{{Message: fmt.Sprintf("the condition may cost %d at worst; at most %d is allowed", estimate.Max, MaxRuleCost)}}
	}
	cond.cost += estimate.Max
	cond.source = left.SourceInfo()
	ast.PostOrderVisit(left.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() == ast.ComprehensionKind || e.Kind() == ast.CallKind && e.AsCall().FunctionName() == overloads.Matches {
			cond.bounded = true
		}
	}))
	options := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize), cel.CustomDecoratorV2(fixZones)}
	if cond.bounded {
		// Counting cost makes evaluation about twice as slow, so only conditions
		// whose work depends on more than their text are counted.
		options = append(options, cel.CostLimit(MaxRuleCost))
	}
	cond.program, err = c.env.PlanProgram(left, options...)
	if err != nil {
		return nil, []Problem{{Message: fmt.Sprintf("the condition cannot be prepared: %v", err)}}
	}
	return cond, nil
}

// sizes tells CEL's cost estimate how long facts can be.
type sizes struct{ facts map[string]*cel.Type }

func (s sizes) EstimateSize(node cost.AstNode) *cost.SizeEstimate {
	path := node.Path()
	if len(path) != 1 {
		return nil
	}
	if typ, ok := s.facts[path[0]]; !ok || typ != cel.StringType {
		return nil
	}
	size := cost.RangedSizeEstimate(0, MaxStringBytes)
	return &size
}

// EstimateCallCost counts what matches really does: a step per instruction of
// the pattern and per byte of the text. CEL's own estimate looks only at the
// pattern's length, and a short pattern such as [a-z]{900} can be a large
// program. Other functions cost what CEL says.
func (s sizes) EstimateCallCost(function, _ string, target *cost.AstNode, args []cost.AstNode) *cost.CallEstimate {
	if function != overloads.Matches {
		return nil
	}
	if target != nil {
		args = append([]cost.AstNode{*target}, args...)
	}
	pattern, ok := args[1].Expr().AsLiteral().(types.String)
	if !ok {
		return nil
	}
	parsed, err := syntax.Parse(string(pattern), syntax.Perl)
	if err != nil {
		return nil
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil
	}
	steps := cost.EstimateSize(s, args[0]).MultiplyByCostFactor(float64(len(program.Inst)) / regexStepsPerCost)
	return cost.NewCallEstimate(steps, nil)
}

// failure puts an error of evaluation into words. It never repeats a value: a
// decision's matches are kept for ever, a person's data are not.
func (c *condition) failure(err error) string {
	text := "the condition could not be evaluated"
	for _, k := range knownFailures {
		if strings.Contains(err.Error(), k.says) {
			text = k.means
			break
		}
	}
	var at *types.Err
	if errors.As(err, &at) && c.source != nil {
		if _, ok := c.source.GetOffsetRange(at.NodeID()); ok {
			where := c.source.GetStartLocation(at.NodeID())
			return fmt.Sprintf("%s (line %d, column %d)", text, where.Line(), where.Column()+1)
		}
	}
	return text
}

// knownFailures maps what cel-go says to what a reader of decisions sees.
var knownFailures = []struct{ says, means string }{
	{"division by zero", "division by zero"},
	{"modulus by zero", "modulus by zero"},
	{"overflow", "a number is out of range"},
	{"range error", "a number is out of range"},
	{"no such key", "the key is not in the map"},
	{"index out of bounds", "the index is beyond the list"},
	{"cost limit exceeded", "the condition cost more than is allowed"},
	{"parsing", "a text could not be read as the type it was converted to"},
	{"type conversion error", "a value could not be converted"},
}
