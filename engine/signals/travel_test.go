package signals_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/signals"
	"github.com/sallyport/sallyport/rules"
)

// at opens signals whose only address, 203.0.113.7, is at a place.
func at(t *testing.T, config signals.Config, latitude, longitude float64) *signals.Source {
	t.Helper()
	path := filepath.Join(t.TempDir(), "place.mmdb")
	writeDatabase(t, path, "place", map[string]map[string]any{
		"203.0.113.0/24": {"country_code": "DE", "latitude": latitude, "longitude": longitude},
	})
	config.IPData = []string{path}
	return open(t, config)
}

func number(t *testing.T, name string, v rules.Value[float64]) float64 {
	t.Helper()
	n, known := v.Get()
	if !known {
		t.Fatalf("%s is unknown", name)
	}
	return n
}

func TestDistance(t *testing.T) {
	type place struct{ latitude, longitude float64 }
	var (
		berlin   = place{52.5200, 13.4050}
		newYork  = place{40.7128, -74.0060}
		auckland = place{-36.8485, 174.7633}
		suva     = place{-18.1248, 178.4501}
		samoa    = place{-13.8507, -171.7514}
		north    = place{90, 0}
		south    = place{-90, 77}
	)
	for _, tt := range []struct {
		name     string
		from, to place
		km       float64
		within   float64 // share
	}{
		{"Berlin to New York", berlin, newYork, 6385, 0.01},
		{"and back", newYork, berlin, 6385, 0.01},
		{"across the antimeridian", suva, samoa, 1147, 0.01},
		{"Auckland to Berlin", auckland, berlin, 17745, 0.01},
		{"a step across the antimeridian", place{0, 179.9}, place{0, -179.9}, 22.24, 0.001},
		{"pole to pole", north, south, 20015, 0.001},
		{"at the pole all longitudes are one place", north, place{90, 123}, 0, 0},
		{"antipodes", place{30, 40}, place{-30, -140}, 20015, 0.001},
		{"the same place", berlin, berlin, 0, 0},
		{"one kilometre", berlin, place{52.5290, 13.4050}, 1, 0.01},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := at(t, signals.Config{}, tt.to.latitude, tt.to.longitude)
			f := facts(t, s, engine.Action{IP: "203.0.113.7"}, engine.Profile{
				VerifiedAt: &engine.Place{Latitude: tt.from.latitude, Longitude: tt.from.longitude, At: now.Add(-time.Hour)},
			})
			if got := number(t, "distance", f.Travel.DistanceKm); math.Abs(got-tt.km) > tt.km*tt.within+1e-6 {
				t.Errorf("%.1f km, want %.1f", got, tt.km)
			}
		})
	}
}

func TestTravel(t *testing.T) {
	berlin := engine.Place{Latitude: 52.52, Longitude: 13.405}
	for _, tt := range []struct {
		name                 string
		kmNorth              float64 // from Berlin
		ago                  time.Duration
		config               signals.Config
		speed                float64
		atypical, impossible bool
	}{
		{"nowhere, at once", 0, 0, signals.Config{}, 0, false, false},
		{"to the next town, at once: places are inexact", 99, 0, signals.Config{}, 0, false, false},
		{"a little farther, at once", 130, 0, signals.Config{}, 1800, false, true},
		{"a drive", 400, 4 * time.Hour, signals.Config{}, 75, false, false},
		{"a flight", 1100, time.Hour + 15*time.Minute, signals.Config{}, 800, true, false},
		{"faster than a flight", 1600, time.Hour, signals.Config{}, 1500, true, true},
		{"far, after days", 3000, 100 * time.Hour, signals.Config{}, 29, true, false},
		{"thresholds of one's own", 400, time.Hour, signals.Config{AtypicalKm: 399, ImpossibleKmh: 299}, 300, true, true},
		{"thresholds that are just met", 400, time.Hour, signals.Config{AtypicalKm: 401, ImpossibleKmh: 301}, 300, false, false},
		{"a clock that was set back", 400, -time.Hour, signals.Config{}, 18000, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := at(t, tt.config, berlin.Latitude+tt.kmNorth/111.195, berlin.Longitude)
			before := berlin
			before.At = now.Add(-tt.ago)
			f := facts(t, s, engine.Action{IP: "203.0.113.7"}, engine.Profile{VerifiedAt: &before})
			if got := number(t, "distance", f.Travel.DistanceKm); math.Abs(got-tt.kmNorth) > 0.1 {
				t.Errorf("distance %.2f km", got)
			}
			if got, want := number(t, "hours", f.Travel.HoursSince), max(0, tt.ago.Hours()); got != want {
				t.Errorf("%v hours, want %v", got, want)
			}
			if got := number(t, "speed", f.Travel.SpeedKmh); math.Abs(got-tt.speed) > 0.01*tt.speed {
				t.Errorf("%.1f km/h, want %.1f", got, tt.speed)
			}
			same(t, [2]rules.Value[bool]{f.IP.AtypicalTravel, f.IP.ImpossibleTravel}, [2]rules.Value[bool]{rules.Known(tt.atypical), rules.Known(tt.impossible)})
		})
	}
	unknown := func(name string, config func(t *testing.T) *signals.Source, ip string, before *engine.Place) {
		t.Run("unknown "+name, func(t *testing.T) {
			f := facts(t, config(t), engine.Action{IP: ip}, engine.Profile{VerifiedAt: before, LastVerifiedAt: now})
			same(t, f.Travel, rules.TravelFacts{})
			same(t, [2]rules.Value[bool]{f.IP.AtypicalTravel, f.IP.ImpossibleTravel}, [2]rules.Value[bool]{})
		})
	}
	there := func(t *testing.T) *signals.Source { return at(t, signals.Config{}, 1, 2) }
	unknown("when the person never was verified at a place", there, "203.0.113.7", nil)
	unknown("when the address has no place", there, "198.51.100.1", &berlin)
	unknown("when the address is none", there, "here", &berlin)
	unknown("when the kept place is none", there, "203.0.113.7", &engine.Place{Latitude: math.NaN()})
	unknown("when the database has 0, 0, which stands for no place",
		func(t *testing.T) *signals.Source { return at(t, signals.Config{}, 0, 0) }, "203.0.113.7", &berlin)
	unknown("when the database has a place that is none",
		func(t *testing.T) *signals.Source { return at(t, signals.Config{}, 91, 0) }, "203.0.113.7", &berlin)
}

func TestLocalTime(t *testing.T) {
	// The moment is Sunday, 22 November 2026, 10:00 UTC.
	for _, tt := range []struct {
		name                string
		latitude, longitude float64
		hour, weekday       float64
	}{
		{"Berlin", 52.52, 13.405, 11, 0},
		{"London", 51.5074, -0.1278, 10, 0},
		{"New York", 40.7128, -74.006, 5, 0},
		{"Los Angeles", 34.0522, -118.2437, 2, 0},
		{"Phoenix, without summer time", 33.4484, -112.074, 3, 0},
		{"Honolulu", 21.3069, -157.8583, 0, 0},
		{"Kolkata, half an hour off", 22.5726, 88.3639, 15, 0},
		{"Kathmandu, three quarters off", 27.7172, 85.324, 15, 0},
		{"Tokyo", 35.6762, 139.6503, 19, 0},
		{"Sydney, in summer", -33.8688, 151.2093, 21, 0},
		{"Auckland, in summer", -36.8485, 174.7633, 23, 0},
		{"Kiritimati, which is ahead of all", 1.87, -157.4, 0, 1},
		{"Niue, which is behind nearly all", -19.0595, -169.9187, 23, 6},
		{"Sao Paulo", -23.5505, -46.6333, 7, 0},
		{"Johannesburg", -26.2041, 28.0473, 12, 0},
		{"Tehran", 35.6892, 51.389, 13, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := facts(t, at(t, signals.Config{Folder: lib(t)}, tt.latitude, tt.longitude), engine.Action{IP: "203.0.113.7"}, engine.Profile{})
			same(t, f.Action, rules.ActionFacts{LocalHour: rules.Known(tt.hour), LocalWeekday: rules.Known(tt.weekday)})
		})
	}
	t.Run("the ends of the world have a time", func(t *testing.T) {
		for _, place := range [][2]float64{{90, 10}, {-90, 10}, {10, 180}, {10, -180}, {-90, -180}, {90, 180}} {
			f := facts(t, at(t, signals.Config{Folder: lib(t)}, place[0], place[1]), engine.Action{IP: "203.0.113.7"}, engine.Profile{})
			number(t, fmt.Sprint("hour at ", place), f.Action.LocalHour)
		}
	})
	zone := func(t *testing.T, name string) rules.ActionFacts {
		t.Helper()
		path := filepath.Join(t.TempDir(), "zone.mmdb")
		writeDatabase(t, path, "zone", map[string]map[string]any{
			"203.0.113.0/24": {"country_code": "DE", "latitude": 52.52, "longitude": 13.405, "timezone": name},
		})
		return facts(t, open(t, signals.Config{Folder: lib(t), IPData: []string{path}}), engine.Action{IP: "203.0.113.7"}, engine.Profile{}).Action
	}
	t.Run("the zone that a database names counts more than the place", func(t *testing.T) {
		same(t, zone(t, "Asia/Tokyo"), rules.ActionFacts{LocalHour: rules.Known(19.0), LocalWeekday: rules.Known(0.0)})
	})
	for _, name := range []string{"Nowhere/Town", "Local", "../../etc/passwd"} {
		t.Run("unknown for the zone "+name, func(t *testing.T) { same(t, zone(t, name), rules.ActionFacts{}) })
	}
	t.Run("unknown without a map of zones", func(t *testing.T) {
		f := facts(t, at(t, signals.Config{}, 52.52, 13.405), engine.Action{IP: "203.0.113.7"}, engine.Profile{})
		same(t, f.Action, rules.ActionFacts{})
	})
	t.Run("unknown with a damaged map of zones", func(t *testing.T) {
		folder := t.TempDir()
		// Each cell points to cells behind the end.
		if err := os.WriteFile(filepath.Join(folder, signals.ZonesFile), []byte("Europe/Berlin\n"+strings.Repeat("YY", 48*24)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		f := facts(t, at(t, signals.Config{Folder: folder}, 52.52, 13.405), engine.Action{IP: "203.0.113.7"}, engine.Profile{})
		same(t, f.Action, rules.ActionFacts{})
	})
}
