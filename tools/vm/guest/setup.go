package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// mountAll mounts what every Linux system has. The root is the kernel's own
// file system of the initramfs, which stays: nothing of a disk is there.
func mountAll() error {
	for _, m := range []struct{ fstype, dir, data string }{
		{"proc", "/proc", ""},
		{"sysfs", "/sys", ""},
		{"devtmpfs", "/dev", "mode=0755"},
		{"tmpfs", "/run", "mode=0755"},
		{"tmpfs", "/tmp", "mode=1777"},
		{"cgroup2", "/sys/fs/cgroup", ""},
		{"securityfs", "/sys/kernel/security", ""},
	} {
		if err := unix.Mount(m.fstype, m.dir, m.fstype, 0, m.data); err != nil {
			return fmt.Errorf("mount %s: %w", m.dir, err)
		}
	}
	// No refusal of a security module may get lost in the kernel's log.
	return os.WriteFile("/proc/sys/kernel/printk_ratelimit", []byte("0"), 0)
}

// openSerial opens a serial line that passes every byte on unchanged.
func openSerial(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	settings, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	settings.Oflag &^= unix.OPOST
	if err := unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, settings); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}
