package rules_test

import (
	"testing"
	"time"

	"github.com/sallyport/sallyport/rules"
)

func TestParseWindow(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"1m": time.Minute, "10m": 10 * time.Minute, "90m": 90 * time.Minute, "24h": 24 * time.Hour, "1d": 24 * time.Hour,
		"30d": 30 * 24 * time.Hour, "720h": 720 * time.Hour, "43200m": 720 * time.Hour,
	} {
		w, err := rules.ParseWindow(text)
		if err != nil || w.Length() != want {
			t.Errorf("%s is %v, %v; want %v", text, w.Length(), err, want)
		}
	}
	for _, text := range []string{
		"", "m", "0m", "-1m", "+1m", "01m", "1", "60s", "1.5h", "1h30m", "31d", "721h", "43201m", "1 m", "1M", "1w", "9999999d", "99999999999999999999m", "１m",
	} {
		if w, err := rules.ParseWindow(text); err == nil {
			t.Errorf("%q is a window of %v", text, w.Length())
		}
	}
}

func TestAWindowHoldsItsSixtySteps(t *testing.T) {
	hour, err := rules.ParseWindow("1h") // steps of a minute
	if err != nil {
		t.Fatal(err)
	}
	end := time.Date(2026, 11, 22, 12, 30, 20, 0, time.UTC)
	tests := []struct {
		name string
		at   time.Time
		want bool
	}{
		{"the end itself", end, true},
		{"later in the end's step", time.Date(2026, 11, 22, 12, 30, 59, 999_999_999, time.UTC), true},
		{"the step after the end's", time.Date(2026, 11, 22, 12, 31, 0, 0, time.UTC), false},
		{"the first step", time.Date(2026, 11, 22, 11, 31, 0, 0, time.UTC), true},
		{"the step before the first", time.Date(2026, 11, 22, 11, 30, 59, 999_999_999, time.UTC), false},
		{"another zone's name for a time within", end.Add(-time.Minute).In(time.FixedZone("x", 5*3600+1800)), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := hour.Holds(end, tt.at); got != tt.want {
				t.Errorf("holds %v: %v", tt.at, got)
			}
		})
	}
	if n := hour.Step(end) - hour.From(end) + 1; n != rules.WindowSteps {
		t.Errorf("the window has %d steps", n)
	}
	before := time.Date(1969, 12, 31, 23, 59, 59, 0, time.UTC)
	if got := hour.Step(before); got != -1 {
		t.Errorf("the step before 1970 is %d", got)
	}
}
