package fusetest

// TopMount is FindMount for a program that is no test.
func TopMount(path string) (l Line, found bool, err error) {
	lines, err := readMountinfo()
	if err != nil {
		return Line{}, false, err
	}
	stack := mountsAt(lines, path)
	if len(stack) == 0 {
		return Line{}, false, nil
	}
	return stack[len(stack)-1], true, nil
}

// AllMounts is Mountinfo for a program that is no test.
func AllMounts() ([]Line, error) { return readMountinfo() }
