package diagnose

import (
	"fmt"
	"strings"

	"github.com/go-fusermount/fusermount/internal/apparmor"
	"github.com/go-fusermount/fusermount/internal/fuseconf"
	"github.com/go-fusermount/fusermount/internal/printable"
)

func checkDevice(d Device) []Finding {
	const module, device = "module", "device"
	var opens, loaded Finding
	switch {
	case d.loadable():
		opens = warn(device, d.Problem.Text, "it comes with the module, which is loaded at the first mount")
	case d.Problem != nil:
		opens = fail(device, d.Problem.Text, d.Problem.Next)
	case d.Wrong != nil:
		opens = fail(device, d.Wrong.Text, d.Wrong.Next)
	default:
		opens = ok(device, d.Path+" opens for you")
	}
	switch {
	case d.KnownErr != "":
		loaded = unknown(module, "whether the kernel has FUSE: "+d.KnownErr)
	case d.Known:
		loaded = ok(module, "the kernel has FUSE")
	case d.loadable():
		loaded = warn(module, "fuse is not loaded; "+d.Module+" is there", "as root, if it does not load by itself: modprobe fuse")
	case d.Locked:
		loaded = fail(module, "fuse is not loaded, and this kernel loads no modules any more (kernel.modules_disabled)",
			"have fuse loaded early, by /etc/modules-load.d, and start the machine again")
	case d.Module != "":
		loaded = warn(module, "fuse is not loaded; "+d.Module+" is there", "as root: modprobe fuse")
	default:
		loaded = fail(module, "this kernel has no FUSE, and no module for it is installed",
			"install the package with the modules of this kernel version, or boot another one")
	}
	return []Finding{opens, loaded}
}

// checkService adds the mount service to what the caller has to mount with. Where it answers, what
// they lack is no problem.
func checkService(s Service, means []Finding) []Finding {
	const subject = "service"
	switch {
	case s.Answers:
		for i, f := range means {
			if f.Level != Fail {
				continue
			}
			next := "the mount service does not need that"
			if f.Subject == "device" {
				next += "; libfuse does not even try without a file there, and an empty one is enough"
			}
			means[i] = note(f.Subject, f.Text, next)
		}
		return append(means, ok(subject, "the mount service answers at "+s.Path+", for programs without rights"))
	case s.Error != "":
		return append(means, warn(subject, "the mount service does not answer: "+s.Error, "as root: systemctl status fusermountd.socket fusermountd.service"))
	case Failed(means):
		return append(means, note(subject, "no mount service is there ("+s.Path+")",
			"it mounts for containers and sandboxes: start fusermountd outside, and give them "+s.Path))
	}
	return means
}

// checkProgram judges the helper, which root does not need.
func checkProgram(p Program, process Process, s System) Finding {
	const subject = "program"
	found := helperFinding(p, s)
	if found.Level == Fail && process.Admin {
		return note(subject, found.Text, "root can mount without it; others cannot: "+found.Next)
	}
	return found
}

func helperFinding(p Program, s System) Finding {
	const subject = "program"
	word := printable.ShellWord(p.Path)
	privilege := "as root: chown root " + word + " && chmod u+s " + word + ", or setcap cap_sys_admin+ep " + word
	switch {
	case p.Problem != nil:
		return fail(subject, p.Problem.Text, p.Problem.Next)
	case (p.Setuid || p.Capability) && p.NoSuid:
		remount := "have that mounted suid"
		if p.Under != "" {
			remount = "as root: mount -o remount,suid " + printable.ShellWord(p.Under)
		}
		return fail(subject, p.Path+" lies on a file system that is mounted nosuid, which takes its rights away", "install it elsewhere, or "+remount)
	case p.Setuid && p.Owner == 0:
		return ok(subject, p.Path+" is owned by root and set-user-ID")
	case p.Capability:
		return ok(subject, p.Path+" has the file capability CAP_SYS_ADMIN; it writes neither /run/mount/utab nor /etc/mtab")
	case p.Setuid && !s.InitialUser:
		return fail(subject, fmt.Sprintf("%s is set-user-ID, but its owner is user %d in this user namespace", p.Path, p.Owner),
			"mount as root of this namespace, or outside of it")
	case p.Setuid:
		return fail(subject, fmt.Sprintf("%s is set-user-ID, but its owner is user %d", p.Path, p.Owner), privilege)
	}
	return fail(subject, p.Path+" is neither set-user-ID nor has the file capability CAP_SYS_ADMIN", privilege)
}

// checkPrivilege judges what would take the helper's rights away.
func checkPrivilege(uid uint32, p Process) Finding {
	const subject = "privilege"
	switch {
	case p.Admin:
		return ok(subject, "you have CAP_SYS_ADMIN")
	case p.Bounded:
		return fail(subject, "the capability bounding set lacks CAP_SYS_ADMIN, so that no program can get it",
			"start the container with it (--cap-add SYS_ADMIN --device /dev/fuse), or the unit with it in CapabilityBoundingSet=")
	case p.NoNewPrivs:
		return fail(subject, "no_new_privs is set, so that no program gets more rights than you have",
			"leave this sandbox, or start the container or unit without it (no-new-privileges, NoNewPrivileges=)")
	case p.Unknown != "":
		return unknown(subject, "whether this program is traced: "+p.Unknown)
	case p.Tracer.PID != 0:
		return warn(subject, "this program is traced by "+some([]Holder{p.Tracer})+"; a traced program gets no rights",
			"if mounting fails with 'Operation not permitted', do not trace it, or trace it as root")
	case uid == 0:
		return note(subject, "you are root without CAP_SYS_ADMIN; the program's own rights have to do", "start the container with --cap-add SYS_ADMIN")
	}
	return ok(subject, "a program that you start gets the rights of its file")
}

// helperTasks are the tasks that the helper needs: the threads of the Go runtime, which makes
// one more while a call takes long. Below enoughTasks a second helper may fail, or the daemon.
const (
	helperTasks = 3
	enoughTasks = 10
)

func checkSystem(s System, p Process) (found []Finding) {
	const namespace = "namespace"
	switch {
	case s.Unknown != "":
		found = append(found, unknown(namespace, "whether you are in a user namespace: "+s.Unknown))
	case s.OuterMounts:
		found = append(found, fail(namespace, "you are in a user namespace (uid_map "+s.IDs+"), and the mounts belong to an outer one",
			"make a mount namespace as well: unshare -Urm"))
	case !s.InitialUser:
		found = append(found, ok(namespace, "a user namespace with mounts of its own (uid_map "+s.IDs+"), as in a container"))
	default:
		found = append(found, ok(namespace, "the user ids of the whole system"))
	}
	if s.Container != "" {
		found = append(found, ok("container", "this seems to be one ("+s.Container+")"))
	}
	if t := p.Tasks; t.Limit != "" && t.Left < enoughTasks {
		found = append(found, warn("processes", fmt.Sprintf("%d more processes and threads may run here (%s)", t.Left, t.Limit),
			fmt.Sprintf("fusermount3 needs %d, sometimes %d, and keeps them with auto_unmount: raise that limit", helperTasks, helperTasks+1)))
	}
	if p.Filters > 0 {
		found = append(found, warn("seccomp", fmt.Sprintf("a sandbox forbids system calls (seccomp filters: %d)", p.Filters),
			"if mounting fails with 'Operation not permitted', allow mount, fsopen, fsmount and move_mount there"))
	}
	switch p.Mode {
	case "":
	case "enforce", "kill":
		found = append(found, warn("apparmor", "the profile '"+p.Profile+"' confines this process ("+p.Mode+")", apparmor.Help(p.Profile)))
	default:
		found = append(found, ok("apparmor", "the profile '"+p.Profile+"' ("+p.Mode+")"))
	}
	return found
}

// checkConf gives the lines of the file one finding, at the level of the worst.
func checkConf(c Conf, uid uint32) []Finding {
	const subject = "fuse.conf"
	if c.Problem != nil && c.Fatal {
		return []Finding{fail(subject, c.Problem.Text, c.Problem.Next)}
	}
	var texts, wrong []string
	commented := 0
	for _, line := range c.Lines {
		where := fmt.Sprintf("line %d: ", line.Number)
		switch {
		case len(line.Warnings) > 0:
			wrong = append(wrong, where+strings.Join(line.Warnings, ", "))
			texts = append(texts, where+line.Text)
		case line.Text != "":
			texts = append(texts, where+line.Text)
		case line.Comment == "user_allow_other":
			commented = line.Number
		}
	}
	var conf Finding
	switch {
	case c.Problem != nil:
		conf = warn(subject, c.Problem.Text+"; the defaults hold", c.Problem.Next)
	case c.Absent:
		conf = ok(subject, fuseconf.Path+" is absent: the defaults hold")
	case len(wrong) > 0:
		conf = warn(subject, strings.Join(texts, "; "), strings.Join(wrong, "; "))
	case len(texts) > 0:
		conf = ok(subject, strings.Join(texts, "; "))
	default:
		conf = ok(subject, fuseconf.Path+" sets nothing: the defaults hold")
	}
	return []Finding{conf, checkAllowOther(c, uid, commented)}
}

func checkAllowOther(c Conf, uid uint32, commented int) Finding {
	const subject = "allow_other"
	f := note(subject, "not for you: a mount with allow_other or allow_root is refused", "")
	switch {
	case uid == 0:
		return ok(subject, "root may always use it")
	case c.Settings.UserAllowOther:
		return ok(subject, "you may let other users into your mounts")
	case c.Allows:
		f.Next = "the administrator can make " + fuseconf.Path + " owned by root, and writable for root alone: it has the line user_allow_other already"
	case c.Problem != nil:
		f.Next = "the administrator can make " + fuseconf.Path + " readable (chmod 0644), with the line user_allow_other in it"
	case commented > 0:
		f.Next = fmt.Sprintf("the administrator can take the # off line %d of %s", commented, fuseconf.Path)
	default:
		f.Next = "the administrator can add the line user_allow_other to " + fuseconf.Path
	}
	return f
}

// checkCount judges how many file systems are mounted.
func checkCount(f Facts) []Finding {
	const subject = "mount_max"
	n, limit := len(f.Mounts), f.Conf.Settings.MountMax
	used := fmt.Sprintf("%d FUSE file systems are mounted, and %d may be", n, limit)
	next := "unmount what nobody needs ('fusectl list'), or have mount_max raised in " + fuseconf.Path
	switch {
	case f.Conf.Fatal:
		return nil
	case f.MountsUnknown != "":
		return []Finding{unknown(subject, "how many FUSE file systems are mounted: "+f.MountsUnknown)}
	case f.UID == 0 || limit == fuseconf.NoLimit:
		return []Finding{ok(subject, fmt.Sprintf("%d FUSE file systems are mounted, and there is no limit for you", n))}
	case n >= limit:
		return []Finding{fail(subject, used, next)}
	case n >= limit-limit/10:
		return []Finding{warn(subject, used, next)}
	}
	return []Finding{ok(subject, used)}
}

func checkKernel(s System) Finding {
	words := []string{Absent: "no", Present: "yes", Forbidden: "forbidden", Unasked: "unknown"}
	return ok("kernel", fmt.Sprintf("Linux %s; new mount calls (fsopen): %s, statmount: %s, sync-init: %s",
		s.release(), words[s.NewMount], words[s.Statmount], words[s.SyncInit]))
}
