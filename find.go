package fusermount

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/secure"
)

const (
	helperVariable     = "FUSERMOUNT_PROG"
	commVariable       = "_FUSE_COMMFD"
	processorsVariable = "GOMAXPROCS"
)

// helperNames are what helpers are called, the newer first.
var helperNames = []string{"fusermount3", "fusermount"}

// helperDirs are looked through when PATH has no helper, as in a service.
var helperDirs = []string{"/run/wrappers/bin", "/usr/local/bin", "/usr/bin", "/bin"}

// FindHelper gives the helper that Mount and Unmount run when none is named:
//
//  1. the program in $FUSERMOUNT_PROG, if that is set; a bare name is looked up
//     in PATH,
//  2. fusermount3 in the directories of PATH, then fusermount there,
//  3. the same two in /run/wrappers/bin (NixOS), /usr/local/bin, /usr/bin, /bin.
//
// A program named by 1 has to exist: no other takes its place. Directories of
// PATH that are not absolute are left out, and so is all of 1 and 2 in a program
// that runs with more rights than its caller has (setuid, file capabilities). The
// error is a [*HelperNotFoundError]; fs.ErrPermission, too, if one was there that
// may not be executed.
func FindHelper() (string, error) { return searchHelper(context.Background()) }

func searchHelper(ctx context.Context) (string, error) {
	var path []string
	if !privilegedByExec() {
		path = searchPath()
		if named := os.Getenv(helperVariable); named != "" {
			return findNamed(ctx, named, path)
		}
	}
	var all []string
	for _, name := range helperNames {
		all = append(all, inAll(path, name)...)
	}
	for _, dir := range helperDirs {
		all = append(all, inAll([]string{dir}, helperNames...)...)
	}
	return firstOf(ctx, all)
}

// findHelper is FindHelper for a caller who may have named one. The name is the
// program's own wish, PATH is not, where somebody else has set it: whoever runs a
// setuid program must not choose what that runs.
func findHelper(ctx context.Context, named string) (string, error) {
	switch {
	case named == "":
		return searchHelper(ctx)
	case privilegedByExec():
		return findNamed(ctx, named, helperDirs)
	}
	return findNamed(ctx, named, searchPath())
}

func findNamed(ctx context.Context, named string, path []string) (string, error) {
	if strings.ContainsRune(named, '/') || len(path) == 0 {
		return firstOf(ctx, []string{named})
	}
	return firstOf(ctx, inAll(path, named))
}

func inAll(dirs []string, names ...string) (files []string) {
	for _, dir := range dirs {
		for _, name := range names {
			files = append(files, filepath.Join(dir, name))
		}
	}
	return files
}

// firstOf looks on another thread, without the ids of the caller's, where a
// directory of PATH may have to be asked for: who may execute a helper is a
// lesser matter than a daemon that hangs.
func firstOf(ctx context.Context, files []string) (string, error) {
	notFound := &HelperNotFoundError{Searched: files}
	for _, file := range files {
		// It has a slash: no search, only the checks.
		_, err := lookUp(ctx, file, func() (string, error) { return exec.LookPath(file) })
		if err == nil {
			return file, nil
		}
		if err := whyEnded(ctx); err != nil {
			return "", err
		}
		if errors.Is(err, fs.ErrPermission) && notFound.denied == "" {
			notFound.denied = file
		}
	}
	return "", notFound
}

// searchPath gives the absolute directories of PATH: a helper in whatever
// directory one happens to be in is nobody's wish.
func searchPath() (dirs []string) {
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if filepath.IsAbs(dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// privilegedByExec says whether the environment is somebody else's: of a caller
// who has fewer rights than this program. The ids tell what has changed since.
func privilegedByExec() bool {
	return unix.Getuid() != unix.Geteuid() || unix.Getgid() != unix.Getegid() || secure.Execution()
}

// helperEnvironment is the environment that a helper gets: this process's, since
// wrappers need it, with the number of its socket. This module's helper does one thing
// after the other: where it takes settings of the Go runtime from its caller, without
// rights of its own, it starts faster on one processor, and needs less memory when it
// stays.
func helperEnvironment() []string {
	env := make([]string, 0, 64)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, commVariable) && !strings.HasPrefix(v, processorsVariable+"=") { // _FUSE_COMMFD2, too
			env = append(env, v)
		}
	}
	return append(env, processorsVariable+"=1", commVariable+"=3")
}
