package signals

import (
	"math"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/rules"
)

const (
	// DefaultAtypicalKm is how far people usually move, kilometres.
	DefaultAtypicalKm = 500
	// DefaultImpossibleKmh is faster than an airliner, kilometres per hour.
	DefaultImpossibleKmh = 1000
	// InexactKm is how far the places of two addresses may be apart, in
	// kilometres, though the person has not moved: databases know an address's
	// town at best, and a phone's traffic leaves its network in another one. It is
	// taken off the distance before a speed is computed, so that small distances
	// are never impossible.
	InexactKm = 100
	// minTravelHours keeps two actions of the same moment from dividing by zero.
	minTravelHours = 1.0 / 60
	// earthRadiusKm is the mean radius of the earth (IUGG).
	earthRadiusKm = 6371.0088
)

// travel judges the way from the place of the last verified action.
type travel struct{ atypicalKm, impossibleKmh float64 }

// facts compares the address's place with the one where the person last proved
// who they are. Without the latter nothing is known.
func (t travel) facts(here engine.Place, before *engine.Place, facts *rules.Facts) {
	if before == nil || !isPlace(*before) {
		return
	}
	km := distanceKm(here, *before)
	hours := max(0, here.At.Sub(before.At).Hours()) // a clock may have been set back
	kmh := max(0, km-InexactKm) / max(hours, minTravelHours)
	facts.Travel.DistanceKm = rules.Known(km)
	facts.Travel.HoursSince = rules.Known(hours)
	facts.Travel.SpeedKmh = rules.Known(kmh)
	facts.IP.AtypicalTravel = rules.Known(km > t.atypicalKm)
	facts.IP.ImpossibleTravel = rules.Known(kmh > t.impossibleKmh)
}

// isPlace tells a place from numbers that are none, NaN among them.
func isPlace(p engine.Place) bool {
	return math.Abs(p.Latitude) <= 90 && math.Abs(p.Longitude) <= 180
}

// distanceKm is the length of the great circle between two places, by the
// haversine formula, which is exact for small distances too. The earth's
// flattening makes it wrong by up to 0.5 %.
func distanceKm(a, b engine.Place) float64 {
	const degree = math.Pi / 180
	sinLat := math.Sin((b.Latitude - a.Latitude) * degree / 2)
	sinLon := math.Sin((b.Longitude - a.Longitude) * degree / 2)
	h := sinLat*sinLat + math.Cos(a.Latitude*degree)*math.Cos(b.Latitude*degree)*sinLon*sinLon
	return 2 * earthRadiusKm * math.Asin(math.Sqrt(min(1, h)))
}
