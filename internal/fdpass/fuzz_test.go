package fdpass

import (
	"math/big"
	"regexp"
	"testing"
)

var digits = regexp.MustCompile(`^[0-9]+$`)

// FuzzParseFD checks that only decimal digits are accepted: no sign, blank or other base,
// and no number that wraps.
func FuzzParseFD(f *testing.F) {
	f.Add("3")
	f.Fuzz(func(t *testing.T, text string) {
		want, ok := new(big.Int), digits.MatchString(text)
		if ok {
			want.SetString(text, 10)
			ok = want.Cmp(big.NewInt(1<<31-1)) <= 0
		}
		got, err := ParseFD(text)
		if (err == nil) != ok || (ok && int64(got) != want.Int64()) {
			t.Fatalf("ParseFD(%q) = %d, %v; want %v, %v", text, got, err, want, ok)
		}
	})
}
