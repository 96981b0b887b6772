package rules

import "strings"

// nearestEdits is how many letters two names may differ by for one of them to be
// taken for a slip of the other.
const nearestEdits = 3

// Nearest is the name that was probably meant by one that is not among those
// there are: it differs by fewer than nearestEdits letters, capitals aside. It
// is "" when there is none, and the first of several that are as near.
func Nearest(name string, among []string) string {
	best, distance := "", nearestEdits
	for _, other := range among {
		if d := editDistance(strings.ToLower(name), strings.ToLower(other), distance); d < distance {
			best, distance = other, d
		}
	}
	return best
}
