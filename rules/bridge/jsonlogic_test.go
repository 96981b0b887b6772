package bridge_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/rules/bridge"
)

func TestJsonLogicBecomesACondition(t *testing.T) {
	b := bridge.New(&definition)
	for _, row := range []struct{ logic, want string }{
		{``, "true"},
		{`null`, "true"},
		{`{}`, "true"},
		{`true`, "true"},
		{`false`, "false"},
		{`{"and":[]}`, "true"},
		{`{"and":[{"==":[{"var":"ip.isAnonymous"},false]}]}`, "!ip.isAnonymous"},
		{`{"==":[{"var":"ip.isAnonymous"},true]}`, "ip.isAnonymous"},
		{`{"===":[{"var":"custom.payee"},"acme"]}`, `custom.payee == "acme"`},
		{`{"!=":[{"var":"ip.isAnonymous"},true]}`, "!ip.isAnonymous"},
		{`{"!==":[{"var":"custom.payee"},"acme"]}`, `custom.payee != "acme"`},
		{`{"and":[{">":[{"var":"custom.amount"},1000]},{"==":[{"var":"device.isNew"},true]}]}`, "custom.amount > 1000 && device.isNew"},
		{`{"or":[{"and":[{">":[{"var":"custom.amount"},1000]},{"==":[{"var":"device.isNew"},true]}]},{"==":[{"var":"device.isBot"},true]}]}`, "(custom.amount > 1000 && device.isNew) || device.isBot"},
		{`{"<":[5,{"var":"custom.amount"}]}`, "custom.amount > 5"},
		{`{"<":[1,{"var":"custom.amount"},5]}`, "custom.amount > 1 && custom.amount < 5"},
		{`{"<=":[1,{"var":"custom.amount"},5]}`, "(custom.amount >= 1 && custom.amount <= 5)"},
		{`{">=":[5,{"var":"custom.amount"},1]}`, "(custom.amount >= 1 && custom.amount <= 5)"},
		{`{">":[5,{"var":"custom.amount"},1]}`, "custom.amount < 5 && custom.amount > 1"},
		{`{"<":[{"var":"custom.amount"},{"var":"custom.limit"}]}`, "custom.amount < custom.limit"},
		{`{"in":[{"var":"ip.location.country.countryCode"},["NZ","AU"]]}`, `ip.countryCode in ["NZ", "AU"]`},
		{`{"!":{"in":[{"var":"ip.countryCode"},["NZ"]]}}`, `!(ip.countryCode in ["NZ"])`},
		{`{"in":[{"var":"user.email"},{"var":"lists.blocked-emails"}]}`, "user.email in list.blocked_emails"},
		{`{"!":[{"in":[{"var":"ip.address"},{"var":"lists.suspects"}]}]}`, "!(ip.address in list.suspects)"},
		{`{"in":["acme",{"var":"custom.payee"}]}`, `custom.payee.contains("acme")`},
		{`{"missing":["ip.address","custom.payee"]}`, "!known(ip.address) || !known(custom.payee)"},
		{`{"missing":"ip.address"}`, "!known(ip.address)"},
		{`{"missing":[]}`, "false"},
		{`{"!":{"missing":["ip.address","custom.payee"]}}`, "!(!known(ip.address) || !known(custom.payee))"},
		{`{"==":[{"var":"ip.address"},null]}`, "!known(ip.address)"},
		{`{"!=":[{"var":"ip.address"},null]}`, "known(ip.address)"},
		{`{"!!":[{"var":"device.isNew"}]}`, "device.isNew"},
		{`{"!":{"var":"device.isNew"}}`, "!device.isNew"},
		{`{"!!":{"var":["custom.payee"]}}`, `custom.payee != ""`},
		{`{"!!":{"var":"custom.amount"}}`, "custom.amount != 0"},
		{`{"var":"user.lastVerifiedAt"}`, "known(user.lastVerifiedAt)"},
		{`{">":[{"var":"user.lastVerifiedAt"},"2026-01-01T00:00:00Z"]}`, `user.lastVerifiedAt > timestamp("2026-01-01T00:00:00Z")`},
		{`{"==":[{"var":"custom.tier"},"gold"]}`, `user.custom.tier == "gold"`},
		{`{"cel":["size(custom.payee) > 3"]}`, "size(custom.payee) > 3"},
		{`{"and":[{"cel":"custom.urgent || device.isNew"},{"!":{"cel":["custom.payee.size() == 1"]}}]}`, "(custom.urgent || device.isNew) && !(custom.payee.size() == 1)"},
		{`{"==":[{"var":"custom.payee"},"\" || true //\\"]}`, `custom.payee == "\" || true //\\"`},
		{`{"==":[{"var":"custom.amount"},1.50]}`, "custom.amount == 1.5"},
	} {
		t.Run(row.logic, func(t *testing.T) {
			tree, problems := b.ReadJSONLogic([]byte(row.logic))
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			got, problems := b.Format(tree)
			if got != row.want || len(problems) > 0 {
				t.Errorf("got %q, want %q %v", got, row.want, problems)
			}
		})
	}
}

func TestJsonLogicThatMeansNothingHereIsRefusedInOneSentence(t *testing.T) {
	b := bridge.New(&definition)
	for _, row := range []struct{ name, logic, says string }{
		{"unknown variable", `{"==":[{"var":"card.issuer"},"x"]}`, `"card.issuer" is not known here`},
		{"a well-known variable", `{"==":[{"var":"ip.countryCodeInOfacList"},true]}`, "keep a value list of country codes"},
		{"an undeclared custom value", `{">":[{"var":"custom.actionAmount"},1]}`, `"custom.actionAmount" is not known here: create a custom data point`},
		{"code for a variable", `{"==":[{"var":"device.isNew || true"},true]}`, "is not known here"},
		{"an unknown list", `{"in":[{"var":"ip.address"},{"var":"lists.nobody"}]}`, `the value list "nobody" does not exist`},
		{"a list for a value", `{"==":[{"var":"lists.suspects"},1]}`, "can only be tested"},
		{"a list of another type", `{"in":[{"var":"custom.amount"},{"var":"lists.suspects"}]}`, "cannot be"},
		{"another type", `{"==":[{"var":"custom.amount"},"100"]}`, "custom.amount: a value of type number belongs here"},
		{"one of another type", `{"in":[{"var":"ip.countryCode"},["NZ",1]]}`, "string belongs here"},
		{"no values", `{"in":[{"var":"ip.countryCode"},[]]}`, "empty array"},
		{"an operation of arithmetic", `{">":[{"+":[{"var":"custom.amount"},1]},2]}`, "compares a variable with a value"},
		{"an unknown operation", `{"if":[true,true,false]}`, `no operation "if"`},
		{"two operations in one", `{"and":[true],"or":[true]}`, "one member, this one has 2"},
		{"a value for a condition", `{"and":[1]}`, "is no condition"},
		{"an array for a condition", `[]`, "is no condition"},
		{"a text for a condition", `"device.isNew"`, "is no condition"},
		{"an empty or", `{"or":[]}`, "matches nothing"},
		{"too few arguments", `{"==":[{"var":"device.isNew"}]}`, "two arguments, not 1"},
		{"order of nothing", `{"<":[{"var":"custom.amount"},null]}`, "null"},
		{"no variable in the middle", `{"<":[1,2,3]}`, "in the middle"},
		{"a default of a variable", `{"==":[{"var":["device.isNew",false]},true]}`, "compares a variable with a value"},
		{"two literals", `{"==":[1,1]}`, "compares a variable with a value"},
		{"a number that no double holds", `{"==":[{"var":"custom.amount"},9007199254740993]}`, "too large"},
		{"a decimal that no double holds", `{"==":[{"var":"custom.amount"},9007199254740993.0]}`, "exactly"},
		{"a number too small for a double", `{">":[{"var":"custom.amount"},1e-400]}`, "exactly"},
		{"a variable in two cases", `{"==":[{"var":"custom.amount","VAR":"custom.limit"},1]}`, "twice"},
		{"an operation in two cases", `{"and":[true],"AND":[false]}`, "twice"},
		{"an operation in another case", `{"AND":[true]}`, `no operation "AND"`},
		{"a wrong expression", `{"cel":[1]}`, "one argument, a text"},
		{"no JSON", `{"and":`, "not JSON"},
		{"a member twice", `{"and":[true],"and":[false]}`, "twice"},
		{"too long", `{"and":[` + strings.Repeat("true,", bridge.MaxBytes/5) + `true]}`, "at most"},
		{"too deep", strings.Repeat(`{"!":[`, 60) + "true" + strings.Repeat("]}", 60), "deeper"},
		{"too many", `{"and":[` + strings.Repeat("true,", bridge.MaxNodes+1) + `true]}`, "more than"},
	} {
		t.Run(row.name, func(t *testing.T) {
			tree, problems := b.ReadJSONLogic([]byte(row.logic))
			if len(problems) != 1 || !strings.Contains(problems[0].Message, row.says) || problems[0].Field != "conditions" {
				t.Errorf("got %+v %+v, want %q", tree, problems, row.says)
			}
		})
	}
}

func TestConditionsSurviveTheWayToJsonLogicAndBack(t *testing.T) {
	b := bridge.New(&definition)
	conditions, _ := corpus(t)
	r := rand.New(rand.NewPCG(7, 7))
	for _, when := range conditions {
		t.Run(when, func(t *testing.T) {
			tree, problems := b.Parse(when)
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			logic, problems := b.JSONLogic(tree)
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			read, problems := b.ReadJSONLogic(logic)
			if len(problems) > 0 {
				t.Fatalf("%s: %v", logic, problems)
			}
			back, problems := b.Format(read)
			if len(problems) > 0 {
				t.Fatalf("%s: %v", logic, problems)
			}
			sameMeaning(t, r, 30, when, back)
			again, problems := b.JSONLogic(read)
			if diff := cmp.Diff(string(logic), string(again)); diff != "" || len(problems) > 0 {
				t.Errorf("%v (-first +second):\n%s", problems, diff)
			}
		})
	}
}

func TestListsOfJsonLogicAreNamed(t *testing.T) {
	got := bridge.Lists([]byte(`{"or":[{"in":[{"var":"user.email"},{"var":"lists.blocked-emails"}]},{"!":{"in":[{"var":"ip.address"},{"var":"lists.a"}]}},{"in":[{"var":"ip.address"},{"var":"lists.a"}]}]}`))
	if diff := cmp.Diff([]string{"a", "blocked_emails"}, got); diff != "" {
		t.Error(diff)
	}
	if got := bridge.Lists([]byte(`{`)); got != nil {
		t.Error(got)
	}
}

// FuzzJSONLogic: what is read is written as a condition that compiles, or refused,
// and never takes the server down.
func FuzzJSONLogic(f *testing.F) {
	b := bridge.New(&definition)
	conditions, _ := corpus(f)
	for _, when := range conditions {
		if tree, problems := b.Parse(when); len(problems) == 0 {
			if logic, problems := b.JSONLogic(tree); len(problems) == 0 {
				f.Add(string(logic))
			}
		}
	}
	f.Add(`{"<":[1,{"var":"custom.amount"},5]}`)
	f.Add(`{"missing":["ip.address"]}`)
	f.Add(`{"and":[true],"AND":[false]}`)
	f.Add(`{"==":[{"var":"custom.amount","VAR":"custom.limit"},1]}`)
	f.Add(`{"==":[{"var":"custom.amount"},9007199254740993.0]}`)
	f.Add(`{">":[{"var":"custom.amount"},1e-400]}`)
	f.Fuzz(func(t *testing.T, logic string) {
		tree, problems := b.ReadJSONLogic([]byte(logic))
		if len(problems) > 0 {
			return
		}
		when, problems := b.Format(tree)
		if len(problems) > 0 {
			return // a wrong expression in cel, a time that is none, a cost over the limit
		}
		_, back := roundTrip(t, b, when)
		written, problems := b.JSONLogic(tree)
		if len(problems) > 0 {
			t.Fatalf("%q is not written: %v", logic, problems)
		}
		read, problems := b.ReadJSONLogic(written)
		if len(problems) > 0 {
			t.Fatalf("%q becomes %s: %v", logic, written, problems)
		}
		last, problems := b.Format(read)
		if len(problems) > 0 {
			t.Fatalf("%q becomes %s: %v", logic, written, problems)
		}
		sameMeaning(t, rand.New(rand.NewPCG(8, uint64(len(when)))), 5, when, back, last)
	})
}
