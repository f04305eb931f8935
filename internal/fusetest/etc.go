package fusetest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// etcNames are what programs need of /etc; fuse.conf is for each test to
// write. Names that are not there are left out.
var etcNames = []string{
	"passwd", "group", "nsswitch.conf", "ld.so.cache", "ld.so.conf", "ld.so.conf.d",
	"mtab", "resolv.conf", "hosts", "alternatives", "localtime",
	"groff", "manpath.config",
}

// etcEntry is one copied file: a link as a link, never what it leads to.
type etcEntry struct {
	path string
	mode fs.FileMode
	link string
	data []byte
}

// readEtc reads what the private /etc is to have, parents before children.
func readEtc() ([]etcEntry, error) {
	var entries []etcEntry
	for _, name := range etcNames {
		err := filepath.WalkDir(filepath.Join("/etc", name), func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
				return nil
			}
			if err != nil {
				return err
			}
			e, err := readEntry(path)
			if err == nil {
				entries = append(entries, e)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return entries, nil
}

func readEntry(path string) (etcEntry, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return etcEntry{}, err
	}
	e := etcEntry{path: path, mode: info.Mode()}
	switch {
	case e.mode&fs.ModeSymlink != 0:
		e.link, err = os.Readlink(path)
	case e.mode.IsRegular():
		e.data, err = os.ReadFile(path)
	}
	return e, err
}

// writeEtc fills the private /etc.
func writeEtc(entries []etcEntry) error {
	for _, e := range entries {
		var err error
		switch {
		case e.link != "":
			err = os.Symlink(e.link, e.path)
		case e.mode.IsDir():
			err = mkdirMode(e.path, e.mode.Perm())
		case e.mode.IsRegular():
			err = os.WriteFile(e.path, e.data, e.mode.Perm())
		}
		if err != nil {
			return err
		}
	}
	return nil
}
