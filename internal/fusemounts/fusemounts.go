//go:build linux

// Package fusemounts finds the FUSE mounts of this process's mount namespace, and tells
// when mounts leave the mount table.
package fusemounts

import (
	"cmp"
	"errors"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/rawfile"
)

// All gives the entries of all FUSE mounts in this namespace, by their ids. It asks no
// daemon.
func All() ([]mtab.Entry, error) {
	all, err := byID()
	if err != nil {
		all, err = mtab.Fuse()
	}
	slices.SortFunc(all, func(a, b mtab.Entry) int { return cmp.Compare(a.ID, b.ID) })
	return all, err
}

// byID asks for each mount by its id.
func byID() (all []mtab.Entry, err error) {
	found, err := mtab.FuseByID()
	if err != nil {
		return nil, err
	}
	var table []mtab.Entry
	for _, brief := range found {
		e, err := mtab.ByID(brief.ID, true)
		if errors.Is(err, unix.ENOENT) { // unmounted meanwhile
			continue
		}
		if err == nil && e.Source == "" && table == nil {
			table, err = mtab.Fuse()
		}
		if err != nil {
			return nil, err
		}
		if e.Source == "" { // statmount does not tell source and subtype before Linux 6.13
			i := slices.IndexFunc(table, func(t mtab.Entry) bool { return t.ID == e.OldID })
			if i >= 0 {
				e.Source, e.Type = table[i].Source, table[i].Type
			}
		}
		all = append(all, e)
	}
	return all, nil
}

// ByPath gives the entry of the topmost mount at a path; a symlink at its end is not
// followed. Where the kernel tells ids by name no descriptor is opened, since a process
// that another thread forks would inherit it and keep the mount busy.
func ByPath(path string) (e mtab.Entry, isRoot bool, err error) {
	id, isRoot, err := mtab.UniqueID(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT)
	if err == nil {
		if e, err = mtab.ByID(id, true); err == nil {
			return e, isRoot, nil
		}
	}
	fd, err := rawfile.Open(path, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return mtab.Entry{}, false, err
	}
	e, isRoot, err = mtab.ByFD(fd)
	return e, isRoot, errors.Join(err, unix.Close(fd))
}
