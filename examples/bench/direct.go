package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount"
)

// direct times a mount without a helper.
func direct(dir string, runs int) error {
	ctx := context.Background()
	ours := &contestant{round: func() (mount, unmount time.Duration, err error) {
		start := time.Now()
		m, err := fusermount.Mount(ctx, dir, &fusermount.Options{Method: fusermount.MethodDirect, Subtype: "bench"})
		mount = time.Since(start)
		if err != nil {
			return 0, 0, err
		}
		start = time.Now()
		err = m.Unmount(ctx, nil)
		return mount, time.Since(start), errors.Join(err, m.Close())
	}}
	bare := &contestant{round: func() (mount, unmount time.Duration, err error) {
		start := time.Now()
		device, err := bareMount(dir)
		mount = time.Since(start)
		if err != nil {
			return 0, 0, err
		}
		start = time.Now()
		err = unix.Unmount(dir, unix.UMOUNT_NOFOLLOW)
		return mount, time.Since(start), errors.Join(err, unix.Close(device))
	}}
	return compare("direct", "syscalls", runs, ours, bare)
}

// bareMount makes the system calls that a mount takes.
func bareMount(dir string) (device int, err error) {
	device, err = unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	context, err := unix.Fsopen("fuse", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, err
	}
	for _, p := range [][2]string{
		{"source", "bench"},
		{"subtype", "bench"},
		{"fd", fmt.Sprint(device)},
		{"rootmode", "40000"},
		{"user_id", "0"},
		{"group_id", "0"},
	} {
		if err := unix.FsconfigSetString(context, p[0], p[1]); err != nil {
			return -1, err
		}
	}
	if err := unix.FsconfigCreate(context); err != nil {
		return -1, err
	}
	mount, err := unix.Fsmount(context, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)
	if err != nil {
		return -1, err
	}
	err = unix.MoveMount(mount, "", unix.AT_FDCWD, dir, unix.MOVE_MOUNT_F_EMPTY_PATH)
	return device, errors.Join(err, unix.Close(mount), unix.Close(context))
}
