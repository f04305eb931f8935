package policy

import "fmt"

// fsType is a file system by the number that statfs gives and by its name. The
// lists are slices, and not maps, since a map is built at each start.
type fsType struct {
	magic uint64
	name  string
}

func nameOf(magic uint64, list []fsType) (name string, found bool) {
	for _, t := range list {
		if t.magic == magic {
			return t.name, true
		}
	}
	return "", false
}

// mountable are the file systems over which a user may mount: those that hold
// his files. Mounting over the kernel's own views (procfs, sysfs, cgroupfs,
// devpts …) would let him show other programs, among them setuid ones, a
// /proc/PID of his making (CVE-2016-1572). Numbers from linux/magic.h and the
// file systems' own sources.
var mountable = []fsType{
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

// forbidden names file systems for the message only: whatever is not in
// mountable is refused, named here or not.
var forbidden = []fsType{
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
	{0x00009660, "iso9660"},
	{0x15013346, "udf"},
	{0xE0F5E1E2, "erofs"},
	{0x28CD3D45, "cramfs"},
	{0x01021997, "9p"},
}

// onFSType judges the file system under a mountpoint.
func onFSType(magic uint64) error {
	if _, ok := nameOf(magic, mountable); ok {
		return nil
	}
	name, known := nameOf(magic, forbidden)
	if !known {
		name = "unknown to this program"
	}
	return refuse(
		fmt.Sprintf("mounting over filesystem type 0x%08x is forbidden (%s)", magic, name),
		"choose a directory on an ordinary file system, such as one in your home directory")
}
