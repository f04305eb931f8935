package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// container is a container of a pod, run by runc as the kubelet's runtime would: uid 1000, no
// capability, no_new_privs, a root directory that it cannot write to.
type container struct {
	name       string
	userNS     bool   // hostUsers: false
	volume     string // mounted at /run/fusermount
	script     string
	propagates bool // mountPropagation: HostToContainer
}

// firstID is the host's number of uid 0 in a container with a user namespace.
const firstID = 300000

// start starts the container, and ends it with the test.
func (c container) start(t *testing.T) *running {
	t.Helper()
	runc, err := exec.LookPath("runc")
	if err != nil {
		fusetest.Skip(t, "install runc, fuse3 and bindfs: 'make -C kubernetes test' does as root")
	}
	dir := fusetest.Dir(t, 0)
	root := filepath.Join(dir, "rootfs")
	for _, name := range []string{"usr", "proc", "dev", "tmp", "run/fusermount", "etc", "sys"} {
		helpertest.Must(t, os.MkdirAll(filepath.Join(root, name), 0o755))
	}
	for _, name := range []string{"bin", "lib", "lib64"} {
		helpertest.Must(t, os.Symlink("usr/"+name, filepath.Join(root, name)))
	}
	helpertest.Must(t, os.Chmod(filepath.Join(root, "tmp"), 0o777|os.ModeSticky)) // runc gives it to the tmpfs
	helpertest.Must(t, os.WriteFile(filepath.Join(root, "etc/passwd"), []byte("box:x:1000:1000::/tmp:/bin/sh\n"), 0o644))
	config, err := json.Marshal(c.spec())
	helpertest.Must(t, err, os.WriteFile(filepath.Join(dir, "config.json"), config, 0o644))

	r := &running{
		t: t, ended: make(chan error, 1), runc: runc, state: filepath.Join(dir, "runc"),
		id: fmt.Sprintf("fusermount-e2e-%d-%s", os.Getpid(), c.name),
	}
	cmd := exec.Command(runc, "--root", r.state, "run", "--bundle", dir, r.id)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &r.out, &r.out, fusetest.Patience
	helpertest.Must(t, cmd.Start())
	go func() { r.ended <- cmd.Wait() }()
	t.Cleanup(func() {
		r.kill()
		if t.Failed() {
			t.Logf("%s says: %s", c.name, r.out.String())
		}
	})
	return r
}

// spec is the container's configuration.
func (c container) spec() *specs.Spec {
	bind := func(to, from string, options ...string) specs.Mount {
		return specs.Mount{Destination: to, Type: "bind", Source: from, Options: append([]string{"rbind"}, options...)}
	}
	tmpfs := func(to string, options ...string) specs.Mount {
		return specs.Mount{Destination: to, Type: "tmpfs", Source: "tmpfs", Options: options}
	}
	propagation := "rprivate"
	if c.propagates {
		propagation = "rslave"
	}
	s := &specs.Spec{
		Version: specs.Version, Hostname: "pod", Root: &specs.Root{Path: "rootfs", Readonly: true},
		Process: &specs.Process{
			User: specs.User{UID: 1000, GID: 1000}, Cwd: "/", NoNewPrivileges: true, Args: []string{"/bin/sh", "-c", c.script},
			Capabilities: &specs.LinuxCapabilities{},
			Env:          []string{"PATH=/usr/bin:/bin", "HOME=/tmp"},
		},
		Mounts: []specs.Mount{
			bind("/usr", "/usr", "ro"),
			{Destination: "/proc", Type: "proc", Source: "proc"},
			tmpfs("/dev", "nosuid", "mode=755"), tmpfs("/tmp", "mode=1777"),
			bind("/dev/null", "/dev/null"),
			bind("/run/fusermount", c.volume, propagation, "rw"),
			// subPath, with the options of containerd
			bind("/usr/bin/fusermount3", filepath.Join(c.volume, "fusermount3"), "rprivate", "rw"),
			bind("/dev/fuse", filepath.Join(c.volume, "fuse"), "rprivate", "rw"),
		},
		Linux: &specs.Linux{
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.PIDNamespace},
				{Type: specs.IPCNamespace},
				{Type: specs.UTSNamespace},
				{Type: specs.MountNamespace},
				{Type: specs.NetworkNamespace},
			},
		},
	}
	if c.userNS {
		mapping := []specs.LinuxIDMapping{{ContainerID: 0, HostID: firstID, Size: 65536}}
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
		s.Linux.UIDMappings, s.Linux.GIDMappings = mapping, mapping
	}
	return s
}

// running is a container that was started.
type running struct {
	t               *testing.T
	runc, state, id string
	out             output
	ended           chan error
}

// output is what a process has written so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// wait wants the container's script to succeed, and gives what it has written.
func (r *running) wait() string {
	r.t.Helper()
	err := <-r.ended
	r.ended <- err
	if err != nil {
		r.t.Fatalf("%v\n%s", err, r.out.String())
	}
	return r.out.String()
}

// await waits until the container has written something.
func (r *running) await(text string) {
	r.t.Helper()
	for deadline := time.Now().Add(fusetest.Patience); !strings.Contains(r.out.String(), text); time.Sleep(time.Millisecond) {
		select {
		case err := <-r.ended:
			r.ended <- err
			r.t.Fatalf("it has ended: %v", err)
		default:
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%q is not said", text)
		}
	}
}

// kill kills all processes of the container, if there is one.
func (r *running) kill() {
	r.t.Helper()
	// Without the test's context, which may have ended.
	out, err := exec.CommandContext(context.Background(), r.runc, "--root", r.state, "delete", "--force", r.id).CombinedOutput()
	if err != nil && !strings.Contains(string(out), "does not exist") {
		r.t.Errorf("runc delete: %v, %s", err, out)
	}
	err = <-r.ended
	r.ended <- err
}

// useBindfs mounts by a program that knows nothing of all this, uses the mount, and unmounts it.
const useBindfs = `set -e
grep -q 'CapBnd:	0000000000000000' /proc/self/status
grep -q 'NoNewPrivs:	1' /proc/self/status
mkdir /tmp/src /tmp/mnt
echo before >/tmp/src/file
bindfs --no-allow-other /tmp/src /tmp/mnt
grep -q ' /tmp/mnt .* fuse' /proc/self/mountinfo
grep -q before /tmp/mnt/file
echo after >/tmp/mnt/file
grep -q after /tmp/src/file
[ "$(stat -c %u /tmp/mnt/file)" = 1000 ]
fusermount3 -u /tmp/mnt
! grep -q ' /tmp/mnt ' /proc/self/mountinfo
echo all well
`

// A pod without any right mounts and unmounts, also in a user namespace of its own, and its volume
// goes without a trace.
func TestContainer(t *testing.T) {
	p := startPlugin(t)
	for name, userNS := range map[string]bool{"host-users": false, "own-users": true} {
		p.publish(name, nil)
		out := container{name: name, userNS: userNS, volume: p.target(name), script: useBindfs}.start(t).wait()
		if !strings.Contains(out, "all well") {
			t.Errorf("%s: %s", name, out)
		}
		p.unpublish(name)
	}
	p.wantNothing()
}

// The sidecar serves what the other container reads; killed, it is started again and serves the same
// volume.
func TestContainerVolumeMode(t *testing.T) {
	for name, userNS := range map[string]bool{"host-users": false, "own-users": true} {
		t.Run(name, func(t *testing.T) {
			p := startPlugin(t)
			p.publish(name, map[string]string{"mode": "volume"})
			sidecar := container{name: name + "-sidecar", userNS: userNS, volume: p.target(name), script: `set -e
mkdir /tmp/src
echo world >/tmp/src/hello
exec bindfs -f --no-allow-other /tmp/src /run/fusermount/serve
`}
			reader := container{name: name + "-reader", userNS: userNS, volume: p.target(name), propagates: true, script: `
see() { for i in $(seq 300); do now=$(cat /run/fusermount/volume/hello 2>&1 | sed "s/.*: //"); [ "$now" = "$1" ] && echo "seen: $1" && return; sleep 0.02; done; echo "not seen: $1, but $now"; cat /proc/self/mountinfo; exit 1; }
see world
see 'Transport endpoint is not connected'
see world
`}
			other := reader.start(t)
			first := sidecar.start(t)
			other.await("seen: world\n")
			first.kill()
			other.await("not connected\n")
			sidecar.name += "-again"
			sidecar.start(t)
			if out := other.wait(); strings.Count(out, "seen: world") != 2 {
				t.Error(out)
			}
			p.unpublish(name)
			p.wantNothing()
		})
	}
}
