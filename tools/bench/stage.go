package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

const user = 4242

// setUp makes a directory with a mountpoint of the user's.
func setUp() (stage string, err error) {
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return "", fmt.Errorf("make mounts private: %w", err)
	}
	stage = "/mnt"
	if err := unix.Mount("bench", stage, "tmpfs", 0, "mode=0755"); err != nil {
		return "", fmt.Errorf("mount tmpfs: %w", err)
	}
	node := filepath.Join(stage, "fuse")
	if err := unix.Mknod(node, unix.S_IFCHR|0o666, int(unix.Mkdev(10, 229))); err != nil {
		return "", fmt.Errorf("mknod: %w", err)
	}
	if err := os.Chmod(node, 0o666); err != nil {
		return "", err
	}
	if err := unix.Mount(node, "/dev/fuse", "", unix.MS_BIND, ""); err != nil {
		return "", fmt.Errorf("bind /dev/fuse: %w", err)
	}
	mountpoint := filepath.Join(stage, "mnt")
	if err := os.Mkdir(mountpoint, 0o755); err != nil {
		return "", err
	}
	// The C helper asks the user database for a name.
	passwd := filepath.Join(stage, "passwd")
	text, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return "", err
	}
	text = append(text, fmt.Sprintf("bench:x:%d:%d::/:/bin/sh\n", user, user)...)
	if err := os.WriteFile(passwd, text, 0o644); err != nil {
		return "", err
	}
	if err := unix.Mount(passwd, "/etc/passwd", "", unix.MS_BIND, ""); err != nil {
		return "", err
	}
	return stage, os.Chown(mountpoint, user, user)
}

// install copies a program and makes the copy setuid root.
func install(from, to string) (path string, err error) {
	text, err := os.ReadFile(from)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(to, text, 0o755); err != nil {
		return "", err
	}
	return to, os.Chmod(to, 0o755|os.ModeSetuid)
}

// fill makes other mounts, of a file system that is not FUSE.
func fill(stage string, n int) error {
	for i := range n {
		dir := filepath.Join(stage, "crowd", strconv.Itoa(i))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount("crowd", dir, "tmpfs", 0, "size=4k"); err != nil {
			return err
		}
	}
	return nil
}
