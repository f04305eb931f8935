// Package fstypes knows file systems by the numbers of statfs(2), and over which of them a
// user may mount. It is pure.
//
// Numbers are from linux/magic.h and the file systems' own sources. The lists are slices:
// a map is built at each start.
package fstypes

import "slices"

type fsType struct {
	magic uint64
	name  string
}

// ordinary are the file systems over which a user may mount: those that hold users'
// files. Mounting over the kernel's own views (procfs, sysfs, cgroupfs, devpts …) could
// present a forged /proc/PID to setuid programs (CVE-2016-1572).
var ordinary = []fsType{
	{0x61756673, "aufs"},
	{0x00000187, "autofs"},
	{0xCA451A4E, "bcachefs"},
	{0x9123683E, "btrfs"},
	{0x00C36400, "ceph"},
	{0xFF534D42, "cifs"},
	{0x0000F15F, "ecryptfs"},
	{0x2011BAB0, "exfat"},
	{0x0000EF53, "ext4"},
	{0xF2F52010, "f2fs"},
	{0x65735546, "fuse"},
	{0x01161970, "gfs2"},
	{0x47504653, "gpfs"},
	{0x0000482B, "hfsplus"},
	{0x000072B6, "jffs2"},
	{0x3153464A, "jfs"},
	{0x0BD00BD0, "lustre"},
	{0x00004D44, "msdos"},
	{0x0000564C, "ncp"},
	{0x00006969, "nfs"},
	{0x00003434, "nilfs"},
	{0x5346544E, "ntfs"},
	{0x7366746E, "ntfs3"},
	{0x5346414F, "openafs"},
	{0x794C7630, "overlay"},
	{0xAAD7AAEA, "panfs"},
	{0x52654973, "reiserfs"},
	{0xFE534D42, "smb2"},
	{0x73717368, "squashfs"},
	{0x01021994, "tmpfs"},
	{0x24051905, "ubifs"},
	{0x18031977, "wekafs"},
	{0x736675005346544E, "ufsd"},
	{0x58465342, "xfs"},
	{0x2FC12FC1, "zfs"},
	{0x858458F6, "ramfs"},
}

// others hold files, too, and an administrator can allow mounting over them. There are
// at most 64: [Set] has a bit for each.
var others = []fsType{
	{0x01021997, "9p"},
	{0x6B414653, "afs"},
	{0x19830326, "beegfs"},
	{0x73757245, "coda"},
	{0x00004244, "hfs"},
	{0x7461636F, "ocfs2"},
	{0x20030528, "orangefs"},
	{0x7C7C6673, "prl_fs"},
	{0x15013346, "udf"},
	{0x00011954, "ufs"},
	{0x786F4256, "vboxsf"},
	{0xBACBACBC, "vmhgfs"},
	{0x53464846, "wslfs"},
}

// never are named for messages only: what is in neither of the other lists is refused,
// and cannot be allowed.
var never = []fsType{
	{0x28CD3D45, "cramfs"},
	{0xE0F5E1E2, "erofs"},
	{0x00009660, "iso9660"},
	{0x00009FA0, "proc"},
	{0x62656572, "sysfs"},
	{0x0027E0EB, "cgroup"},
	{0x63677270, "cgroup2"},
	{0x00001CD1, "devpts"},
	{0x64626720, "debugfs"},
	{0x74726163, "tracefs"},
	{0x73636673, "securityfs"},
	{0xF97CFF8C, "selinuxfs"},
	{0x43415D53, "smackfs"},
	{0x5A3C69F0, "apparmorfs"},
	{0x62656570, "configfs"},
	{0xCAFE4A11, "bpf"},
	{0x6E736673, "nsfs"},
	{0x6165676C, "pstore"},
	{0xDE5E81E4, "efivarfs"},
	{0x19800202, "mqueue"},
	{0x958458F6, "hugetlbfs"},
	{0x42494E4D, "binfmt_misc"},
	{0x65735543, "fusectl"},
	{0x67596969, "rpc_pipefs"},
	{0x6C6F6F70, "binderfs"},
}

func find(magic uint64, list []fsType) int {
	return slices.IndexFunc(list, func(t fsType) bool { return t.magic == magic })
}

// Ordinary says whether a user may mount over a file system.
func Ordinary(magic uint64) bool { return find(magic, ordinary) >= 0 }

// Name names a file system, empty where it is not known.
func Name(magic uint64) string {
	for _, list := range [][]fsType{ordinary, others, never} {
		if i := find(magic, list); i >= 0 {
			return list[i].name
		}
	}
	return ""
}

// Set are file systems that an administrator has allowed.
type Set uint64

// Allowable gives the set of one file system by its name, if an administrator can allow it.
func Allowable(name string) (s Set, ok bool) {
	i := slices.IndexFunc(others, func(t fsType) bool { return t.name == name })
	if i < 0 {
		return 0, false
	}
	return 1 << i, true
}

// Has says whether a file system is in the set.
func (s Set) Has(magic uint64) bool {
	i := find(magic, others)
	return i >= 0 && s&(1<<i) != 0
}
