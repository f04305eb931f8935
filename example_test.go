//go:build linux

package fusermount_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount"
)

// serveFUSE stands for a FUSE library: it answers the kernel's requests until a
// read of the device gives ENODEV.
func serveFUSE(device *os.File) error {
	buf := make([]byte, 1<<17)
	for {
		if _, err := device.Read(buf); errors.Is(err, unix.ENODEV) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func ExampleMount() {
	ctx := context.Background()
	m, err := fusermount.Mount(ctx, "/home/u/mnt", &fusermount.Options{
		FSName:   "server:/dir", // the source in mount(8)'s list
		Subtype:  "demo",        // the type there: fuse.demo
		ReadOnly: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	if err := serveFUSE(m.File()); err != nil { // until it is unmounted
		log.Print(err)
	}
}

// The caller may want to know more than that it failed.
func ExampleError() {
	_, err := fusermount.Mount(context.Background(), "/home/u/mnt", &fusermount.Options{
		Helper: "/nonexistent/fusermount3",
		Method: fusermount.MethodHelper,
	})
	fmt.Println(err)
	var notFound *fusermount.HelperNotFoundError
	switch {
	case errors.Is(err, fusermount.ErrAllowOther):
		fmt.Println("ask the administrator for user_allow_other")
	case errors.As(err, &notFound):
		fmt.Println("install fuse3; it was looked for as", notFound.Searched)
	}
	// Output:
	// mount /home/u/mnt: no fusermount3 found (looked for /nonexistent/fusermount3)
	// install fuse3; it was looked for as [/nonexistent/fusermount3]
}

// Unmounting a path that is no FUSE mount.
func ExampleUnmount() {
	err := fusermount.Unmount(context.Background(), "/proc", nil)
	fmt.Println(errors.Is(err, fusermount.ErrNotMounted))
	fmt.Println(err)
	// Output:
	// true
	// unmount /proc: what is mounted there is of type proc, not FUSE
}

// A daemon that is asked to end waits a while for processes that still use its
// files, and then detaches the mount.
func ExampleMounted_Unmount() {
	m, err := fusermount.Mount(context.Background(), "/home/u/mnt", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err = m.Unmount(ctx, &fusermount.UnmountOptions{Policy: fusermount.UnmountRetry})
	if errors.Is(err, unix.EBUSY) {
		err = m.Unmount(context.Background(), &fusermount.UnmountOptions{Policy: fusermount.UnmountLazy})
	}
	if err != nil && !errors.Is(err, fusermount.ErrNotMounted) { // another process may have been faster
		log.Print(err)
	}
}

// A library that takes over the number of a descriptor, as hanwen/go-fuse and
// jacobsa/fuse do with the mountpoint "/dev/fd/N", gets one of its own.
func ExampleMounted_File() {
	m, err := fusermount.Mount(context.Background(), "/home/u/mnt", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	fd, err := unix.FcntlInt(m.File().Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		log.Fatal(err)
	}
	mountpoint := fmt.Sprintf("/dev/fd/%d", fd)
	fmt.Println(mountpoint) // fuse.NewServer(fs, mountpoint, …) owns fd from here on
}

// The kernel asks the daemon first, and mounts when it has answered: who finds
// the mount finds it at work.
func ExampleOptions_syncInit() {
	m, err := fusermount.Mount(context.Background(), "/home/u/mnt", &fusermount.Options{
		SyncInit: func(device *os.File) (stop func(), err error) {
			served := make(chan struct{})
			go func() {
				defer close(served)
				if err := serveFUSE(device); err != nil {
					log.Print(err)
				}
			}()
			return func() { <-served }, nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	if !m.Info().SyncInit {
		log.Print("this kernel or helper mounts first and asks then")
	}
	<-m.Done()
}

func ExampleDaemons() {
	list, err := fusermount.List()
	if err != nil {
		log.Fatal(err)
	}
	daemons, err := fusermount.Daemons(context.Background(), list...)
	if err != nil {
		log.Fatal(err)
	}
	for i, mount := range list {
		if daemons[i].State == fusermount.DaemonDead && mount.Owner == uint32(os.Getuid()) {
			if err := fusermount.Unmount(context.Background(), mount.Mountpoint, &fusermount.UnmountOptions{Policy: fusermount.UnmountLazy}); err != nil {
				log.Print(err)
			}
		}
	}
}
