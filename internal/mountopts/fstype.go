package mountopts

import "strings"

// IsFuse says whether a mount of this type is FUSE: fuse, fuseblk, or one of
// them with a subtype.
func IsFuse(fstype string) bool {
	base, _, _ := strings.Cut(fstype, ".")
	return base == "fuse" || base == "fuseblk"
}
