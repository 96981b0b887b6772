package rules_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sallyport/sallyport/rules"
)

// everyFact has a value for each fact and of each kind.
func everyFact(tb testing.TB) *rules.Facts {
	sample := map[string]any{"string": "jané \"1\"\n\u2028<", "number": 17.0, "boolean": true, "timestamp": time.Date(2026, 11, 22, 9, 0, 0, 500, time.UTC)}
	named := map[string]any{}
	for _, f := range rules.Vocabulary() {
		named[f.Name] = sample[f.Type]
	}
	facts := makeFacts(tb, "payment", named)
	facts.IP.Latitude = rules.Known(-0.25)
	facts.Custom = map[string]any{"amount": 1e21, "tiny": 5e-324, "payee": "p\\1", "": false}
	facts.UserCustom = map[string]any{"tier": "gold", "limit": math.Copysign(0, -1), "vip": true}
	facts.Metrics = map[string]float64{"sum_24h": 0.1 + 0.2, "count_1h": 3}
	facts.Lists = map[string]bool{"ip.address in list.suspects": true, "custom.payee in list.safe": false}
	return facts
}

func equalFacts(t *testing.T, want, got *rules.Facts) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(rules.Value[string]{}, rules.Value[bool]{}, rules.Value[float64]{}, rules.Value[time.Time]{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
}

func TestDecodeFacts(t *testing.T) {
	encode := func(t *testing.T, f *rules.Facts) []byte {
		t.Helper()
		encoded, err := rules.EncodeFacts(f)
		if err != nil {
			t.Fatal(err)
		}
		return encoded
	}
	t.Run("every fact", func(t *testing.T) {
		want := everyFact(t)
		encoded := encode(t, want)
		got, err := rules.DecodeFacts(encoded)
		if err != nil {
			t.Fatal(err)
		}
		equalFacts(t, want, got)
		clear(encoded)
		equalFacts(t, want, got) // the facts do not hang on the caller's bytes
	})
	t.Run("nothing known", func(t *testing.T) {
		got, err := rules.DecodeFacts(encode(t, &rules.Facts{}))
		if err != nil {
			t.Fatal(err)
		}
		equalFacts(t, &rules.Facts{}, got)
	})
	t.Run("facts of another build", func(t *testing.T) {
		got, err := rules.DecodeFacts([]byte(`{"v":1,"facts":{"user.id":"u","user.shoeSize":43,"ip.isTor":false}}`))
		if err != nil {
			t.Fatal(err)
		}
		want := &rules.Facts{User: rules.UserFacts{ID: "u"}}
		want.IP.IsTor = rules.Known(false)
		equalFacts(t, want, got)
	})
	t.Run("another order and blanks", func(t *testing.T) {
		got, err := rules.DecodeFacts([]byte("{\"metrics\": {\"m\": 2},\n \"facts\": {\"ip.city\": \"Wien\"}, \"v\": 1}"))
		if err != nil {
			t.Fatal(err)
		}
		want := &rules.Facts{Metrics: map[string]float64{"m": 2}}
		want.IP.City = rules.Known("Wien")
		equalFacts(t, want, got)
	})
	for name, text := range map[string]string{
		"nothing, as after an erasure":  "",
		"a later version":               `{"v":2,"facts":{}}`,
		"cut off":                       `{"v":1,"facts":{"user.id":"u"`,
		"something behind it":           `{"v":1,"facts":{}} x`,
		"a text for a number":           `{"v":1,"facts":{"user.deviceCount":"3"}}`,
		"a fraction for a count":        `{"v":1,"facts":{"user.deviceCount":1.5}}`,
		"a time that is none":           `{"v":1,"facts":{"now":"yesterday"}}`,
		"a number out of range":         `{"v":1,"facts":{"ip.asn":1e400}}`,
		"a list as a custom value":      `{"v":1,"facts":{},"custom":{"a":[1]}}`,
		"a text as a metric":            `{"v":1,"facts":{},"metrics":{"a":"1"}}`,
		"a number as a list test":       `{"v":1,"facts":{},"lists":{"a":1}}`,
		"a number with a leading zero":  `{"v":1,"facts":{"ip.asn":01}}`,
		"a text with a raw line feed":   "{\"v\":1,\"facts\":{\"user.id\":\"a\nb\"}}",
		"a text with an unknown escape": `{"v":1,"facts":{"user.id":"\q"}}`,
		"a comma too many":              `{"v":1,"facts":{"user.id":"u",}}`,
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := rules.DecodeFacts([]byte(text)); err == nil {
				t.Errorf("it was read as %+v", got)
			}
		})
	}
}

// FuzzDecodeFacts compares the reader of our own form with encoding/json: the
// same text, with a blank that our writer would not make, is read by the latter.
func FuzzDecodeFacts(f *testing.F) {
	encoded, err := rules.EncodeFacts(everyFact(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(encoded)
	f.Add([]byte(`{"v":1,"facts":{"user.id":"\ud800\u0000","user.id":"x","ip.asn":-0.0e+1}}`))
	f.Add([]byte(`{"v":1,"facts":{"user.deviceCount":9007199254740993},"custom":{},"lists":{"a":true}}`))
	f.Add([]byte("{\"v\":1,\"facts\":{\"user.id\":\"\xff\"}}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := rules.DecodeFacts(text)
		want, wantErr := rules.DecodeFacts(append([]byte(" "), text...))
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("error %v, encoding/json says %v", err, wantErr)
		}
		if err != nil {
			return
		}
		equalFacts(t, want, got)
		again, err := rules.EncodeFacts(got)
		if err != nil {
			t.Fatal(err)
		}
		twice, err := rules.DecodeFacts(again)
		if err != nil {
			t.Fatalf("%v\n%s", err, again)
		}
		third, err := rules.EncodeFacts(twice)
		if err != nil || string(third) != string(again) {
			t.Fatalf("%s became %s, %v", again, third, err)
		}
	})
}

// BenchmarkDecodeFacts reads what a decision of a bank usually records.
func BenchmarkDecodeFacts(b *testing.B) {
	sample := map[string]any{"string": "Chrome 131", "number": 17.25, "boolean": true, "timestamp": time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)}
	named := map[string]any{"custom.amount": 149.9, "custom.currency": "EUR", "custom.payee": "p-10293", "metric.spent_24h": 740.5}
	for i, f := range rules.Vocabulary() {
		if i%4 > 0 && !strings.HasSuffix(f.Name, "ount") {
			named[f.Name] = sample[f.Type]
		}
	}
	encoded, err := rules.EncodeFacts(makeFacts(b, "payment", named))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("own form", func(b *testing.B) {
		b.SetBytes(int64(len(encoded)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := rules.DecodeFacts(encoded); err != nil {
				b.Fatal(err)
			}
		}
	})
	any := append([]byte(" "), encoded...)
	b.Run("any form", func(b *testing.B) {
		b.SetBytes(int64(len(encoded)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := rules.DecodeFacts(any); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func TestFactsOf(t *testing.T) {
	d := &rules.Definition{
		Fields: []rules.Field{
			{Name: "amount", Type: rules.TypeNumber}, {Name: "payee", Type: rules.TypeString}, {Name: "vip", Type: rules.TypeBool, Scope: rules.OfUser},
		},
		Metrics: []rules.Metric{{Name: "spent", Function: rules.Sum}},
		Lists:   []rules.List{{Name: "suspects", Type: rules.ListOfRanges}, {Name: "limits", Type: rules.ListOfNumbers}},
	}
	t.Run("values of each kind", func(t *testing.T) {
		got, problems := rules.FactsOf(d, "payment", map[string]any{
			"user.id": "u", "user.isNew": true, "user.deviceCount": 3, "ip.countryCode": "AT", "ip.city": nil,
			"now": "2026-11-22T10:00:00+01:00", "user.lastVerifiedAt": time.Unix(7, 0), "custom.amount": 12, "custom.payee": "x",
			"user.custom.vip": false, "metric.spent": 99.5, "ip.address in list.suspects": true, " custom.amount  in  list.limits ": false,
		})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		want := &rules.Facts{
			User:   rules.UserFacts{ID: "u", IsNew: true, DeviceCount: 3, LastVerifiedAt: rules.Known(time.Unix(7, 0).UTC())},
			Action: rules.ActionFacts{Code: "payment"}, Now: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC),
			IP:         rules.IPFacts{CountryCode: rules.Known("AT")},
			Custom:     map[string]any{"amount": 12.0, "payee": "x"},
			UserCustom: map[string]any{"vip": false}, Metrics: map[string]float64{"spent": 99.5},
			Lists: map[string]bool{"ip.address in list.suspects": true, "custom.amount in list.limits": false},
		}
		equalFacts(t, want, got)
	})
	for name, tt := range map[string]struct {
		value any
		want  string
	}{
		"ip.contryCode":               {"AT", `ip.contryCode: there is no fact "ip.contryCode"; did you mean ip.countryCode?`},
		"custom.amuont":               {1, `custom.amuont: "custom.amuont" is not declared; add it to the fields of this rule set; did you mean custom.amount?`},
		"user.custom.amount":          {1, `user.custom.amount: "user.custom.amount" is not declared; add it to the fields of this rule set`},
		"metric.other":                {1, `metric.other: "metric.other" is not declared; add it to the metrics of this rule set`},
		"ip.address in list.other":    {true, `ip.address in list.other: "list.other" is not declared; add it to the lists of this rule set`},
		"ip.adress in list.suspects":  {true, `ip.adress in list.suspects: there is no fact "ip.adress"; did you mean ip.address?`},
		"ip.asn in list.suspects":     {true, "ip.asn in list.suspects: list.suspects is a list of type cidr, in which ip.asn cannot be"},
		"user.email in list.limits":   {true, "user.email in list.limits: list.limits is a list of type number, in which user.email cannot be"},
		"ip.address in list.suspects": {"yes", "ip.address in list.suspects: a string stands here where a boolean belongs"},
		"user.isNew":                  {nil, "user.isNew: user.isNew is always known"},
		"user.deviceCount":            {1.5, "user.deviceCount: this is not a number that it can have"},
		"user.email":                  {7, "user.email: a number stands here where a string belongs"},
		"ip.city":                     {[]any{"a"}, "ip.city: a list stands here where a single value belongs"},
		"ip.asn":                      {math.NaN(), "ip.asn: a number that is infinite or not a number is unknown; leave it out"},
		"user.username":               {strings.Repeat("a", 4097), "user.username: the text has 4097 bytes; one of more than 4096 is unknown"},
		"now":                         {"noon", "now: a string stands here where a time such as 2026-11-22T10:00:00Z belongs"},
		"custom.payee":                {true, "custom.payee: a boolean stands here where a string belongs"},
		"metric.spent":                {"1", "metric.spent: a string stands here where a number belongs"},
	} {
		t.Run(name, func(t *testing.T) {
			facts, problems := rules.FactsOf(d, "payment", map[string]any{name: tt.value})
			if facts != nil || len(problems) != 1 || problems[0].String() != tt.want {
				t.Errorf("got %v, want %s", problems, tt.want)
			}
		})
	}
}

func TestFactsCodec(t *testing.T) {
	facts := &rules.Facts{
		User:    rules.UserFacts{ID: "jané \"1\"", AgeHours: rules.Known(1.5), LastVerifiedAt: rules.Known(time.Unix(1, 500).UTC()), DeviceCount: 2},
		Device:  rules.DeviceFacts{IsNew: rules.Known(false), Browser: rules.Known("a\nb\u2028<")},
		Custom:  map[string]any{"amount": 1e21, "payee": 5.0, "hidden": "x"},
		Metrics: map[string]float64{"spent": 12.5, "undeclared": 1},
		Lists:   map[string]bool{"ip.address in list.suspects": false},
		Now:     time.Date(2026, 11, 22, 10, 0, 0, 0, time.FixedZone("", 3600)),
	}
	d := &rules.Definition{
		Fields: []rules.Field{
			{Name: "amount", Type: rules.TypeNumber, Description: "How much."},
			{Name: "payee", Type: rules.TypeString},
			{Name: "tier", Type: rules.TypeString, Scope: rules.OfUser},
		},
		Metrics: []rules.Metric{{Name: "spent"}, {Name: "rebuilding"}},
	}
	encoded, err := rules.EncodeFacts(facts)
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(encoded) || !strings.HasPrefix(string(encoded), `{"v":1,`) || !strings.Contains(string(encoded), `"hidden":"x"`) {
		t.Errorf("encoded facts: %s", encoded)
	}
	list, err := rules.ListFacts(encoded, d)
	if err != nil {
		t.Fatal(err)
	}
	if want := len(rules.Vocabulary()) + len(d.Fields) + len(d.Metrics) + 1; len(list) != want {
		t.Errorf("%d facts listed, want %d", len(list), want)
	}
	got := map[string]any{}
	for _, f := range list {
		switch {
		case f.Known:
			got[f.Name] = f.Value
		case f.Value != nil:
			t.Errorf("%s is unknown and has the value %v", f.Name, f.Value)
		}
	}
	want := map[string]any{
		"user.id": "jané \"1\"", "user.isNew": false, "user.ageHours": 1.5, "user.isEnrolled": false, "user.hasPasskey": false,
		"user.hasSecurityKey": false, "user.hasAuthenticatorApp": false, "user.hasEmailOtp": false, "user.hasRecoveryCode": false,
		"user.hasPreviouslyVerified": false, "user.lastVerifiedAt": "1970-01-01T00:00:01.0000005Z", "user.deviceCount": 2.0,
		"passkey.count": 0.0, "passkey.syncedCount": 0.0, "passkey.deviceBoundCount": 0.0, "passkey.signCountRegressed": false,
		"action.code": "", "device.isNew": false, "device.browser": "a\nb\u2028<", "custom.amount": 1e21, "metric.spent": 12.5,
		"ip.address in list.suspects": false, "now": "2026-11-22T09:00:00Z",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("known facts (-want +got):\n%s", diff)
	}

	t.Run("nothing, as after an erasure", func(t *testing.T) {
		if list, err := rules.ListFacts(nil, d); err != nil || len(list) != 0 || list == nil {
			t.Errorf("got %v, %v", list, err)
		}
	})
	t.Run("a later version", func(t *testing.T) {
		if _, err := rules.ListFacts([]byte(`{"v":2}`), d); err == nil {
			t.Error("version 2 was read")
		}
	})
	t.Run("a value of another type", func(t *testing.T) {
		if _, err := rules.EncodeFacts(&rules.Facts{Custom: map[string]any{"a": []string{}}}); err == nil {
			t.Error("a list was encoded")
		}
	})
}
