package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

func TestMain(m *testing.M) { os.Exit(fusetest.RunTests(m)) }

func TestDemo(t *testing.T) {
	fusetest.NeedDevice(t)
	helper := os.Getenv("FUSERMOUNT_HELPER")
	if helper == "" {
		fusetest.Skip(t, "set FUSERMOUNT_HELPER to the helper: 'make test' does")
	}
	if err := demo(helper, os.Getenv("FUSERMOUNT_FUSECTL"), filepath.Join(filepath.Dir(helper), "fusermountd")); err != nil {
		t.Error(err)
	}
	if err := demo("/nonexistent", "", ""); err == nil {
		t.Error("a demo without a helper succeeds")
	}
}

// What would help depends on what is missing: root is not told to become root.
func TestNoNamespace(t *testing.T) {
	for _, c := range []struct {
		root, sysAdmin, chroot bool
		want                   string
	}{
		{want: "user namespaces"},
		{root: true, want: "lacks CAP_SYS_ADMIN"},
		{root: true, sysAdmin: true, want: "the reason stands above"},
		{root: true, sysAdmin: true, chroot: true, want: "this is a chroot"},
		{chroot: true, want: "this is a chroot"},
	} {
		got := noNamespace(c.root, c.sysAdmin, c.chroot)
		if !strings.Contains(got, c.want) || c.root && strings.Contains(got, asRoot) {
			t.Errorf("%+v: %s", c, got)
		}
	}
}
