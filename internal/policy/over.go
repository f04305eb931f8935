package policy

// Over judges a mountpoint alone, as Mount does.
func Over(c Caller, m Mountpoint) error { return onMountpoint(c, m) }

// FSName names a file system by its magic number, empty where it is not known.
func FSName(magic uint64) string {
	name, found := nameOf(magic, mountable)
	if !found {
		name, _ = nameOf(magic, forbidden)
	}
	return name
}

// String names what a mountpoint is.
func (k Kind) String() string {
	switch k {
	case Directory:
		return "directory"
	case RegularFile:
		return "file"
	}
	return "special file"
}
