package rules

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
)

// Addition is an item that a matching rule adds to a list.
type Addition struct {
	List  string        // name of the list, without the prefix
	Value string        // of the fact; a number is written in its shortest form
	For   time.Duration // how long the item stays; 0 means for ever
	Rule  string        // id of the rule
}

// The bounds of OnMatch.For.
const (
	minStay = time.Minute
	maxStay = 10 * 365 * 24 * time.Hour
)

// Methods are the authenticators that Rule.Methods may name, in the words of
// the wire protocol (CONTRACT 1.3).
func Methods() []string {
	return []string{"PASSKEY", "SECURITY_KEY", "AUTHENTICATOR_APP", "EMAIL_OTP", "RECOVERY_CODE"}
}

// addition is the compiled form of an OnMatch.
type addition struct {
	slot int // of the fact
	list string
	stay time.Duration
}

// of makes the item for one action, unless the fact is unknown.
func (a *addition) of(s *Set, f *Facts, rule string) (Addition, bool) {
	out := Addition{List: a.list, For: a.stay, Rule: rule}
	switch v := s.plainValue(a.slot, f).(type) {
	case string:
		out.Value = v
	case float64:
		out.Value = strconv.FormatFloat(v, 'g', -1, 64)
	default:
		return Addition{}, false
	}
	return out, true
}

var span = regexp.MustCompile(`^([1-9][0-9]{0,5})([mhd])$`)

// parseSpan reads a length of time of whole minutes, hours or days, such as 10m,
// 24h or 30d.
func parseSpan(text string) (time.Duration, bool) {
	m := span.FindStringSubmatch(text)
	if m == nil {
		return 0, false
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return 0, false
	}
	unit := map[string]time.Duration{"m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}[m[2]]
	return time.Duration(n) * unit, true
}

// consequences checks what an action's rules ask for when they match, and where
// they stand, and fills in the positions that were left out. It returns the
// additions by the rule's place in the list.
func (c *checker) consequences(language *compiler, path string, rules []Rule) map[int]*addition {
	next, adding := 0, 0
	positions := make([]int, len(rules))
	additions := map[int]*addition{}
	for i := range rules {
		r := &rules[i]
		at := func(field string) string { return fmt.Sprintf("%s.rules[%d].%s", path, i, field) }
		switch {
		case r.Position == nil:
			positions[i] = next
			r.Position = &positions[i]
			if next > MaxPosition {
				c.report(at("position"), r.ID, "the position is a whole number from 0 to %d, and the rule before has the last", MaxPosition)
			}
		case *r.Position < 0 || *r.Position > MaxPosition:
			c.report(at("position"), r.ID, "the position is a whole number from 0 to %d", MaxPosition)
		case *r.Position < next:
			c.report(at("position"), r.ID, "the position %d does not come after that of the rule before, which is %d", *r.Position, next-1)
		}
		next = max(next, *r.Position+1)
		c.methods(at("methods"), r)
		if r.OnMatch == nil {
			continue
		}
		adding++
		if adding == MaxAdditions+1 {
			c.report(at("onMatch"), r.ID, "at most %d rules of an action may add to a list", MaxAdditions)
		}
		if a := c.onMatch(language, at("onMatch"), r); a != nil {
			additions[i] = a
		}
	}
	return additions
}

func (c *checker) methods(path string, r *Rule) {
	seen := map[string]bool{}
	for i, m := range r.Methods {
		where := fmt.Sprintf("%s[%d]", path, i)
		if m == "" {
			c.report(where, r.ID, "a method is missing")
		}
		c.oneOf(where, r.ID, m, Methods())
		if seen[m] {
			c.report(where, r.ID, "%s is named twice", quoted(m))
		}
		seen[m] = true
	}
}

func (c *checker) onMatch(language *compiler, path string, r *Rule) *addition {
	problems := len(c.problems)
	m := r.OnMatch
	factType, found := language.facts[m.Add]
	listType, declared := language.lists[listPrefix+m.To]
	switch {
	case m.Add == "":
		c.report(path+".add", r.ID, "a fact is missing, such as ip.address")
	case !found:
		c.report(path+".add", r.ID, "there is no fact %s%s", quoted(m.Add), didYouMean(closestFact(m.Add, language.facts)))
	case m.To == "":
		c.report(path+".to", r.ID, "the name of a list is missing")
	case !declared:
		meant := strings.TrimPrefix(closest(listPrefix+m.To, slices.Collect(maps.Keys(language.lists))), listPrefix)
		c.report(path+".to", r.ID, "%s is not declared; add it to the lists of this rule set%s", quoted(m.To), didYouMean(meant))
	case listType == ListOfNumbers && factType != cel.DoubleType, listType != ListOfNumbers && factType != cel.StringType:
		c.report(path+".add", r.ID, "%s is a list of type %s, which %s does not fit", m.To, listType, m.Add)
	}
	var stay time.Duration
	if m.For != "" {
		var ok bool
		if stay, ok = parseSpan(m.For); !ok || stay < minStay || stay > maxStay {
			c.report(path+".for", r.ID, "%s is not a time from 1m to 3650d, such as 30m, 24h or 90d", quoted(m.For))
		}
	}
	if len(c.problems) > problems || len(c.problems) == MaxProblems {
		return nil
	}
	return &addition{list: m.To, stay: stay}
}

// Bucket is the place of a user among the users of a rule with a rollout, 0 to
// 99: the rule applies when it is below Rule.Rollout. It depends on both ids
// alone: FNV-1a (64 bits) of the rule's id, a zero byte and the user's id, modulo
// 100. So a user who is in stays in when the percentage grows, and the users of
// one rule are not those of another.
func Bucket(rule, user string) int {
	const prime = 1099511628211
	hash := uint64(14695981039346656037)
	for i := range len(rule) {
		hash = (hash ^ uint64(rule[i])) * prime
	}
	hash *= prime // the zero byte
	for i := range len(user) {
		hash = (hash ^ uint64(user[i])) * prime
	}
	return int(hash % 100)
}

// applies tells whether a rule is there for a user at all.
func (r *Rule) applies(user string) bool {
	return r.Rollout == nil || Bucket(r.ID, user) < *r.Rollout
}

// plainValue is a fact as Go has it: string, float64, bool, or nil when unknown.
func (s *Set) plainValue(slot int, f *Facts) any {
	switch v := s.readers[slot](f).(type) {
	case types.String:
		return string(v)
	case types.Double:
		return float64(v)
	case types.Bool:
		return bool(v)
	}
	return nil
}

// ListTests returns the list tests that the action's rules read, each once.
func (s *Set) ListTests(code string) []ListTest { return s.action(code).tests }

// TestLists asks every list test of the action's rules and fills in
// facts.Lists with the answers that are known. It calls test with the list's name
// and the fact's value, a string or a float64, and not at all when the fact is
// unknown. Facts must be complete otherwise, metrics among them.
func (s *Set) TestLists(code string, f *Facts, test func(list string, value any) Value[bool]) {
	for _, t := range s.action(code).tests {
		value := s.plainValue(s.slots[t.Fact], f)
		if value == nil {
			continue
		}
		answer, known := test(t.List, value).Get()
		if !known {
			continue
		}
		if f.Lists == nil {
			f.Lists = make(map[string]bool)
		}
		f.Lists[t.Name] = answer
	}
}
