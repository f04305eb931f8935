package mtab

import (
	"cmp"
	"encoding/binary"
	"errors"
	"maps"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/mountopts"
)

// offOldID is where struct statmount has the id that mountinfo uses.
const offOldID = 56

// FuseMounts gives the entries of all FUSE mounts in this namespace, by their
// ids. It asks no daemon.
func FuseMounts() ([]Entry, error) {
	all, err := fuseByID()
	if err != nil {
		var table map[uint64]Entry
		table, err = fuseByText()
		all = slices.Collect(maps.Values(table))
	}
	slices.SortFunc(all, func(a, b Entry) int { return cmp.Compare(a.ID, b.ID) })
	return all, err
}

// fuseByID asks for each mount by its id.
func fuseByID() ([]Entry, error) {
	ids, err := listmount(allMounts)
	if err != nil {
		return nil, err
	}
	var all []Entry
	var table map[uint64]Entry
	brief := make([]byte, offStrings+256) // file systems have short names
	for _, id := range ids {
		err := statmountInto(brief, id, statmountNeeded)
		if err == nil && !mountopts.IsFuse(textOf(brief, statmountFsType, offFsType)) {
			continue
		}
		e, err := statmount(id)
		if errors.Is(err, unix.ENOENT) || err == nil && !mountopts.IsFuse(e.Type) { // ENOENT: unmounted meanwhile
			continue
		}
		if err == nil && e.Source == "" && table == nil {
			table, err = fuseByText()
		}
		if err != nil {
			return nil, err
		}
		if e.Source == "" { // statmount does not tell source and subtype before Linux 6.13
			old := uint64(binary.NativeEndian.Uint32(brief[offOldID:]))
			e.Source, e.Type = table[old].Source, cmp.Or(table[old].Type, e.Type)
		}
		all = append(all, e)
	}
	return all, nil
}

// fuseByText reads the whole table.
func fuseByText() (map[uint64]Entry, error) {
	all, err := Fuse()
	found := make(map[uint64]Entry, len(all))
	for _, m := range all {
		found[m.ID] = m.Entry
	}
	return found, err
}
