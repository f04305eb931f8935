package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/tools/vm/plan"
)

// inGuest is the layout of a guest.
var inGuest = place{
	programs: "/vm",
	helper:   "/vm/fusermount3",
	source:   "/src",
	scripts:  oldWays,
	env: []string{
		"PATH=/usr/sbin:/usr/bin", "HOME=/root", "TMPDIR=/tmp", "FUSERMOUNT_GUEST_MODULES=" + plan.Modules,
		"FUSERMOUNT_GUEST_MODPROBE_LOG=" + plan.ModprobeLog, "FUSERMOUNT_GUEST_APPARMOR=" + plan.AppArmor,
	},
}

// onGuest boots a kernel and runs the tests there.
func (s settings) onGuest(name string) (column, error) {
	img, err := s.image(name)
	if err != nil {
		return column{}, err
	}
	base := filepath.Join(s.dir, name)
	if err := img.write(base + ".initramfs"); err != nil {
		return column{}, err
	}
	version, err := os.ReadFile(filepath.Join(s.dir, "packages", name, "version"))
	if err != nil {
		return column{}, err
	}
	fmt.Printf("Linux %s: %s", name, version)
	start := time.Now()
	worked, bootErr := s.boot(name, base)
	text, err := os.ReadFile(base + ".results")
	if err != nil {
		return column{}, errors.Join(bootErr, err)
	}
	c, err := readRecords(s.dir, name, text)
	if bootErr != nil || err != nil {
		return column{}, errors.Join(bootErr, err, fmt.Errorf("see %s.console: %s", base, tail(base+".console")))
	}
	c.took, c.worked = time.Since(start), worked
	fmt.Println(c)
	return c, nil
}

// image makes the initramfs for a kernel.
func (s settings) image(name string) (image, error) {
	img := newImage()
	packages := filepath.Join(s.dir, "packages")
	img.link("usr/sbin/modprobe", "/init")
	img.file("etc/passwd", []byte("root:x:0:0:root:/root:/bin/sh\n"), 0o644)
	img.file("etc/group", []byte("root:x:0:\n"), 0o644)
	img.link("etc/mtab", "../proc/self/mounts")
	img.dir("src/tools/conformance")
	steps, err := json.Marshal(inGuest.steps(s.part))
	if err != nil {
		return nil, err
	}
	img.file(plan.Path[1:], steps, 0o644)
	for to, from := range map[string]string{
		"init":                filepath.Join(s.dir, "bin/guest"),
		"vm/fusermount3":      s.helper,
		"vm/fusectl":          filepath.Join(filepath.Dir(s.helper), "fusectl"),
		"vm/fusermountd":      filepath.Join(filepath.Dir(s.helper), "fusermountd"),
		"src/testdata/script": "testdata/script",
		"src/packaging":       "packaging",
		plan.Modules[1:]:      filepath.Join(packages, name, "modules"),
		plan.AppArmor[1:]:     filepath.Join(packages, "apparmor/apparmor.d"),
		"vm":                  filepath.Join(s.dir, "bin/tests"),
	} {
		if err := img.copy(merged(to), from); err != nil {
			return nil, err
		}
	}
	return img, s.programs(img)
}

// executed are the programs that a script runs.
var executed = regexp.MustCompile(`(?m)^(?:\[[^]]*\] )?!? ?exec ([a-z0-9]+)`)

// programs takes what the scripts and the tests run.
func (s settings) programs(img image) error {
	names := []string{"sh", "mkdir", "mount", "umount", "losetup", "unshare", "nsenter", "setpriv", "strace", "chmod", "chown", "mknod", "rm"}
	scripts, err := filepath.Glob("testdata/script/*.txt")
	if err != nil || len(scripts) == 0 {
		return errors.Join(errors.New("no scripts"), err)
	}
	for _, script := range scripts {
		text, err := os.ReadFile(script)
		if err != nil {
			return err
		}
		for _, m := range executed.FindAllSubmatch(text, -1) {
			names = append(names, string(m[1]))
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if err := img.program(name); err != nil {
			return err
		}
	}
	return img.binary("/usr/sbin/apparmor_parser", filepath.Join(s.dir, "packages/apparmor/apparmor_parser"))
}

// boot runs a guest to its end. qemu also reports success when the kernel panicked, so
// only the last record of the results counts.
func (s settings) boot(name, base string) (worked time.Duration, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	// The tests of this machine's own kernel run at the same time, and come first.
	cmd := exec.CommandContext(ctx, "nice", "-n", "10", "qemu-system-x86_64", "-accel", "tcg", "-M", "pc", "-m", "512",
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-serial", "file:"+base+".console", "-serial", "file:"+base+".results",
		"-kernel", filepath.Join(s.dir, "packages", name, "vmlinuz"), "-initrd", base+".initramfs",
		"-append", "console=ttyS0 panic=-1 quiet loglevel=4")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	out, err := cmd.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return 0, fmt.Errorf("the guest did not end in %v", s.timeout)
	case err != nil:
		return 0, fmt.Errorf("qemu: %w: %s", err, out)
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}

// tail returns the end of a file, for a message.
func tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	return "\n" + string(bytes.Join(lines[max(0, len(lines)-30):], nil))
}
