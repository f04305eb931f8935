package collect

import (
	"strings"
)

// Profile gives the AppArmor profile that confines this process, and its mode;
// both are empty where there is none.
func Profile() (name, mode string) {
	// The second file belongs to whatever security module came first.
	for _, file := range []string{"/proc/self/attr/apparmor/current", "/proc/self/attr/current"} {
		if text, err := smallFile(file); err == nil {
			return parseProfile(text)
		}
	}
	return "", ""
}

// parseProfile reads "NAME (MODE)". Contexts of other security modules have no
// mode in parentheses.
func parseProfile(text string) (name, mode string) {
	text = strings.TrimRight(text, "\n\x00")
	open := strings.LastIndex(text, " (")
	if open <= 0 || !strings.HasSuffix(text, ")") {
		return "", ""
	}
	return text[:open], text[open+2 : len(text)-1]
}
