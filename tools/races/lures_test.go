package races

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
)

// lure is what alice puts in the mountpoint's place: something that she must
// not mount over, or must not unmount.
type lure struct {
	name string
	// make makes it at path, where nothing is.
	make func(w *world, path string) error
	// link leads into root's tree in place of a directory of alice's: the lure
	// is at the end of the way there.
	link bool
}

var lures = []lure{
	{name: "directory", make: func(w *world, path string) error { return w.mkdir(path, alice) }},
	{name: "root's directory", make: func(w *world, path string) error { return w.mkdir(path, 0) }},
	{name: "sticky directory", make: func(w *world, path string) error {
		return errors.Join(w.mkdir(path, 0), os.Chmod(path, 0o777|os.ModeSticky))
	}},
	{name: "root's tmpfs", make: func(w *world, path string) error {
		return errors.Join(w.mkdir(path, 0), w.tmpfs(path, 0), w.guard(path))
	}},
	{name: "root's fuse", make: func(w *world, path string) error {
		return errors.Join(w.mkdir(path, 0), w.fuse(path, 0), w.guard(path))
	}},
	{name: "bob's fuse", make: func(w *world, path string) error {
		return errors.Join(w.mkdir(path, bob), w.fuse(path, bob), w.guard(path))
	}},
	{name: "link to root's directory", link: true, make: func(*world, string) error { return nil }},
	{name: "link to root's tmpfs", link: true, make: func(w *world, path string) error {
		return errors.Join(w.tmpfs(path, 0), w.guard(path))
	}},
	{name: "link to bob's fuse", link: true, make: func(w *world, path string) error {
		return errors.Join(w.fuse(path, bob), w.guard(path))
	}},
}

// component is the part of the path that is exchanged, and what stands below it.
type component struct {
	name, path, with string // below home
	below            []string
	// lures are the names of those that are tried, empty for all. By the last
	// component everything can be reached that can be by the others.
	lures []string
}

var components = []component{
	{"last", middle + "/m", middle + "/x", nil, nil},
	{"parent", "top/mid/par", "top/mid/xpar", []string{"m"}, []string{
		"directory", "root's directory", "root's tmpfs", "bob's fuse", "link to root's tmpfs",
	}},
	{"middle", "top/mid", "top/xmid", []string{"par", "m"}, []string{
		"root's directory", "bob's fuse", "link to root's directory", "link to root's tmpfs",
	}},
}

func (c component) takes(l lure) bool { return len(c.lures) == 0 || slices.Contains(c.lures, l.name) }

// place makes the lure beside a component: at the end of the same names, or by
// a link into root's tree.
func (l lure) place(w *world, c component) (a, b string, err error) {
	a, b = filepath.Join(w.home, c.path), filepath.Join(w.home, c.with)
	if l.link {
		return a, b, errors.Join(l.make(w, filepath.Join(w.roots, middle, "m")), os.Symlink(filepath.Join(w.roots, c.path), b))
	}
	path := b
	for _, name := range c.below {
		if err := w.mkdir(path, alice); err != nil {
			return a, b, err
		}
		path = filepath.Join(path, name)
	}
	return a, b, l.make(w, path)
}
