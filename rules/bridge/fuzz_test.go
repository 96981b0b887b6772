package bridge_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sallyport/sallyport/rules/bridge"
)

// checkTree is the property of trees: what is written compiles, and ends as the
// reference says, for facts that are there and facts that are not. Read back, it
// means the same.
func checkTree(t *testing.T, b *bridge.Bridge, r *rand.Rand) {
	t.Helper()
	tree := bridge.Node{Combinator: pick(r, []string{"and", "or"}), Not: r.IntN(4) == 0}
	for range 1 + r.IntN(3) {
		tree.Rules = append(tree.Rules, randomTree(r, 3))
	}
	when, problems := b.Format(tree)
	shown, _ := json.Marshal(tree)
	if len(problems) > 0 {
		if strings.Contains(problems[0].Message, "at most") { // over a limit on conditions, which is no mistake
			return
		}
		t.Fatalf("%s is not written: %v", shown, problems)
	}
	_, back := roundTrip(t, b, when)
	logic, problems := b.JSONLogic(tree)
	if len(problems) > 0 {
		t.Fatalf("%s is not written as JsonLogic: %v", shown, problems)
	}
	read, problems := b.ReadJSONLogic(logic)
	if len(problems) > 0 {
		t.Fatalf("%s: %v", logic, problems)
	}
	byLogic, problems := b.Format(read)
	if len(problems) > 0 {
		t.Fatalf("%s: %v", logic, problems)
	}
	s := set(t, when, back, byLogic)
	for range 8 {
		values := named(r)
		facts := factsOf(t, values)
		want := reference(t, tree, values, facts)
		for i, got := range ends(s, facts) {
			if got != want {
				t.Fatalf("%s\nis written %q, back %q, by JsonLogic %q;\n%d ends %q, the reference %q, with %v", shown, when, back, byLogic, i, got, want, values)
			}
		}
	}
}

func TestRandomTreesMeanWhatTheReferenceSays(t *testing.T) {
	b := bridge.New(&definition)
	for seed := range uint64(250) {
		checkTree(t, b, rand.New(rand.NewPCG(seed, 3)))
	}
}

// A choice of the fuzzer, as a source of random numbers that never ends.
type chosen struct {
	data []byte
	rest rand.Source
}

func (c *chosen) Uint64() uint64 {
	if len(c.data) < 8 {
		return c.rest.Uint64()
	}
	n := binary.LittleEndian.Uint64(c.data)
	c.data = c.data[8:]
	return n
}

func FuzzTree(f *testing.F) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 4))
		data := make([]byte, 0, 1024)
		for range 128 {
			data = binary.LittleEndian.AppendUint64(data, r.Uint64())
		}
		f.Add(data)
	}
	b := bridge.New(&definition)
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 4096 {
			return
		}
		checkTree(t, b, rand.New(&chosen{data, rand.NewPCG(6, 6)}))
	})
}

// FuzzCondition: every text that compiles becomes a tree, and the tree the same
// condition again.
func FuzzCondition(f *testing.F) {
	conditions, _ := corpus(f)
	for _, when := range conditions {
		f.Add(when)
	}
	b := bridge.New(&definition)
	f.Fuzz(func(t *testing.T, when string) {
		if !compiles(when) {
			return
		}
		_, back := roundTrip(t, b, when)
		sameMeaning(t, rand.New(rand.NewPCG(5, uint64(len(when)))), 10, when, back)
	})
}

// FuzzLiteral: a value never becomes code, whatever its bytes are.
func FuzzLiteral(f *testing.F) {
	for _, s := range []string{
		`\" || true //`, "a\nb", `x\`, "\x00\x1b\x7f", "東京", "\u2028", `"] || true //`, "'''", `"""`, "\xff\xfe", "\ufeff", "\U0010ffff", "\ufffd",
		"${x}", "`", "\r\n", `\u0041`, "a\\\"", "//", "*/", `") || ("" == "`, "\v\f\a\b",
	} {
		f.Add(s)
	}
	b := bridge.New(&definition)
	f.Fuzz(func(t *testing.T, s string) {
		tree := bridge.Node{Combinator: "and", Rules: []bridge.Node{
			{Field: "custom.amount", Operator: ">", Value: 1e6},
			{Field: "custom.payee", Operator: "=", Value: s},
			{Field: "custom.payee", Operator: "in", Value: []any{s, "z"}},
			{Field: "custom.payee", Operator: "doesNotContain", Value: s},
		}}
		when, problems := b.Format(tree)
		if len(problems) > 0 {
			if utf8.ValidString(s) && len(s) < 200 {
				t.Fatalf("%q is refused: %v", s, problems)
			}
			return
		}
		back, problems := b.Parse(when)
		if len(problems) > 0 || !reflect.DeepEqual(tree, back) {
			t.Fatalf("%q is written %q, which reads %+v %v", s, when, back, problems)
		}
		values := map[string]any{"custom.amount": 1.0, "custom.payee": s}
		if got := ends(set(t, when), factsOf(t, values))[0]; got != isFalse {
			t.Fatalf("%q makes %q end %q", s, when, got)
		}
	})
}

// FuzzLocked: a locked leaf never ends the group that it stands in.
func FuzzLocked(f *testing.F) {
	for _, s := range []string{"true) || (true", "device.isNew // x", "device.isNew) // ", "", "true || true", "true ? true : true", "// x", "'", "a", "!true", "(true", "true\n//", "true //\n || true"} {
		f.Add(s)
	}
	b := bridge.New(&definition)
	f.Fuzz(func(t *testing.T, s string) {
		never := bridge.Node{Field: "custom.amount", Operator: ">", Value: 1e6}
		when, problems := b.Format(bridge.Node{Combinator: "and", Rules: []bridge.Node{never, {Field: bridge.Locked, Operator: bridge.LockedOperator, Value: s}, never}})
		if len(problems) > 0 {
			return
		}
		if got := ends(set(t, when), factsOf(t, map[string]any{"custom.amount": 1.0}))[0]; got != isFalse {
			t.Fatalf("%q makes %q end %q", s, when, got)
		}
	})
}

// FuzzNumber: a number keeps its value.
func FuzzNumber(f *testing.F) {
	for _, v := range []float64{0, math.Copysign(0, -1), 1, -1, 0.1, 1e21, -1e-300, 5e-324, 1.7976931348623157e308, 9007199254740992, 9007199254740994, 123456789.5, 1e6} {
		f.Add(v)
	}
	b := bridge.New(&definition)
	f.Fuzz(func(t *testing.T, v float64) {
		when, problems := b.Format(bridge.Node{Field: "custom.amount", Operator: "=", Value: v})
		if len(problems) > 0 {
			if v-v == 0 { // finite
				t.Fatalf("%v is refused: %v", v, problems)
			}
			return
		}
		if got := ends(set(t, when), factsOf(t, map[string]any{"custom.amount": v}))[0]; got != isTrue {
			t.Fatalf("%v is written %q, which ends %q", v, when, got)
		}
		tree, problems := b.Parse(when)
		if len(problems) > 0 || len(tree.Rules) != 1 || tree.Rules[0].Value != v {
			t.Fatalf("%v is written %q, which reads %+v %v", v, when, tree, problems)
		}
	})
}

// FuzzDecode: a tree that is read from JSON and written again says the same, so
// that nothing of the text was dropped silently.
func FuzzDecode(f *testing.F) {
	for _, text := range strange {
		f.Add(text)
	}
	for _, number := range []string{"9007199254740993.0", "1e-400", "0.1", "1e23", "-0.0", "0e99999999999999999999", "1e99999999999999999999", "4.9406564584124654e-324", "0.10000000000000001"} {
		f.Add(`{"field":"custom.amount","operator":"=","value":` + number + `}`)
	}
	f.Add(`{"field":"@cel","operator":"isFalse","value":"device.isNew"}`)
	f.Add(`{"id":"1","disabled":true,"combinator":"or","not":true,"rules":[{"id":"2","field":"custom.amount","operator":"between","value":[1,2.5],"valueSource":"value"}]}`)
	b := bridge.New(&definition)
	f.Fuzz(func(t *testing.T, text string) {
		tree, problems := bridge.Decode([]byte(text))
		if len(problems) > 0 {
			return
		}
		again, err := json.Marshal(tree)
		if err != nil {
			t.Fatal(err)
		}
		if sent, kept := textsIn(t, text), textsIn(t, string(again)); !subset(sent, kept) {
			t.Fatalf("%q becomes %s, which lacks a text", text, again)
		}
		when, problems := b.Format(tree)
		if len(problems) > 0 {
			return
		}
		_, back := roundTrip(t, b, when)
		sameMeaning(t, rand.New(rand.NewPCG(9, uint64(len(when)))), 5, when, back)
	})
}

// textsIn counts the texts that are values in JSON, besides empty ones, which
// stand for nothing.
func textsIn(t *testing.T, text string) map[string]int {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	found := map[string]int{}
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		if s, ok := token.(string); ok && s != "" {
			found[s]++
		}
	}
}

// subset tells whether all that is in one is in another, as often. The names of
// members are among both.
func subset(one, other map[string]int) bool {
	for s, n := range one {
		if other[s] < n && !memberNames[s] {
			return false
		}
	}
	return true
}

// memberNames are left out when what they name is empty.
var memberNames = map[string]bool{"id": true, "disabled": true, "not": true, "value": true, "valueSource": true, "field": true, "operator": true}
