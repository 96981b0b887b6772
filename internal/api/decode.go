package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/rules"
)

// body reads the request's body into a pooled buffer; the caller puts it back
// and keeps nothing of it. A body over limit bytes is refused, by its declared
// length before anything is read.
func (k *call) body(limit int64) (*bytes.Buffer, error) {
	if b := k.ahead; b != nil {
		k.ahead = nil
		if int64(b.Len()) > limit {
			return nil, tooLarge(limit)
		}
		return b, nil
	}
	r := k.Request()
	if r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	b := buffers.Get().(*bytes.Buffer)
	n, err := b.ReadFrom(io.LimitReader(r.Body, limit+1))
	switch {
	case err != nil:
		putBuffer(b)
		e := invalid("The request's body could not be read to its end.")
		e.Cause = err
		return nil, e
	case n > limit:
		putBuffer(b)
		return nil, tooLarge(limit)
	}
	return b, nil
}

func tooLarge(limit int64) *Error {
	return &Error{
		Status: http.StatusRequestEntityTooLarge, Code: codeTooLarge,
		Description: fmt.Sprintf("The request's body is too large. At most %d KiB are accepted here.", limit>>10),
	}
}

// decode reads the body into v. No body at all is an empty object: SDKs send
// POSTs without one (CONTRACT 0.11). Keys that v does not have are ignored,
// because newer SDKs send more than this server knows.
func (k *call) decode(v any) error { return k.decodeJSON(v, MaxBody, false) }

// decodeUpTo is decode for bodies of another size.
func (k *call) decodeUpTo(limit int64, v any) error { return k.decodeJSON(v, limit, false) }

// decodeExactly also refuses keys that v does not have. It serves our own API,
// where an unknown key is a mistake.
func (k *call) decodeExactly(v any) error { return k.decodeJSON(v, MaxBody, true) }

func (k *call) decodeJSON(v any, limit int64, exactly bool) error {
	b, err := k.body(limit)
	if err != nil {
		return err
	}
	defer putBuffer(b)
	text := b.Bytes()
	if len(bytes.TrimSpace(text)) == 0 {
		return nil
	}
	if err := wantJSON(k.Request().Header); err != nil {
		return err
	}
	if !utf8.Valid(text) {
		return invalid("The request's body is not UTF-8.")
	}
	if !exactly {
		if err := json.Unmarshal(text, v); err != nil {
			return jsonError(text, err)
		}
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		return jsonError(text, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return invalid("The request's body goes on after the JSON object.")
	}
	return nil
}

// wantJSON refuses bodies of another type. A missing type passes.
func wantJSON(header http.Header) error {
	value := header.Get("Content-Type")
	if value == "" || value == "application/json" {
		return nil
	}
	if media, _, err := mime.ParseMediaType(value); err == nil && media == "application/json" {
		return nil
	}
	return &Error{
		Status: http.StatusUnsupportedMediaType, Code: codeMediaType,
		Description: "Send JSON with the header Content-Type: application/json.",
	}
}

// jsonError says where a body is wrong: the field, or line and column.
func jsonError(text []byte, err error) *Error {
	var (
		kind   *json.UnmarshalTypeError
		syntax *json.SyntaxError
		detail rules.Problem
		offset = int64(len(text))
	)
	switch {
	case errors.As(err, &kind):
		offset, detail.Field = kind.Offset, kind.Field
		detail.Message = "must be " + jsonType(kind.Type) + ", not " + article(kind.Value) + "."
	case errors.As(err, &syntax):
		offset, detail.Message = syntax.Offset, "is not JSON: "+syntax.Error()+"."
	default:
		if name, found := strings.CutPrefix(err.Error(), "json: unknown field "); found {
			return withDetail(rules.Problem{Field: strings.Trim(name, `"`), Message: "is not a field of this request."}, err)
		}
		detail.Message = "is not JSON: it ends too early."
	}
	detail.Line, detail.Column = position(text, offset)
	return withDetail(detail, err)
}

func withDetail(detail rules.Problem, cause error) *Error {
	e := invalid("The request's body " + detail.Message)
	if detail.Field != "" {
		e = invalidField(detail.Field, detail.Message)
	}
	e.Details, e.Cause = []rules.Problem{detail}, cause
	return e
}

// position is line and column of a byte offset, both from 1, the column in
// characters. Offsets count the bytes read, so the last of them is at fault.
func position(text []byte, offset int64) (line, column int) {
	before := text[:max(0, min(int(offset), len(text))-1)]
	line = bytes.Count(before, []byte("\n")) + 1
	return line, utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
}

func jsonType(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return jsonType(t.Elem())
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	}
	return "a number"
}

func article(value string) string {
	switch {
	case value == "array", value == "object":
		return "an " + value
	case value == "bool":
		return "true or false"
	case strings.HasPrefix(value, "number "):
		return "such a number"
	}
	return "a " + value
}

// maxID is the longest id, code or key in characters.
const maxID = engine.MaxUserIDRunes

// checkID refuses ids that no store could keep.
func checkID(field, id string) error {
	switch {
	case id == "":
		return invalidField(field, "is empty.")
	case utf8.RuneCountInString(id) > maxID:
		return invalidField(field, fmt.Sprintf("is longer than %d characters.", maxID))
	case !utf8.ValidString(id) || strings.ContainsRune(id, 0):
		return invalidField(field, "must be UTF-8 text without NUL characters.")
	}
	return nil
}

// checkText refuses values that no store could keep; an empty one is fine.
func checkText(field, value string, limit int) error {
	switch {
	case len(value) > limit:
		return invalidField(field, fmt.Sprintf("is longer than %d bytes.", limit))
	case strings.ContainsRune(value, 0):
		return invalidField(field, "must not contain NUL characters.")
	}
	return nil
}

// checkName refuses what would break or disguise a line that people read:
// control characters, and those that turn the direction of text.
func checkName(field, value string) error {
	if strings.ContainsFunc(value, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }) {
		return invalidField(field, "must not contain control characters, such as a line break, nor marks that turn the direction of text.")
	}
	return checkText(field, value, maxAttribute)
}
