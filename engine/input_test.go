package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/memory"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

func TestTrackRefusesBadInput(t *testing.T) {
	many := map[string]any{}
	for i := range engine.MaxCustomValues + 1 {
		many[fmt.Sprint(i)] = true
	}
	tests := []struct {
		name   string
		change func(*engine.Action)
		field  string
		want   string // part of the message
	}{
		{"action code empty", func(a *engine.Action) { a.Code = "" }, "action", "must be 1 to 64"},
		{"action code with a space", func(a *engine.Action) { a.Code = "pay ment" }, "action", "must be 1 to 64"},
		{"action code too long", func(a *engine.Action) { a.Code = strings.Repeat("a", 65) }, "action", "must be 1 to 64"},
		{"action code with a line break", func(a *engine.Action) { a.Code = "payment\n" }, "action", "must be 1 to 64"},
		{"user id empty", func(a *engine.Action) { a.User = "" }, "userId", "it is empty"},
		{"user id too long", func(a *engine.Action) { a.User = events.UserID(strings.Repeat("ä", 257)) }, "userId", "it has 257 characters"},
		{"user id with NUL", func(a *engine.Action) { a.User = "a\x00" }, "userId", "control character"},
		{"user id with a line break", func(a *engine.Action) { a.User = "a\nb" }, "userId", "control character"},
		{"user id of invalid UTF-8", func(a *engine.Action) { a.User = "a\xff" }, "userId", "not valid UTF-8"},
		{"key too long", func(a *engine.Action) { a.Key = strings.Repeat("k", 257) }, "idempotencyKey", "it has 257 characters"},
		{"key with NUL", func(a *engine.Action) { a.Key = "\x00" }, "idempotencyKey", "control character"},
		{"e-mail too long", func(a *engine.Action) { a.Email = strings.Repeat("e", 321) }, "email", "at most 320"},
		{"phone number too long", func(a *engine.Action) { a.PhoneNumber = strings.Repeat("1", 33) }, "phoneNumber", "at most 32"},
		{"user name with a control character", func(a *engine.Action) { a.Username = "a\u0085" }, "username", "control character"},
		{"device id too long", func(a *engine.Action) { a.DeviceID = strings.Repeat("d", 257) }, "deviceId", "at most 256"},
		{"locale too long", func(a *engine.Action) { a.Locale = strings.Repeat("l", 65) }, "locale", "at most 64"},
		{"redirect without a scheme", func(a *engine.Action) { a.RedirectURL = "//evil.example" }, "redirectUrl", "absolute address"},
		{"redirect to a script", func(a *engine.Action) { a.RedirectURL = "javascript:alert(1)" }, "redirectUrl", "absolute address"},
		{"redirect with a password", func(a *engine.Action) { a.RedirectURL = "https://shop.example@evil.example/" }, "redirectUrl", "absolute address"},
		{"redirect too long", func(a *engine.Action) { a.RedirectURL = "https://a.example/" + strings.Repeat("x", 2048) }, "redirectUrl", "at most 2048"},
		{"scope that is none", func(a *engine.Action) { a.Scope = "read:authenticators admin" }, "scope", `"admin" is not a scope`},
		{"too many custom values", func(a *engine.Action) { a.Custom = many }, "custom", "at most 100"},
		{"custom list", func(a *engine.Action) { a.Custom = map[string]any{"a": []any{}} }, "custom.a", "a string, a number or a boolean"},
		{"custom null", func(a *engine.Action) { a.Custom = map[string]any{"a": nil} }, "custom.a", "a string, a number or a boolean"},
		{"custom map", func(a *engine.Action) { a.Custom = map[string]any{"a": map[string]any{"b": 1}} }, "custom.a", "a string, a number or a boolean"},
		{"custom whole number too large", func(a *engine.Action) { a.Custom = map[string]any{"a": 1<<53 + 1} }, "custom.a", "beyond ±9007199254740992"},
		{"custom whole number too small", func(a *engine.Action) { a.Custom = map[string]any{"a": int64(math.MinInt64)} }, "custom.a", "give it as a string"},
		{"custom unsigned number too large", func(a *engine.Action) { a.Custom = map[string]any{"a": uint64(math.MaxUint64)} }, "custom.a", "beyond ±9007199254740992"},
		{"decoded whole number too large", func(a *engine.Action) { a.Custom = map[string]any{"a": json.Number("9007199254740993")} }, "custom.a", "beyond ±9007199254740992"},
		{"decoded number beyond doubles", func(a *engine.Action) { a.Custom = map[string]any{"a": json.Number("1e999")} }, "custom.a", "not a finite number"},
		{"decoded number that is none", func(a *engine.Action) { a.Custom = map[string]any{"a": json.Number("0x10")} }, "custom.a", "not a finite number"},
		{"custom float32 infinity", func(a *engine.Action) { a.Custom = map[string]any{"a": float32(math.Inf(1))} }, "custom.a", "not a finite number"},
		{"custom NaN", func(a *engine.Action) { a.Custom = map[string]any{"a": math.NaN()} }, "custom.a", "not a finite number"},
		{"custom text too long", func(a *engine.Action) { a.Custom = map[string]any{"a": strings.Repeat("x", 4097)} }, "custom.a", "at most 4096"},
		{"custom text with NUL", func(a *engine.Action) { a.Custom = map[string]any{"a": "\x00"} }, "custom.a", "cannot be kept"},
		{"custom text of invalid UTF-8", func(a *engine.Action) { a.Custom = map[string]any{"a": "\xff"} }, "custom.a", "not valid UTF-8"},
		{"custom name empty", func(a *engine.Action) { a.Custom = map[string]any{"": true} }, "custom", "a name in it"},
		{"custom name with NUL", func(a *engine.Action) { a.Custom = map[string]any{"\x00": true} }, "custom", "a name in it"},
		{"raw custom too large", func(a *engine.Action) {
			a.RawCustom = json.RawMessage(`{"a":"` + strings.Repeat("x", engine.MaxCustomBytes) + `"}`)
		}, "custom", "at most 32768"},
		{"raw custom that is a list", func(a *engine.Action) { a.RawCustom = json.RawMessage(`[]`) }, "custom", "must be a JSON object"},
		{"raw custom that is cut off", func(a *engine.Action) { a.RawCustom = json.RawMessage(`{"a":`) }, "custom", "must be a JSON object"},
		{"raw custom with NUL", func(a *engine.Action) { a.RawCustom = json.RawMessage(`{"a":"\u0000"}`) }, "custom", "cannot be kept"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			recorder := memory.New()
			a := action("payment", nil)
			tt.change(&a)
			_, err := newEngine(t, recorder).Track(t.Context(), a)
			var input *engine.InputError
			if !errors.As(err, &input) || input.Field != tt.field || !strings.Contains(input.Message, tt.want) {
				t.Errorf("got %v, want an *InputError of %s with %q", err, tt.field, tt.want)
			}
			if len(recorder.Events()) != 0 {
				t.Error("something was recorded")
			}
		})
	}
}

// TestTrackToleratesBrowsers: what a person's browser sends must not make an
// action fail.
func TestTrackToleratesBrowsers(t *testing.T) {
	tests := []struct {
		name      string
		ip, agent string
		wantIP    string
		wantAgent string
	}{
		{"no address", "not an address", "Firefox", "not an address", "Firefox"},
		{"address too long", strings.Repeat("1", 100), "", strings.Repeat("1", 64), ""},
		{"user agent too long", "", strings.Repeat("ä", 1000), "", strings.Repeat("ä", 512)},
		{"user agent with control characters", "", "a\x00\r\n\xffb", "", "ab"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			recorder := memory.New()
			a := action("payment", nil)
			a.IP, a.UserAgent = tt.ip, tt.agent
			track(t, newEngine(t, recorder, openSignals(t)), a)
			personal, err := recorder.Events()[0].PersonalValues()
			if err != nil {
				t.Fatal(err)
			}
			if personal[events.PersonalIP] != tt.wantIP || personal[events.PersonalUserAgent] != tt.wantAgent {
				t.Errorf("kept %q and %q", personal[events.PersonalIP], personal[events.PersonalUserAgent])
			}
		})
	}
}

// TestEngineIsEmbeddable keeps servers, drivers and ceremonies out of programs
// that embed the engine.
func TestEngineIsEmbeddable(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".", "./memory", "./signals").CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	for dependency := range strings.Lines(string(out)) {
		for _, part := range []string{"echo", "nats", "clickhouse", "webauthn", "database/sql", "sqlite", "pgx", "net/http"} {
			if strings.Contains(dependency, part) {
				t.Errorf("the engine depends on %s", strings.TrimSpace(dependency))
			}
		}
	}
}

// TestTrackTakesEveryGoValue: programs that embed the engine have amounts in
// whatever type their own data has.
func TestTrackTakesEveryGoValue(t *testing.T) {
	type (
		cents int32
		name  string
		flag  bool
	)
	tests := []struct {
		name  string
		value any
		want  any
	}{
		{"int", 250, 250.0},
		{"int8", int8(-8), -8.0},
		{"int16", int16(250), 250.0},
		{"int32", int32(250), 250.0},
		{"int64", int64(250), 250.0},
		{"uint", uint(250), 250.0},
		{"uint8", uint8(250), 250.0},
		{"uint16", uint16(250), 250.0},
		{"uint32", uint32(250), 250.0},
		{"uint64", uint64(250), 250.0},
		{"float32", float32(250.5), 250.5},
		{"a type of its own", cents(25000), 25000.0},
		{"the largest exact number", 1 << 53, 9007199254740992.0},
		{"the smallest exact number", -1 << 53, -9007199254740992.0},
		{"a decoded number", json.Number("250.5"), 250.5},
		{"a decoded whole number", json.Number("-9007199254740992"), -9007199254740992.0},
		{"a decoded number with an exponent", json.Number("1e20"), 1e20},
		{"a string of a type of its own", name("Ann"), "Ann"},
		{"a boolean of a type of its own", flag(true), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var seen engine.Action
			look := source(func(_ context.Context, a *engine.Action, _ *engine.Profile, _ *rules.Facts) error {
				seen = *a
				return nil
			})
			custom := map[string]any{"v": tt.value, "other": "x"}
			track(t, newEngine(t, memory.New(), look), action("payment", custom))
			if custom["v"] != tt.value {
				t.Errorf("the caller's map holds %v now", custom["v"])
			}
			want := map[string]any{"v": tt.want, "other": "x"}
			if diff := cmp.Diff(want, seen.Custom); diff != "" {
				t.Errorf("decided with (-want +got):\n%s", diff)
			}
			var kept map[string]any
			if err := json.Unmarshal(seen.RawCustom, &kept); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, kept); diff != "" {
				t.Errorf("kept (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("rules read it", func(t *testing.T) {
		for amount, want := range map[any]events.ActionState{int64(1001): events.StateBlock, uint8(250): events.StateAllow, json.Number("501"): events.StateReviewRequired} {
			if d := track(t, newEngine(t, memory.New()), action("payment", map[string]any{"amount": amount})); d.State != want {
				t.Errorf("%v is decided %s, want %s", amount, d.State, want)
			}
		}
	})
}
