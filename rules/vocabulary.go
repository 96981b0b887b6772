package rules

import (
	_ "embed"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"reflect"
	"strings"
	"sync"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// Fact describes one value that conditions may read.
type Fact struct {
	Name  string `json:"name"`  // path in CEL, such as ip.countryCode
	Type  string `json:"type"`  // string, number, boolean or timestamp
	Group string `json:"group"` // first part of the path
	Doc   string `json:"doc"`   // one sentence
}

// Vocabulary lists the built-in facts in the order of the struct Facts.
func Vocabulary() []Fact {
	facts := make([]Fact, len(builtins()))
	for i, b := range builtins() {
		facts[i] = b.Fact
	}
	return facts
}

// builtin is a fact together with how to declare and read it. All numbers are
// doubles in CEL, so an analyst never meets two kinds of numbers.
type builtin struct {
	Fact
	celType *cel.Type
	read    func(*Facts) ref.Val      // nil when the value is unknown
	key     valueReader               // the same for the index
	append  memberAppender            // the same for EncodeFacts
	write   func(*Facts, scalar) bool // false when the value has another type
	always  bool                      // cannot be unknown: false, 0 or empty instead
}

// scalar is a value before it is known which fact it belongs to.
type scalar struct {
	kind   scalarKind
	text   string
	number float64
	truth  bool
	time   time.Time
}

type scalarKind uint8

const (
	textScalar scalarKind = iota + 1
	numberScalar
	boolScalar
	timeScalar // a text is a time, too, where one belongs
)

// asTime reads a time as RFC 3339 has it.
func (v scalar) asTime() (time.Time, bool) {
	switch v.kind {
	case timeScalar:
		return v.time, true
	case textScalar:
		t, err := time.Parse(time.RFC3339Nano, v.text)
		return t.UTC(), err == nil
	}
	return time.Time{}, false
}

//go:embed facts.go
var factsSource []byte

// builtins is made once from the struct Facts: names from its tags, help texts
// from its comments. The comments come from the embedded source since a
// program cannot see its own.
var builtins = sync.OnceValue(func() []builtin {
	docs := fieldComments(factsSource)
	var list []builtin
	root := reflect.TypeFor[Facts]()
	for i := range root.NumField() {
		field := root.Field(i)
		name := field.Tag.Get("cel")
		switch {
		case name == "": // declared per set
		case field.Type.Kind() == reflect.Struct && field.Type != reflect.TypeFor[time.Time]():
			for j := range field.Type.NumField() {
				leaf := field.Type.Field(j)
				list = append(list, newBuiltin(name, name+"."+leaf.Tag.Get("cel"), leaf.Type, []int{i, j}, docs[field.Type.Name()+"."+leaf.Name]))
			}
		default:
			list = append(list, newBuiltin(name, name, field.Type, []int{i}, docs[root.Name()+"."+field.Name]))
		}
	}
	return list
})

// builtinsByName finds a built-in fact.
var builtinsByName = sync.OnceValue(func() map[string]*builtin {
	byName := make(map[string]*builtin, len(builtins()))
	for i := range builtins() {
		byName[builtins()[i].Name] = &builtins()[i]
	}
	return byName
})

// fieldComments returns the comments of all struct fields in a Go file, by
// "Type.Field".
func fieldComments(source []byte) map[string]string {
	file, err := parser.ParseFile(token.NewFileSet(), "facts.go", source, parser.ParseComments)
	if err != nil {
		panic(fmt.Sprintf("embedded facts.go: %v", err)) // the compiler has read the same file
	}
	comments := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		structure, ok := spec.Type.(*ast.StructType)
		if !ok {
			return true
		}
		for _, field := range structure.Fields.List {
			text := field.Comment.Text()
			if text == "" {
				text = field.Doc.Text()
			}
			for _, name := range field.Names {
				comments[spec.Name.Name+"."+name.Name] = strings.Join(strings.Fields(text), " ")
			}
		}
		return true
	})
	return comments
}

func newBuiltin(group, name string, typ reflect.Type, index []int, doc string) builtin {
	b := builtin{Fact: Fact{Name: name, Group: group, Doc: doc}}
	var zero ref.Val
	b.read, zero = reader(typ, index)
	b.key = builtinReader(typ, offsetOf(index))
	b.append = builtinAppender(name, typ, offsetOf(index))
	b.write, b.always = writer(typ, index)
	b.celType, b.Type = celTypeOf(zero)
	return b
}

// celTypeOf names the type of a value as CEL and as people know it.
func celTypeOf(v ref.Val) (*cel.Type, string) {
	switch v.(type) {
	case types.String:
		return cel.StringType, "string"
	case types.Double:
		return cel.DoubleType, "number"
	case types.Bool:
		return cel.BoolType, "boolean"
	default:
		return cel.TimestampType, "timestamp"
	}
}

// reader makes the function that reads the field at index, and an example of
// what it returns. Reflection finds the field; the value itself is read through
// a typed pointer, which allocates nothing.
func reader(typ reflect.Type, index []int) (func(*Facts) ref.Val, ref.Val) {
	at := func(f *Facts) any { return reflect.ValueOf(f).Elem().FieldByIndex(index).Addr().Interface() }
	switch reflect.Zero(typ).Interface().(type) {
	case string:
		return func(f *Facts) ref.Val { return stringValue(*at(f).(*string)) }, types.String("")
	case bool:
		return func(f *Facts) ref.Val { return types.Bool(*at(f).(*bool)) }, types.False
	case int64:
		return func(f *Facts) ref.Val { return types.Double(*at(f).(*int64)) }, types.Double(0)
	case time.Time:
		return func(f *Facts) ref.Val { return timeValue(*at(f).(*time.Time)) }, types.Timestamp{}
	case Value[string]:
		return func(f *Facts) ref.Val { return knownValue(at(f).(*Value[string]), stringValue) }, types.String("")
	case Value[bool]:
		return func(f *Facts) ref.Val {
			return knownValue(at(f).(*Value[bool]), func(v bool) ref.Val { return types.Bool(v) })
		}, types.False
	case Value[float64]:
		return func(f *Facts) ref.Val { return knownValue(at(f).(*Value[float64]), numberValue) }, types.Double(0)
	case Value[time.Time]:
		return func(f *Facts) ref.Val { return knownValue(at(f).(*Value[time.Time]), timeValue) }, types.Timestamp{}
	default:
		panic(fmt.Sprintf("facts.go: no rule for fields of type %s", typ))
	}
}

// writer makes the function that sets the field at index, and reports whether the
// field always has a value.
func writer(typ reflect.Type, index []int) (func(*Facts, scalar) bool, bool) {
	at := func(f *Facts) any { return reflect.ValueOf(f).Elem().FieldByIndex(index).Addr().Interface() }
	var write func(*Facts, scalar) bool
	always := false
	switch reflect.Zero(typ).Interface().(type) {
	case string:
		always = true
		write = func(f *Facts, v scalar) bool {
			*at(f).(*string) = v.text
			return v.kind == textScalar
		}
	case bool:
		always = true
		write = func(f *Facts, v scalar) bool {
			*at(f).(*bool) = v.truth
			return v.kind == boolScalar
		}
	case int64:
		always = true
		write = func(f *Facts, v scalar) bool {
			*at(f).(*int64) = int64(v.number)
			return v.kind == numberScalar && v.number == math.Trunc(v.number) && math.Abs(v.number) < 1<<53
		}
	case time.Time:
		write = func(f *Facts, v scalar) (ok bool) {
			*at(f).(*time.Time), ok = v.asTime()
			return ok
		}
	case Value[string]:
		write = func(f *Facts, v scalar) bool {
			*at(f).(*Value[string]) = Known(v.text)
			return v.kind == textScalar
		}
	case Value[bool]:
		write = func(f *Facts, v scalar) bool {
			*at(f).(*Value[bool]) = Known(v.truth)
			return v.kind == boolScalar
		}
	case Value[float64]:
		write = func(f *Facts, v scalar) bool {
			*at(f).(*Value[float64]) = Known(v.number)
			return v.kind == numberScalar
		}
	case Value[time.Time]:
		write = func(f *Facts, v scalar) bool {
			t, ok := v.asTime()
			*at(f).(*Value[time.Time]) = Value[time.Time]{v: t, known: ok}
			return ok
		}
	}
	return write, always
}

func knownValue[T any](v *Value[T], convert func(T) ref.Val) ref.Val {
	if !v.known {
		return nil
	}
	return convert(v.v)
}

// stringValue bounds what conditions read: the time a single call takes grows
// with its input, and no limit of CEL stops a call that has begun.
func stringValue(s string) ref.Val {
	if len(s) > MaxStringBytes {
		return nil
	}
	return types.String(s)
}

// numberValue keeps NaN and the infinities out, which compare in surprising
// ways.
func numberValue(v float64) ref.Val {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return types.Double(v)
}

func timeValue(t time.Time) ref.Val {
	if t.IsZero() {
		return nil
	}
	return types.Timestamp{Time: t.UTC()}
}

// customValue reads a declared custom field. A value of another type is
// unknown.
func customValue(f *Facts, field *Field) ref.Val {
	values := f.Custom
	if field.Scope == OfUser {
		values = f.UserCustom
	}
	switch v := values[field.Name].(type) {
	case string:
		if field.Type == TypeString {
			return stringValue(v)
		}
	case float64:
		if field.Type == TypeNumber {
			return numberValue(v)
		}
	case bool:
		if field.Type == TypeBool {
			return types.Bool(v)
		}
	}
	return nil
}

// sentAs says what was sent for a declared custom field that is unknown: a value of
// another type, or one that conditions do not read. It is empty when nothing was.
func sentAs(f *Facts, field *Field) string {
	values := f.Custom
	if field.Scope == OfUser {
		values = f.UserCustom
	}
	switch v := values[field.Name].(type) {
	case string:
		if field.Type == TypeString {
			return fmt.Sprintf("a string of %d bytes", len(v))
		}
		return "a string"
	case float64:
		if field.Type == TypeNumber {
			return "a number that is infinite or none"
		}
		return "a number"
	case bool:
		return "a boolean"
	}
	return ""
}

// celType is the type of a declared field in CEL, nil when Type is no type.
func (f *Field) celType() *cel.Type {
	switch f.Type {
	case TypeString:
		return cel.StringType
	case TypeNumber:
		return cel.DoubleType
	case TypeBool:
		return cel.BoolType
	}
	return nil
}
