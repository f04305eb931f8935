// Command demo shows the helper at its work: a user without any privilege
// gets a file system mounted, reads from it, and unmounts it.
//
// Everything happens in a mount namespace of its own, which ends with it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// somebody is an ordinary user; no name is needed.
const somebody = 4242

// asRoot keeps the PATH: sudo's own has no go.
const asRoot = `sudo env PATH="$PATH" make demo`

func main() {
	helper := flag.String("helper", "build/fusermount3", "the helper to show")
	flag.Parse()
	os.Exit(fusetest.Run(func() int {
		if err := demo(*helper); err != nil {
			fmt.Fprintln(os.Stderr, "demo:", err)
			return 1
		}
		return 0
	}))
}

// remedy says why the demo cannot run here, and what would help.
func remedy() string {
	if fusetest.Have() == fusetest.None {
		return "this system allows no user namespaces to ordinary users: run '" + asRoot + "'"
	}
	dev, err := fusetest.OpenDevice()
	if err != nil {
		return fmt.Sprintf("%v: run '%s', or open the device to everybody ('sudo chmod 0666 /dev/fuse')", err, asRoot)
	}
	if err := dev.Close(); err != nil {
		return err.Error()
	}
	return ""
}

func demo(helper string) (err error) {
	if why := remedy(); why != "" {
		return errors.New(why)
	}
	uid, mode, who := uint32(somebody), fusetest.Setuid, "the unprivileged user 4242, through the setuid helper"
	if fusetest.Have() != fusetest.Root {
		uid, mode, who = 0, fusetest.Plain, "you, in a user namespace of your own, where the helper needs no setuid bit"
	}
	program, remove, err := fusetest.Install(helper, mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	dir, removeDir, err := fusetest.MakeDir(uid)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeDir()) }()
	fmt.Printf("This is done by %s.\n\n", who)
	call := fusetest.Call{Prog: program, UID: uid, GID: uid, KeepRoot: uid == 0, Dir: "/"}
	return show(call, dir)
}

func show(call fusetest.Call, mountpoint string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()

	fmt.Println("1. Mount. A program that serves files calls:")
	call.Args = []string{"-o", "ro,fsname=demo,subtype=hello", "--", mountpoint}
	mount, err := run(ctx, call)
	if err != nil {
		return err
	}
	server := fusetest.Serve(mount.Dev, fusetest.Tree{Files: map[string][]byte{
		"hello.txt": []byte("Hello! This text is not on any disk: a program makes it up.\n"),
	}})
	line, found, err := fusetest.TopMount(mountpoint)
	if err != nil || !found {
		return errors.Join(errors.New("nothing is mounted"), err, server.Close())
	}
	fmt.Printf("   The kernel now lists it:\n     %s on %s type %s (%s)\n\n",
		line.Source, line.Mountpoint, line.FSType, line.Options)

	fmt.Println("2. Read a file, as the one who mounted:")
	if err := read(call.UID, filepath.Join(mountpoint, "hello.txt")); err != nil {
		return errors.Join(err, server.Close())
	}

	fmt.Println("3. Unmount:")
	call.Args, call.Socket = []string{"-u", mountpoint}, fusetest.NoSocket
	if _, err := run(ctx, call); err != nil {
		return errors.Join(err, server.Close())
	}
	<-server.Done()
	if _, found, err := fusetest.TopMount(mountpoint); err != nil || found {
		return errors.Join(errors.New("it is still mounted"), err)
	}
	fmt.Println("   It is gone, and the program that served it was told so.")
	return nil
}

func run(ctx context.Context, call fusetest.Call) (fusetest.Result, error) {
	fmt.Printf("     %s %s\n", filepath.Base(call.Prog), strings.Join(call.Args, " "))
	result := call.Run(ctx)
	if result.Err != nil {
		return result, result.Err
	}
	if result.Exit != 0 {
		return result, errors.New(strings.TrimSpace(result.Stderr))
	}
	if call.Socket != fusetest.NoSocket && result.Dev == nil {
		return result, errors.New("the helper sent no descriptor")
	}
	return result, nil
}

// read prints a file as the mount's owner: nobody else, not even root, may
// look into it.
func read(uid uint32, path string) error {
	return fusetest.AsUser(uid, uid, func() error {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fmt.Printf("     %s: %s\n", filepath.Base(path), text)
		return nil
	})
}
