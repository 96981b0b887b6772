package rules_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sallyport/sallyport/rules"
)

// benchmarkSet is ten rules over twenty facts, of the kinds analysts write; the
// last one matches.
func benchmarkSet(tb testing.TB) (*rules.Set, *rules.Facts) {
	tb.Helper()
	d := rules.Definition{Fields: []rules.Field{
		{Name: "amount", Type: rules.TypeNumber},
		{Name: "currency", Type: rules.TypeString},
		{Name: "payee", Type: rules.TypeString},
		{Name: "express", Type: rules.TypeBool},
	}}
	for i, when := range []string{
		`custom.amount > 10000`,
		`ip.countryCode in ["KP", "IR", "SY"] && custom.amount > 1`,
		`device.isBot || user.emailDomain == "example.invalid"`,
		`custom.amount > 500 && device.isNew && !user.isNew`,
		`user.ageHours < 24 && custom.amount > 300`,
		`custom.currency != "EUR" && custom.currency != "USD"`,
		`device.os == "Linux" && device.browser == "Firefox" && device.type == "tablet"`,
		`passkey.count == 0 && user.isEnrolled`,
		`ip.isPrivate && custom.express && custom.payee.startsWith("test-")`,
		`user.id != "" && action.code == "payment" && now > timestamp("2020-01-01T00:00:00Z") && user.hasPreviouslyVerified && known(user.username)`,
	} {
		d.Otherwise.Rules = append(d.Otherwise.Rules, rules.Rule{ID: fmt.Sprintf("rule-%d", i), Name: "Rule", When: when, Outcome: rules.Challenge})
	}
	set, err := rules.Compile(rules.Version{Number: 1, Definition: d})
	if err != nil {
		tb.Fatal(err)
	}
	facts := &rules.Facts{
		User: rules.UserFacts{
			ID: "user-1", Email: rules.Known("jane@example.com"), EmailDomain: rules.Known("example.com"), Username: rules.Known("jane"),
			AgeHours: rules.Known(1000.0), IsEnrolled: true, HasPreviouslyVerified: true,
		},
		Passkey: rules.PasskeyFacts{Count: 1},
		Action:  rules.ActionFacts{Code: "payment"},
		Device: rules.DeviceFacts{
			ID: rules.Known("d"), IsNew: rules.Known(false), IsBot: rules.Known(false), Browser: rules.Known("Chrome"),
			OS: rules.Known("Windows"), Type: rules.Known("desktop"),
		},
		IP:     rules.IPFacts{Address: rules.Known("192.0.2.1"), CountryCode: rules.Known("DE"), IsPrivate: rules.Known(false)},
		Custom: map[string]any{"amount": 250.0, "currency": "EUR", "payee": "Jo", "express": true},
		Now:    time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC),
	}
	return set, facts
}

func BenchmarkEvaluate(b *testing.B) {
	set, facts := benchmarkSet(b)
	if got := set.Evaluate("payment", facts); got.Rule != "rule-9" {
		b.Fatalf("the last rule must decide, got %+v", got)
	}
	b.ReportAllocs()
	for b.Loop() {
		set.Evaluate("payment", facts)
	}
}

func BenchmarkEncodeFacts(b *testing.B) {
	_, facts := benchmarkSet(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := rules.EncodeFacts(facts); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	set, _ := benchmarkSet(b)
	for b.Loop() {
		if _, err := rules.Compile(set.Version()); err != nil {
			b.Fatal(err)
		}
	}
}
