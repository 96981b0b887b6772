package main

import "strings"

// nearest is the candidate that a misspelt word probably means: one that differs
// from it in few letters, whatever their case. It is "" when there is none.
func nearest(word string, candidates []string) string {
	best, least := "", 1+max(1, min(3, len(word)/2))
	for _, candidate := range candidates {
		if d := letters(strings.ToLower(word), strings.ToLower(candidate)); d < least {
			best, least = candidate, d
		}
	}
	return best
}

// didYouMean suggests the nearest candidate behind a sentence, or nothing.
func didYouMean(word string, candidates []string) string {
	if best := nearest(word, candidates); best != "" {
		return "; did you mean " + best + "?"
	}
	return ""
}

// letters is how many bytes must be put in, taken out or replaced to turn one
// word into the other (Levenshtein's distance). Words are short.
func letters(from, to string) int {
	row := make([]int, len(to)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(from) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(to) {
			cost := diagonal
			if from[i] != to[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, diagonal+1, row[j]+1)
		}
	}
	return row[len(to)]
}
