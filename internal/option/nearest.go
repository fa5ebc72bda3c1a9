package option

import "strings"

// nearest returns the word that was meant by a wrong one, or "" where none is near: one that differs
// only in capitals, dashes and underscores, as the names that Node's server has, or in a letter or
// two.
func nearest(wrong string, words []string) (meant string) {
	plain := strings.NewReplacer("_", "", "-", "").Replace
	wrong = strings.ToLower(plain(wrong))
	// Of a short word, one letter is much.
	least := min(len(wrong)/3, 2) + 1
	for _, word := range words {
		if d := distance(wrong, strings.ToLower(plain(word))); d < least {
			meant, least = word, d
		}
	}
	return meant
}

// distance is how many letters have to be added, left out, replaced or swapped with the next one to
// make b of a.
func distance(a, b string) int {
	var before, last, row []int
	for j := range len(b) + 1 {
		last = append(last, j)
	}
	for i := range len(a) {
		row = append([]int{}, i+1)
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			d := min(last[j]+cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				d = min(d, before[j-1]+1)
			}
			row = append(row, d)
		}
		before, last = last, row
	}
	return last[len(b)]
}

// didYouMean begins what an error says of the words there are.
func didYouMean(wrong string, words []string, there string) string {
	if meant := nearest(wrong, words); meant != "" {
		return "did you mean " + meant + "? " + strings.ToUpper(there[:1]) + there[1:]
	}
	return there
}
