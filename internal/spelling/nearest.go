// Package spelling guesses what a misspelt word was to be.
package spelling

import (
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
)

const (
	// maxEdits is how many letters a typo changes; more make another word of words as short as the keys of configurations.
	maxEdits = 3
	// maxLength is longer than any key and a typo. Longer words are not looked at: the effort grows with both lengths.
	maxLength = 64
)

// Nearest returns the known word that word is, or is likely to mean, without regard to case, or "". Of several it is the first in the
// order of the alphabet.
func Nearest(word string, known []string) string {
	if len(word) > maxLength {
		return ""
	}
	best, distance := "", maxEdits+1
	for _, k := range slices.Sorted(slices.Values(known)) {
		if d := levenshtein.ComputeDistance(strings.ToLower(word), strings.ToLower(k)); d < distance && d < len(k)/2 {
			best, distance = k, d
		}
	}
	return best
}
