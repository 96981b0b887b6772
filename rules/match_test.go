package rules_test

import (
	"fmt"
	"hash/fnv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/rules"
)

func pointer[T any](v T) *T { return &v }

// lists is a definition with two lists and one list of rules for any action.
func lists(list ...rules.Rule) rules.Definition {
	for i := range list {
		if list[i].ID == "" {
			list[i].ID = fmt.Sprintf("rule-%d", i)
		}
		list[i].Name = list[i].ID
		if list[i].Outcome == "" {
			list[i].Outcome = rules.Review
		}
	}
	return rules.Definition{
		Fields: []rules.Field{{Name: "amount", Type: rules.TypeNumber}},
		Lists: []rules.List{
			{Name: "suspects", Type: rules.ListOfRanges},
			{Name: "amounts", Type: rules.ListOfNumbers},
		},
		Otherwise: rules.ActionRules{Rules: list},
	}
}

func mustCompile(tb testing.TB, d rules.Definition) *rules.Set {
	tb.Helper()
	set, err := rules.Compile(rules.Version{Number: 1, Definition: d})
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

func TestWhatARuleAsksForBesidesItsConditionIsChecked(t *testing.T) {
	for _, test := range []struct {
		name  string
		rules []rules.Rule
		want  []string // of each problem, field and a part of the message
	}{
		{name: "positions ascend, and may be left out", rules: []rules.Rule{{When: "true", Position: pointer(3)}, {When: "true"}, {When: "true", Position: pointer(5)}}},
		{
			name: "a position that is taken", rules: []rules.Rule{{When: "true", Position: pointer(3)}, {When: "true"}, {When: "true", Position: pointer(4)}},
			want: []string{"otherwise.rules[2].position", "the position 4 does not come after that of the rule before, which is 4"},
		},
		{
			name: "a negative position", rules: []rules.Rule{{When: "true", Position: pointer(-1)}},
			want: []string{"otherwise.rules[0].position", "a whole number from 0"},
		},
		{name: "methods of the wire protocol", rules: []rules.Rule{{When: "true", Methods: rules.Methods()}}},
		{
			name: "a method that there is not", rules: []rules.Rule{{When: "true", Methods: []string{"PASSKEY", "SMS"}}},
			want: []string{"otherwise.rules[0].methods[1]", `"SMS" is not one of PASSKEY`},
		},
		{
			name: "a method that is named twice", rules: []rules.Rule{{When: "true", Methods: []string{"PASSKEY", "PASSKEY"}}},
			want: []string{"otherwise.rules[0].methods[1]", "twice"},
		},
		{name: "an addition", rules: []rules.Rule{{When: "true", OnMatch: &rules.OnMatch{Add: "ip.address", To: "suspects", For: "24h"}}}},
		{
			name: "an addition of no fact", rules: []rules.Rule{{When: "true", OnMatch: &rules.OnMatch{Add: "ip.adress", To: "suspects"}}},
			want: []string{"otherwise.rules[0].onMatch.add", `there is no fact "ip.adress"; did you mean ip.address?`},
		},
		{
			name: "an addition to no list", rules: []rules.Rule{{When: "true", OnMatch: &rules.OnMatch{Add: "ip.address", To: "friends"}}},
			want: []string{"otherwise.rules[0].onMatch.to", "is not declared"},
		},
		{
			name: "an addition to a list that is misspelt", rules: []rules.Rule{{When: "true", OnMatch: &rules.OnMatch{Add: "ip.address", To: "suspect"}}},
			want: []string{"otherwise.rules[0].onMatch.to", `"suspect" is not declared; add it to the lists of this rule set; did you mean suspects?`},
		},
		{
			name: "an addition of another type", rules: []rules.Rule{{When: "true", OnMatch: &rules.OnMatch{Add: "ip.address", To: "amounts"}}},
			want: []string{"otherwise.rules[0].onMatch.add", "does not fit"},
		},
		{
			name: "an addition for less than a minute", rules: []rules.Rule{{When: "true", OnMatch: &rules.OnMatch{Add: "ip.address", To: "suspects", For: "30s"}}},
			want: []string{"otherwise.rules[0].onMatch.for", "is not a time from 1m"},
		},
		{
			name: "an addition for more than ten years", rules: []rules.Rule{{When: "true", OnMatch: &rules.OnMatch{Add: "ip.address", To: "suspects", For: "3651d"}}},
			want: []string{"otherwise.rules[0].onMatch.for", "is not a time from 1m"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			problems := rules.Check(lists(test.rules...))
			if len(test.want) == 0 {
				if len(problems) > 0 {
					t.Fatalf("got %v, want no problem", problems)
				}
				return
			}
			if len(problems) != 1 || problems[0].Field != test.want[0] || !strings.Contains(problems[0].Message, test.want[1]) {
				t.Errorf("got %v, want %q", problems, test.want)
			}
		})
	}
	t.Run("no more rules may add to a list than one decision can write", func(t *testing.T) {
		many := make([]rules.Rule, rules.MaxAdditions+1)
		for i := range many {
			many[i] = rules.Rule{When: "true", OnMatch: &rules.OnMatch{Add: "ip.address", To: "suspects"}}
		}
		if problems := rules.Check(lists(many...)); len(problems) != 1 || !strings.Contains(problems[0].Message, "may add to a list") {
			t.Errorf("got %v", problems)
		}
	})
}

func TestLiveMatchesAddToLists(t *testing.T) {
	add := &rules.OnMatch{Add: "ip.address", To: "suspects", For: "2d"}
	set := mustCompile(t, lists(
		rules.Rule{ID: "shadow", When: "true", Mode: rules.Shadow, OnMatch: add},
		rules.Rule{ID: "decides", When: "custom.amount > 1", Outcome: rules.Challenge, Methods: []string{"PASSKEY"}, OnMatch: add},
		rules.Rule{ID: "later", When: "true", OnMatch: &rules.OnMatch{Add: "custom.amount", To: "amounts"}},
		rules.Rule{ID: "not", When: "false", OnMatch: add},
		rules.Rule{ID: "without-its-fact", When: "true", OnMatch: &rules.OnMatch{Add: "device.id", To: "suspects"}},
		rules.Rule{ID: "unknown-counts", When: `device.os == "x"`, OnUnknown: rules.UnknownMatches, OnMatch: add},
	))
	got := set.Evaluate("payment", &rules.Facts{
		IP: rules.IPFacts{Address: rules.Known("192.0.2.7")}, Custom: map[string]any{"amount": 1e21},
	})
	want := []rules.Addition{
		{List: "suspects", Value: "192.0.2.7", For: 48 * time.Hour, Rule: "decides"},
		{List: "amounts", Value: "1e+21", Rule: "later"},
		{List: "suspects", Value: "192.0.2.7", For: 48 * time.Hour, Rule: "unknown-counts"},
	}
	if diff := cmp.Diff(want, got.Additions); diff != "" {
		t.Error(diff)
	}
	if got.Rule != "decides" || !cmp.Equal(got.Methods, []string{"PASSKEY"}) {
		t.Errorf("got rule %q with the methods %v", got.Rule, got.Methods)
	}
}

func TestRolloutDependsOnRuleAndUserAlone(t *testing.T) {
	for _, user := range []string{"", "u", "user-4711", "zoë"} {
		reference := fnv.New64a()
		reference.Write([]byte("half\x00" + user))
		if want := int(reference.Sum64() % 100); rules.Bucket("half", user) != want {
			t.Errorf("bucket of %q is %d, want %d", user, rules.Bucket("half", user), want)
		}
	}
	set := mustCompile(t, lists(
		rules.Rule{ID: "none", When: "true", Rollout: pointer(0)},
		rules.Rule{ID: "half", When: "true", Rollout: pointer(50)},
		rules.Rule{ID: "half-residual", When: `user.id.startsWith("user")`, Rollout: pointer(50)},
		rules.Rule{ID: "all", When: "true", Rollout: pointer(100)},
	))
	in := map[string]int{}
	for i := range 1000 {
		user := fmt.Sprintf("user-%d", i)
		for _, m := range set.Evaluate("payment", &rules.Facts{User: rules.UserFacts{ID: user}}).Matches {
			in[m.ID]++
			if m.ID != "all" && rules.Bucket(m.ID, user) >= 50 {
				t.Fatalf("%s applied to %s, who is not in", m.ID, user)
			}
		}
	}
	if in["none"] != 0 || in["all"] != 1000 || in["half"] < 400 || in["half"] > 600 || in["half-residual"] < 400 || in["half-residual"] > 600 {
		t.Errorf("of 1000 users there were %v", in)
	}
}

func TestListTestsAreAskedOncePerDecision(t *testing.T) {
	set := mustCompile(t, lists(
		rules.Rule{ID: "a", When: "ip.address in list.suspects && user.isNew"},
		rules.Rule{ID: "b", When: "!(ip.address in list.suspects)"},
		rules.Rule{ID: "c", When: "custom.amount in list.amounts"},
		rules.Rule{ID: "d", When: "device.id in list.suspects"},
		rules.Rule{ID: "off", When: "user.id in list.suspects", Mode: rules.Off},
	))
	want := []rules.ListTest{
		{Name: "ip.address in list.suspects", Fact: "ip.address", List: "suspects"},
		{Name: "custom.amount in list.amounts", Fact: "custom.amount", List: "amounts"},
		{Name: "device.id in list.suspects", Fact: "device.id", List: "suspects"},
	}
	if diff := cmp.Diff(want, set.ListTests("payment")); diff != "" {
		t.Error(diff)
	}
	facts := rules.Facts{IP: rules.IPFacts{Address: rules.Known("192.0.2.7")}, Custom: map[string]any{"amount": 5.0}, User: rules.UserFacts{ID: "u"}}
	var asked []string
	set.TestLists("payment", &facts, func(list string, value any) rules.Value[bool] {
		asked = append(asked, fmt.Sprintf("%v in %s", value, list))
		if list == "amounts" {
			return rules.Value[bool]{} // not loaded
		}
		return rules.Known(true)
	})
	if diff := cmp.Diff([]string{"192.0.2.7 in suspects", "5 in amounts"}, asked); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]bool{"ip.address in list.suspects": true}, facts.Lists); diff != "" {
		t.Error(diff)
	}
	got := map[string]rules.Verdict{}
	for _, m := range set.Evaluate("payment", &facts).Matches {
		got[m.ID] = m.Result
	}
	if diff := cmp.Diff(map[string]rules.Verdict{"c": rules.Unknown, "d": rules.Unknown}, got); diff != "" {
		t.Error(diff)
	}
}
