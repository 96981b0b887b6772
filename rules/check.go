package rules

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

var (
	actionCode = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
	ruleID     = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)
)

// isFieldName tells whether a custom field may have this name. Each prompt that
// is filled asks it, so it is no regular expression.
func isFieldName(name string) bool {
	if name == "" || len(name) > 64 {
		return false
	}
	for i := range len(name) {
		c := name[i]
		switch {
		case c == '_', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
		case '0' <= c && c <= '9' && i > 0:
		default:
			return false
		}
	}
	return true
}

// Check compiles a definition without keeping the result. It returns what is
// wrong with it, at most MaxProblems, and nothing when it could be published.
func Check(d Definition) []Problem {
	_, problems := compile(Version{Definition: d}, nil, func() {})
	return problems
}

// checker collects problems while it walks through a definition.
type checker struct {
	problems []Problem
	ids      map[string]string     // rule id to the path of the rule that has it
	pause    func()                // called before each condition that is compiled
	compiled map[string]*condition // of an earlier set, by their text
	rules    int
}

func (c *checker) report(field, rule, format string, args ...any) {
	c.add(Problem{Field: field, Rule: rule, Message: fmt.Sprintf(format, args...)})
}

func (c *checker) add(p Problem) {
	if len(c.problems) < MaxProblems {
		p.Rule, p.Message = clipped(p.Rule), bounded(p.Message)
		c.problems = append(c.problems, p)
	}
}

// bounded cuts a message that repeats a long name or type.
func bounded(message string) string {
	const most = 400
	if len(message) > most {
		return strings.ToValidUTF8(message[:most], "") + "…"
	}
	return message
}

func (c *checker) fields(fields []Field) {
	if len(fields) > MaxFields {
		c.report("fields", "", "there are %d fields; at most %d are allowed", len(fields), MaxFields)
	}
	seen := map[bool]map[string]bool{false: {}, true: {}} // by whether it is the user's
	for i := range fields {
		path := fmt.Sprintf("fields[%d]", i)
		f := &fields[i]
		c.declaredName(path, f.Name, seen[f.Scope == OfUser])
		c.oneOf(path+".scope", "", string(f.Scope), []string{string(OfAction), string(OfUser)})
		if f.celType() == nil {
			c.report(path+".type", "", "the type must be string, number or boolean")
		}
		c.text(path+".description", "", f.Description, MaxDescriptionRunes)
	}
}

// metrics checks names and texts; what a metric counts is checked where it is
// compiled.
func (c *checker) metrics(metrics []Metric) {
	if len(metrics) > MaxMetrics {
		c.report("metrics", "", "there are %d metrics; at most %d are allowed", len(metrics), MaxMetrics)
	}
	seen := map[string]bool{}
	for i, m := range metrics {
		path := fmt.Sprintf("metrics[%d]", i)
		c.declaredName(path, m.Name, seen)
		c.text(path+".description", "", m.Description, MaxDescriptionRunes)
	}
}

func (c *checker) lists(lists []List) {
	if len(lists) > MaxLists {
		c.report("lists", "", "there are %d lists; at most %d are allowed", len(lists), MaxLists)
	}
	seen := map[string]bool{}
	for i, l := range lists {
		path := fmt.Sprintf("lists[%d]", i)
		switch {
		case !IsListName(l.Name):
			c.report(path+".name", "", "the name %s must be 1 to 64 lower-case letters, digits and underscores, and begin with a letter", quoted(l.Name))
		case seen[l.Name]:
			c.report(path+".name", "", "%q is declared twice", l.Name)
		}
		seen[l.Name] = true
		if l.Type == "" {
			c.report(path+".type", "", "a type is missing: string, number or cidr")
		}
		c.oneOf(path+".type", "", string(l.Type), []string{string(ListOfStrings), string(ListOfNumbers), string(ListOfRanges)})
		c.text(path+".description", "", l.Description, MaxDescriptionRunes)
	}
}

var listName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

// IsListName tells whether a list may have this name.
func IsListName(name string) bool { return listName.MatchString(name) && !celReserved[name] }

// declaredName checks the name of something that conditions read after a dot.
func (c *checker) declaredName(path, name string, seen map[string]bool) {
	switch {
	case !isFieldName(name):
		c.report(path+".name", "", "the name %s must be 1 to 64 letters, digits and underscores, and not begin with a digit", quoted(name))
	case celReserved[name]:
		c.report(path+".name", "", "%q is a reserved word of CEL", name)
	case seen[name]:
		c.report(path+".name", "", "%q is declared twice", name)
	}
	seen[name] = true
}

// celReserved are words that cannot follow a dot in CEL or stand for themselves.
var celReserved = map[string]bool{"in": true, "true": true, "false": true, "null": true}

// action checks everything about an action but its conditions.
func (c *checker) action(path string, a *ActionRules) {
	c.oneOf(path+".default", "", string(a.Default), outcomes)
	c.oneOf(path+".onFailure", "", string(a.OnFailure), outcomes)
	c.oneOf(path+".unenrolled", "", string(a.Unenrolled), []string{string(UnenrolledAllow), string(UnenrolledEnrol), string(UnenrolledReview), string(UnenrolledBlock)})
	c.oneOf(path+".userVerification", "", string(a.UserVerification), userVerifications)
	c.text(path+".prompt", "", a.Prompt, MaxPromptRunes)
	c.rules += len(a.Rules)
	for i := range a.Rules {
		c.rule(fmt.Sprintf("%s.rules[%d]", path, i), &a.Rules[i])
	}
}

var (
	outcomes          = []string{string(Allow), string(Challenge), string(Review), string(Block)}
	userVerifications = []string{string(VerificationRequired), string(VerificationPreferred), string(VerificationDiscouraged)}
)

func (c *checker) rule(path string, r *Rule) {
	if !ruleID.MatchString(r.ID) {
		c.report(path+".id", r.ID, "the id %s must be 1 to 64 lower-case letters, digits and dashes", quoted(r.ID))
	} else if r.ID == DefaultDecides {
		c.report(path+".id", r.ID, "the id default is taken: in a test it means that no rule decides")
	} else if other, taken := c.ids[r.ID]; taken {
		c.add(Problem{Field: path + ".id", Rule: r.ID, Message: "the id is already that of " + other, Other: other})
	} else {
		c.ids[r.ID] = path
	}
	if strings.TrimSpace(r.Name) == "" {
		c.report(path+".name", r.ID, "a name is missing")
	}
	c.text(path+".name", r.ID, r.Name, MaxNameRunes)
	c.text(path+".description", r.ID, r.Description, MaxDescriptionRunes)
	if r.Outcome == "" {
		c.report(path+".outcome", r.ID, "an outcome is missing: %s", strings.Join(outcomes, ", "))
	}
	c.oneOf(path+".outcome", r.ID, string(r.Outcome), outcomes)
	c.oneOf(path+".mode", r.ID, string(r.Mode), []string{string(Live), string(Shadow), string(Off)})
	c.oneOf(path+".onError", r.ID, string(r.OnError), []string{string(ErrorFails), string(ErrorMatches), string(ErrorIgnored)})
	c.oneOf(path+".onUnknown", r.ID, string(r.OnUnknown), []string{string(UnknownIgnored), string(UnknownMatches)})
	c.oneOf(path+".userVerification", r.ID, string(r.UserVerification), userVerifications)
	if len(r.Tags) > MaxTags {
		c.report(path+".tags", r.ID, "there are %d tags; at most %d are allowed", len(r.Tags), MaxTags)
	}
	if r.Rollout != nil && (*r.Rollout < 0 || *r.Rollout > 100) {
		c.report(path+".rollout", r.ID, "the rollout is a percentage from 0 to 100")
	}
	for i, tag := range r.Tags {
		c.text(fmt.Sprintf("%s.tags[%d]", path, i), r.ID, tag, MaxNameRunes)
	}
}

// oneOf accepts the empty text, which stands for the default.
func (c *checker) oneOf(path, rule, value string, allowed []string) {
	if value != "" && !slices.Contains(allowed, value) {
		c.report(path, rule, "%s is not one of %s", quoted(value), strings.Join(allowed, ", "))
	}
}

func (c *checker) text(path, rule, value string, limit int) {
	switch {
	case !utf8.ValidString(value):
		c.report(path, rule, "the text is not valid UTF-8")
	case utf8.RuneCountInString(value) > limit:
		c.report(path, rule, "the text has %d characters; at most %d are allowed", utf8.RuneCountInString(value), limit)
	case strings.ContainsFunc(value, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' && r != '\r' }):
		c.report(path, rule, "the text holds a control character")
	}
}

// quoted shows a value in a message, cut so that no message grows with it.
func quoted(s string) string {
	const most = 80
	if len(s) > most {
		s = s[:most] + "…"
	}
	return fmt.Sprintf("%q", s)
}
