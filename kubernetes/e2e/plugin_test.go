package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

func TestMain(m *testing.M) { os.Exit(fusetest.RunTests(m)) }

// alice is the user of most pods.
const alice = 1000

// plugin is a running node plugin, with a kubelet's directory of its own.
type plugin struct {
	t       *testing.T
	program string
	dir     string // the kubelet's
	args    []string
	address string // of its HTTP server
	conn    *grpc.ClientConn

	log   output
	cmd   *exec.Cmd
	ended chan error
}

// startPlugin starts the plugin as root, and ends it with the test.
func startPlugin(t *testing.T, args ...string) *plugin {
	t.Helper()
	fusetest.NeedRoot(t)
	fusetest.NeedDevice(t)
	p := &plugin{t: t, program: filepath.Join(filepath.Dir(helpertest.Program(t)), "fusermount-csi")}
	if _, err := os.Stat(p.program); err != nil {
		fusetest.Skip(t, "'make -C kubernetes build': "+err.Error())
	}
	p.dir = fusetest.Dir(t, 0)
	// As on a node, what is mounted in the kubelet's directory propagates.
	helpertest.Must(t, unix.Mount("kubelet", p.dir, "tmpfs", 0, "mode=755"), unix.Mount("", p.dir, "", unix.MS_SHARED, ""))
	p.address = filepath.Join(p.dir, "http")
	p.args = append([]string{
		"--node", "n1", "--kubelet-dir", p.dir, "--worker", helpertest.ServiceProgram(t),
		"--client", helpertest.Program(t), "--http", "unix:" + p.address, "--events=false",
	}, args...)
	t.Cleanup(p.kill)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the plugin says:\n%s", p.log.String())
		}
	})
	p.start()
	conn, err := grpc.NewClient("unix://"+p.state("csi.sock"), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	helpertest.Must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	p.conn = conn
	return p
}

// state is a path in the directory where the plugin keeps its files.
func (p *plugin) state(name string) string {
	return filepath.Join(p.dir, "plugins/fusermount.go-fusermount.github.io", name)
}

// start starts the plugin, and waits until it is ready.
func (p *plugin) start() {
	p.t.Helper()
	p.cmd = exec.Command(p.program, p.args...)
	p.cmd.Env, p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = []string{}, "/", &p.log, &p.log
	p.cmd.WaitDelay = fusetest.Patience // its workers have standard error, too
	helpertest.Must(p.t, p.cmd.Start())
	cmd, ended := p.cmd, make(chan error, 1)
	p.ended = ended
	go func() { ended <- cmd.Wait() }()
	p.await("the plugin is ready", func() bool {
		select {
		case err := <-ended:
			ended <- err
			p.t.Fatalf("the plugin has ended: %v\n%s", err, p.log.String())
		default:
		}
		return p.get("/healthz") == "200 "
	})
}

// workersOf counts the workers that serve a user, or watch a mount of theirs.
func (p *plugin) workersOf(uid uint32) int {
	p.t.Helper()
	service := &helpertest.Service{Program: helpertest.ServiceProgram(p.t)}
	return len(service.Workers(p.t, uid))
}

// kill kills the plugin, which leaves things as they are.
func (p *plugin) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	err := <-p.ended
	p.ended <- err
}

// stop ends the plugin as the kubelet does.
func (p *plugin) stop() {
	p.t.Helper()
	helpertest.Must(p.t, p.cmd.Process.Signal(unix.SIGTERM))
	err := <-p.ended
	p.ended <- err
	helpertest.Must(p.t, err)
}

// get asks the plugin's HTTP server: its answer's status and text.
func (p *plugin) get(path string) string {
	dialer := &http.Transport{DialContext: dialUnix(p.address)}
	defer dialer.CloseIdleConnections()
	r, err := (&http.Client{Transport: dialer, Timeout: fusetest.Patience}).Get("http://plugin" + path)
	if err != nil {
		return err.Error()
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d %s", r.StatusCode, text)
}

// await waits until something is so.
func (p *plugin) await(what string, is func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(fusetest.Patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatalf("not within a minute: %s\n%s", what, p.log.String())
		}
	}
}

// target is where the kubelet wants a pod's volume.
func (p *plugin) target(name string) string {
	return filepath.Join(p.dir, "pods", "uid-of-"+name, "volumes/kubernetes.io~csi/fuse/mount")
}

func (p *plugin) publishRequest(name string, attributes map[string]string) *csi.NodePublishVolumeRequest {
	context := map[string]string{
		"csi.storage.k8s.io/pod.name": name, "csi.storage.k8s.io/pod.namespace": "apps",
		"csi.storage.k8s.io/pod.uid": "uid-of-" + name, "csi.storage.k8s.io/ephemeral": "true",
		"csi.storage.k8s.io/serviceAccount.name": "default",
	}
	for attribute, value := range attributes {
		context[attribute] = value
	}
	return &csi.NodePublishVolumeRequest{
		VolumeId: "csi-" + name, TargetPath: p.target(name), VolumeContext: context,
		VolumeCapability: &csi.VolumeCapability{
			AccessType: &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{}},
			AccessMode: &csi.VolumeCapability_AccessMode{Mode: csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER},
		},
	}
}

func (p *plugin) tryPublish(r *csi.NodePublishVolumeRequest) error {
	ctx, cancel := context.WithTimeout(p.t.Context(), fusetest.Patience)
	defer cancel()
	_, err := csi.NewNodeClient(p.conn).NodePublishVolume(ctx, r)
	return err
}

// publish publishes a pod's volume, as the kubelet does, and gives the directory at which a container
// of the pod would see it: users cannot reach the kubelet's.
func (p *plugin) publish(name string, attributes map[string]string) (dir string) {
	p.t.Helper()
	r := p.publishRequest(name, attributes)
	helpertest.Must(p.t, os.MkdirAll(filepath.Dir(r.TargetPath), 0o750), p.tryPublish(r))
	return inContainer(p.t, r.TargetPath)
}

// inContainer mounts a volume as a container runtime does, with propagation HostToContainer.
func inContainer(t *testing.T, volume string) (dir string) {
	t.Helper()
	dir = fusetest.Dir(t, 0)
	helpertest.Must(t, unix.Mount(volume, dir, "", unix.MS_BIND|unix.MS_REC, ""),
		unix.Mount("", dir, "", unix.MS_SLAVE|unix.MS_REC, ""))
	return dir
}

func (p *plugin) tryUnpublish(name string) error {
	ctx, cancel := context.WithTimeout(p.t.Context(), fusetest.Patience)
	defer cancel()
	_, err := csi.NewNodeClient(p.conn).NodeUnpublishVolume(ctx, &csi.NodeUnpublishVolumeRequest{
		VolumeId: "csi-" + name, TargetPath: p.target(name),
	})
	return err
}

func (p *plugin) unpublish(name string) {
	p.t.Helper()
	helpertest.Must(p.t, p.tryUnpublish(name))
}

// wantNothing wants no volume to be left.
func (p *plugin) wantNothing() {
	p.t.Helper()
	for _, m := range fusetest.Mountinfo(p.t) {
		if strings.HasPrefix(m.Mountpoint, filepath.Join(p.dir, "pods")) {
			p.t.Errorf("still mounted: %+v", m)
		}
	}
	records, err := os.ReadDir(p.state("volumes"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		p.t.Error(err)
	}
	for _, r := range records {
		p.t.Errorf("a record is left: %s", r.Name())
	}
}

func wantCode(t *testing.T, err error, want codes.Code, text string) {
	t.Helper()
	if status.Code(err) != want || !strings.Contains(err.Error(), text) {
		t.Errorf("%v; want %v, %q", err, want, text)
	}
}

// client is a call of the volume's own client by a user without rights.
func client(t *testing.T, dir string, uid uint32, args ...string) helpertest.Call {
	t.Helper()
	return helpertest.Call{
		Prog: filepath.Join(dir, "fusermount3"), UID: uid, GID: uid, Dir: "/", Args: args,
		Env: []string{"FUSERMOUNT_SOCKET=" + filepath.Join(dir, "socket")},
	}
}

// rootClient is a call by uid 0 without capabilities: a pod with hostUsers: true may run as that.
func rootClient(t *testing.T, dir string, args ...string) helpertest.Call {
	t.Helper()
	c := client(t, dir, 0, args...)
	setpriv, err := exec.LookPath("setpriv")
	helpertest.Must(t, err)
	c.Args = append([]string{"--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", c.Prog}, c.Args...)
	c.Prog = setpriv
	return c
}
