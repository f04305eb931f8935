// Package apparmor reads the AppArmor profile of this process.
package apparmor

import (
	"strings"

	"github.com/go-fusermount/fusermount/internal/rawfile"
)

// Profile gives the AppArmor profile that confines this process, and its mode;
// both are empty where there is none.
func Profile() (name, mode string) {
	// The second file belongs to whatever security module came first.
	for _, file := range []string{"/proc/self/attr/apparmor/current", "/proc/self/attr/current"} {
		if text, err := rawfile.Text(file); err == nil {
			return parse(text)
		}
	}
	return "", ""
}

// parse reads "NAME (MODE)". Contexts of other security modules have no mode in parentheses.
func parse(text string) (name, mode string) {
	text = strings.TrimRight(text, "\n\x00")
	open := strings.LastIndex(text, " (")
	if open <= 0 || !strings.HasSuffix(text, ")") {
		return "", ""
	}
	return text[:open], text[open+2 : len(text)-1]
}

// Help says what to do where a profile forbids a mount.
func Help(profile string) string {
	// A profile that is named after its program has the path with dots as its file.
	profile = strings.ReplaceAll(strings.TrimPrefix(profile, "/"), "/", ".")
	return "if mounting fails with 'Permission denied', allow the place in /etc/apparmor.d/local/" + profile +
		", and as root: apparmor_parser -r /etc/apparmor.d/" + profile
}
