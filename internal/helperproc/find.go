//go:build linux

package helperproc

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/cancelable"
	"github.com/go-fusermount/fusermount/internal/fuseerr"
	"github.com/go-fusermount/fusermount/internal/secure"
)

const programVariable = "FUSERMOUNT_PROG"

// names are the names of helpers, the newer first.
var names = []string{"fusermount3", "fusermount"}

// systemDirs are searched when PATH has no helper, as in a service.
var systemDirs = []string{"/run/wrappers/bin", "/usr/local/bin", "/usr/bin", "/bin"}

// NotFoundError says where a helper was searched for.
type NotFoundError struct {
	Searched []string
	Denied   string // the first of them that may not be executed
}

func (e *NotFoundError) Error() string { return fuseerr.ErrHelperNotFound.Error() }

// Find returns the helper that the caller has named; without a name the one of the
// environment, the first one of PATH, or the first one of the system's directories. The
// error is a *NotFoundError or that of the context.
//
// In a program that runs with more rights than its caller has, PATH and the environment
// are the caller's, and count for nothing: the caller of a set-uid program must not
// choose what that runs.
func Find(ctx context.Context, named string) (string, error) {
	var path []string
	privileged := privilegedByExec()
	if !privileged {
		path = searchPath()
	}
	if named == "" && !privileged {
		named = os.Getenv(programVariable)
	}
	if named != "" {
		dirs := path
		if privileged {
			dirs = systemDirs
		}
		if strings.ContainsRune(named, '/') || len(dirs) == 0 {
			return firstOf(ctx, []string{named})
		}
		return firstOf(ctx, inAll(dirs, named))
	}
	var all []string
	for _, name := range names {
		all = append(all, inAll(path, name)...)
	}
	for _, dir := range systemDirs {
		all = append(all, inAll([]string{dir}, names...)...)
	}
	return firstOf(ctx, all)
}

func inAll(dirs []string, names ...string) (files []string) {
	for _, dir := range dirs {
		for _, name := range names {
			files = append(files, filepath.Join(dir, name))
		}
	}
	return files
}

// firstOf returns the first file that can be executed. Where a lookup may wait for a
// daemon it is made by another thread, which may have other ids than the caller's: that
// is less bad than to hang.
func firstOf(ctx context.Context, files []string) (string, error) {
	notFound := &NotFoundError{Searched: files}
	for _, file := range files {
		_, err := cancelable.Lookup(ctx, file, func() (struct{}, error) { return struct{}{}, executable(file) })
		if err == nil {
			return file, nil
		}
		if err := fuseerr.Context(ctx); err != nil {
			return "", err
		}
		if errors.Is(err, fs.ErrPermission) && notFound.Denied == "" {
			notFound.Denied = file
		}
	}
	return "", notFound
}

// executable returns an error of fs.ErrPermission only for a file that exists: nothing is
// known of one in a directory that may not be searched.
func executable(file string) error {
	_, err := exec.LookPath(file) // it has a slash, so this only checks it
	if errors.Is(err, fs.ErrPermission) {
		if _, err := os.Stat(file); err != nil {
			return fs.ErrNotExist
		}
	}
	return err
}

// searchPath returns the absolute directories of PATH. A helper must not depend on the
// current directory.
func searchPath() (dirs []string) {
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if filepath.IsAbs(dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// privilegedByExec reports whether this program has more rights than its caller, whose
// environment it has. The ids tell what has changed since it started.
func privilegedByExec() bool {
	return unix.Getuid() != unix.Geteuid() || unix.Getgid() != unix.Getegid() || secure.Execution()
}
