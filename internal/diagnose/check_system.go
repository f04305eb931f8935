package diagnose

import (
	"fmt"
	"strings"
)

func checkDevice(d Device) (found []Finding) {
	const module, device = "module", "device"
	loadable := d.Absent && !d.Known && d.Module != "" && !d.Locked
	switch {
	case loadable:
		found = append(found, warn(device, d.Problem.Text, "it comes with the module, which is loaded when somebody mounts"))
	case d.Problem != nil:
		found = append(found, fail(device, d.Problem.Text, d.Problem.Next))
	case d.Wrong:
		found = append(found, fail(device, notFuse(d.Path), makeDevice(d.Path)))
	default:
		found = append(found, ok(device, d.Path+" opens for you"))
	}
	switch {
	case d.Known:
		return append(found, ok(module, "the kernel has FUSE"))
	case loadable:
		return append(found, warn(module, "fuse is not loaded; "+d.Module+" is there", "as root, if it does not load by itself: modprobe fuse"))
	case d.Locked:
		return append(found, fail(module, "fuse is not loaded, and this kernel loads no modules any more (kernel.modules_disabled)",
			"have fuse loaded early, by /etc/modules-load.d, and start the machine again"))
	case d.Module != "":
		return append(found, warn(module, "fuse is not loaded; "+d.Module+" is there", "as root: modprobe fuse"))
	}
	return append(found, fail(module, "this kernel has no FUSE, and no module for it is installed",
		"install the package with the modules of this very kernel, or boot another one"))
}

func notFuse(path string) string { return path + " is not the fuse device" }

func makeDevice(path string) string {
	return "as root: rm " + shellWord(path) + ", then mknod -m 666 " + shellWord(path) + " c 10 229"
}

// WrongDevice says, in one line, what to do about a device that is another one.
func WrongDevice(path string) string { return notFuse(path) + "; " + makeDevice(path) }

func checkProgram(p Program, uid uint32) (found []Finding) {
	const program, privilege = "program", "privilege"
	switch {
	case p.Path == "":
		found = append(found, warn(program, "its own file cannot be examined", ""))
	case p.Setuid && p.Owner == 0:
		found = append(found, ok(program, p.Path+" is root's and has the setuid bit"))
	case p.Capability:
		found = append(found, ok(program, p.Path+" has the file capability; it writes no tables of user space"))
	case p.Privileged:
		found = append(found, ok(program, p.Path+" lends no rights, and you need none"))
	case p.Setuid:
		found = append(found, fail(program, fmt.Sprintf("%s has the setuid bit, but its owner is uid %d here", p.Path, p.Owner),
			"as root: chown root and chmod u+s it; in a user namespace, call it outside"))
	default:
		found = append(found, fail(program, p.Path+" has neither the setuid bit nor the file capability",
			"as root: chown root and chmod u+s it, or setcap cap_sys_admin+ep it"))
	}
	if p.Privileged {
		how := "CAP_SYS_ADMIN came from the program's file"
		if uid == 0 {
			how = "you have CAP_SYS_ADMIN"
		}
		return append(found, ok(privilege, how))
	}
	if p.NoSuid {
		found = append(found, fail(program, "it lies on a file system mounted nosuid", "install it elsewhere, or "+remount(p.Under)))
	}
	if p.NoNewPrivs {
		found = append(found, fail(privilege, "no_new_privs is set",
			"call it outside of this sandbox, or start the container or unit without no-new-privileges (NoNewPrivileges=)"))
	}
	return append(found, fail(privilege, "CAP_SYS_ADMIN is not there", p.Missing))
}

func remount(mountpoint string) string {
	if mountpoint == "" {
		return "have it mounted suid"
	}
	return "as root: mount -o remount,suid " + shellWord(mountpoint)
}

func checkAround(a Around) (found []Finding) {
	const namespace = "namespace"
	switch {
	case a.OuterMounts:
		found = append(found, fail(namespace, "you are in a user namespace (uid_map "+a.IDs+"), and the mounts belong to an outer one",
			"make a mount namespace, too: unshare -Urm"))
	case !a.InitialUser:
		found = append(found, ok(namespace, "a user namespace (uid_map "+a.IDs+")"))
	default:
		found = append(found, ok(namespace, "the first user namespace"))
	}
	if a.Container != "" {
		found = append(found, ok("container", "it seems that this is one ("+a.Container+")"))
	}
	if a.Filters > 0 {
		found = append(found, warn("seccomp", fmt.Sprintf("%d filters of a sandbox hold for this process", a.Filters),
			"if mounting fails with 'Operation not permitted', allow mount, fsopen, fsmount and move_mount there"))
	}
	switch a.Mode {
	case "":
	case "enforce", "kill":
		found = append(found, warn("apparmor", "the profile '"+a.Profile+"' confines this program ("+a.Mode+")", ProfileHelps(a.Profile)))
	default:
		found = append(found, ok("apparmor", "the profile '"+a.Profile+"' ("+a.Mode+")"))
	}
	return found
}

// ProfileHelps says what to do where a profile of AppArmor forbids a mount.
func ProfileHelps(profile string) string {
	// A profile that is named after its program has the path with dots as its file.
	profile = strings.ReplaceAll(strings.TrimPrefix(profile, "/"), "/", ".")
	return "if mounting fails with 'Permission denied', allow the place in /etc/apparmor.d/local/" + profile +
		", and as root: apparmor_parser -r /etc/apparmor.d/" + profile
}

func checkKernel(a Around) []Finding {
	words := []string{Absent: "no", Present: "yes", Forbidden: "forbidden", Unasked: "unknown"}
	features := fmt.Sprintf("Linux %s; new mount API: %s, statmount: %s, sync-init: %s",
		a.Release, words[a.NewMount], words[a.Statmount], words[a.SyncInit])
	way := "mounts are made with the new mount API, or with mount(2) where that is refused"
	if a.NewMount != Present {
		way = "mounts are made with mount(2)"
	}
	return []Finding{ok("kernel", features), ok("way", way)}
}
