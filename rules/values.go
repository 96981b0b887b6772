package rules

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"time"
	"unsafe"

	"github.com/sallyport/sallyport/rules/internal/index"
)

// What the index reads and what is recorded needs no value of CEL, which would
// be an allocation each. The functions below know what is unknown by the same
// rules as those that make CEL's values: see stringValue, numberValue and
// timeValue.

// valueReader reads a fact for the index.
type valueReader func(*Facts) index.Value

func textKey(s string) index.Value {
	if len(s) > MaxStringBytes {
		return index.Value{}
	}
	return index.Value{Known: true, Text: s}
}

func numberKey(v float64) index.Value {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return index.Value{}
	}
	return index.Value{Known: true, Key: index.FloatKey(v)}
}

func truthKey(v bool) index.Value { return index.Value{Known: true, Key: boolKey(v)} }

func momentKey(t time.Time) index.Value {
	if t.IsZero() {
		return index.Value{}
	}
	return index.Value{Known: true, Key: timeKey(t)}
}

// part finds a field of Facts. Reflection has told where it is; asking it again
// for each of some twenty facts of each decision would cost more than the index
// does.
func part[T any](f *Facts, offset uintptr) *T { return (*T)(unsafe.Add(unsafe.Pointer(f), offset)) }

// offsetOf is where the field at index begins in Facts.
func offsetOf(index []int) uintptr {
	typ, offset := reflect.TypeFor[Facts](), uintptr(0)
	for _, i := range index {
		offset += typ.Field(i).Offset
		typ = typ.Field(i).Type
	}
	return offset
}

// builtinReader reads the field of Facts that has the type and begins at offset.
func builtinReader(typ reflect.Type, offset uintptr) valueReader {
	switch reflect.Zero(typ).Interface().(type) {
	case string:
		return func(f *Facts) index.Value { return textKey(*part[string](f, offset)) }
	case bool:
		return func(f *Facts) index.Value { return truthKey(*part[bool](f, offset)) }
	case int64:
		return func(f *Facts) index.Value { return numberKey(float64(*part[int64](f, offset))) }
	case time.Time:
		return func(f *Facts) index.Value { return momentKey(*part[time.Time](f, offset)) }
	case Value[string]:
		return func(f *Facts) index.Value { return valueKey(part[Value[string]](f, offset), textKey) }
	case Value[bool]:
		return func(f *Facts) index.Value { return valueKey(part[Value[bool]](f, offset), truthKey) }
	case Value[float64]:
		return func(f *Facts) index.Value { return valueKey(part[Value[float64]](f, offset), numberKey) }
	case Value[time.Time]:
		return func(f *Facts) index.Value { return valueKey(part[Value[time.Time]](f, offset), momentKey) }
	default:
		panic(fmt.Sprintf("facts.go: no rule for fields of type %s", typ))
	}
}

func valueKey[T any](v *Value[T], key func(T) index.Value) index.Value {
	if !v.known {
		return index.Value{}
	}
	return key(v.v)
}

// memberAppender appends a fact to the members of a JSON object, with a comma
// before it, and nothing when it is unknown.
type memberAppender func(out []byte, f *Facts) []byte

// builtinAppender appends the field of Facts that has the type and begins at
// offset.
func builtinAppender(name string, typ reflect.Type, offset uintptr) memberAppender {
	prefix := append(appendText([]byte{','}, name), ':')
	text := func(out []byte, s string) []byte {
		if len(s) > MaxStringBytes {
			return out
		}
		return appendText(append(out, prefix...), s)
	}
	truth := func(out []byte, v bool) []byte { return strconv.AppendBool(append(out, prefix...), v) }
	number := func(out []byte, v float64) []byte {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return out
		}
		return appendNumber(append(out, prefix...), v)
	}
	moment := func(out []byte, t time.Time) []byte {
		if t.IsZero() {
			return out
		}
		out = append(append(out, prefix...), '"')
		return append(t.UTC().AppendFormat(out, time.RFC3339Nano), '"')
	}
	switch reflect.Zero(typ).Interface().(type) {
	case string:
		return func(out []byte, f *Facts) []byte { return text(out, *part[string](f, offset)) }
	case bool:
		return func(out []byte, f *Facts) []byte { return truth(out, *part[bool](f, offset)) }
	case int64:
		return func(out []byte, f *Facts) []byte { return number(out, float64(*part[int64](f, offset))) }
	case time.Time:
		return func(out []byte, f *Facts) []byte { return moment(out, *part[time.Time](f, offset)) }
	case Value[string]:
		return appendKnown(offset, text)
	case Value[bool]:
		return appendKnown(offset, truth)
	case Value[float64]:
		return appendKnown(offset, number)
	case Value[time.Time]:
		return appendKnown(offset, moment)
	default:
		panic(fmt.Sprintf("facts.go: no rule for fields of type %s", typ))
	}
}

func appendKnown[T any](offset uintptr, value func([]byte, T) []byte) memberAppender {
	return func(out []byte, f *Facts) []byte {
		if v := part[Value[T]](f, offset); v.known {
			return value(out, v.v)
		}
		return out
	}
}

// customReader reads a declared field. A value of another type is unknown.
func customReader(field *Field) valueReader {
	name, typ := field.Name, field.Type
	read := func(values map[string]any) index.Value {
		switch v := values[name].(type) {
		case string:
			if typ == TypeString {
				return textKey(v)
			}
		case float64:
			if typ == TypeNumber {
				return numberKey(v)
			}
		case bool:
			if typ == TypeBool {
				return truthKey(v)
			}
		}
		return index.Value{}
	}
	if field.Scope == OfUser {
		return func(f *Facts) index.Value { return read(f.UserCustom) }
	}
	return func(f *Facts) index.Value { return read(f.Custom) }
}

func metricReader(name string) valueReader {
	return func(f *Facts) index.Value {
		if v, known := f.Metrics[name]; known {
			return numberKey(v)
		}
		return index.Value{}
	}
}

func listReader(test string) valueReader {
	return func(f *Facts) index.Value {
		if v, known := f.Lists[test]; known {
			return truthKey(v)
		}
		return index.Value{}
	}
}
