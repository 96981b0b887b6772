package bridge

import (
	"slices"
	"strings"
	"sync"

	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/parser"

	"github.com/sallyport/sallyport/rules"
)

// kind is the type of a field, in the words of the vocabulary.
type kind string

const (
	text      kind = "string"
	number    kind = "number"
	boolean   kind = "boolean"
	timestamp kind = "timestamp"
)

// Prefixes of the names that a definition declares, as conditions write them.
const (
	customPrefix     = "custom."
	userCustomPrefix = "user.custom."
	metricPrefix     = "metric."
	listPrefix       = "list."
)

// Bridge translates conditions of one definition. It is safe for concurrent use.
type Bridge struct {
	fields   map[string]kind // every value that a condition may read
	lists    map[string]rules.ListType
	language func() (*rules.Language, error) // prepared when it is first asked for
}

// New makes a bridge for what a definition declares. The definition itself need
// not compile.
func New(d *rules.Definition) *Bridge {
	names := rules.Definition{Fields: d.Fields, Metrics: d.Metrics, Lists: d.Lists}
	b := &Bridge{
		fields: map[string]kind{}, lists: map[string]rules.ListType{},
		language: sync.OnceValues(func() (*rules.Language, error) { return rules.NewLanguage(&names) }),
	}
	for _, fact := range rules.Vocabulary() {
		b.fields[fact.Name] = kind(fact.Type)
	}
	for _, f := range d.Fields {
		name := customPrefix + f.Name
		if f.Scope == rules.OfUser {
			name = userCustomPrefix + f.Name
		}
		b.fields[name] = kind(f.Type)
	}
	for _, m := range d.Metrics {
		b.fields[metricPrefix+m.Name] = number
	}
	for _, l := range d.Lists {
		b.lists[l.Name] = l.Type
	}
	return b
}

// check compiles a condition as package rules does and returns what is wrong
// with it.
func (b *Bridge) check(when string) []rules.Problem {
	language, err := b.language()
	if err != nil {
		return []rules.Problem{{Message: err.Error()}}
	}
	return language.Check(when)
}

// takes tells whether a list can hold values of a field.
func takes(list rules.ListType, field kind) bool {
	if list == rules.ListOfNumbers {
		return field == number
	}
	return field == text
}

// celParser reads CEL with macros left as they are written, so that the tree
// mirrors the text.
var celParser = sync.OnceValues(func() (*parser.Parser, error) {
	return parser.NewParser(parser.ExpressionSizeCodePointLimit(rules.MaxExpressionBytes))
})

// parseCEL reads a whole expression; ok is false when the text is none.
func parseCEL(source string) (expr ast.Expr, ok bool) {
	p, err := celParser()
	if err != nil {
		return nil, false // the options above are constants, and a test parses with them
	}
	tree, errs := p.Parse(common.NewTextSource(source))
	if errs != nil && len(errs.GetErrors()) > 0 || tree == nil {
		return nil, false
	}
	return tree.Expr(), true
}

// dotted is the text of a chain of names such as ip.countryCode.
func dotted(e ast.Expr) (string, bool) {
	var parts []string
	for e.Kind() == ast.SelectKind {
		if e.AsSelect().IsTestOnly() {
			return "", false
		}
		parts = append(parts, e.AsSelect().FieldName())
		e = e.AsSelect().Operand()
	}
	if e.Kind() != ast.IdentKind {
		return "", false
	}
	parts = append(parts, e.AsIdent())
	slices.Reverse(parts)
	return strings.Join(parts, "."), true
}
