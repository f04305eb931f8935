package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedappsv1 "k8s.io/client-go/kubernetes/typed/apps/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	typedstoragev1 "k8s.io/client-go/kubernetes/typed/storage/v1"
	"k8s.io/client-go/rest"
)

// patience is how long a step may take on a busy machine.
const patience = 3 * time.Minute

// token is the administrator's.
const token = "administrator"

// serviceIP is the address of the apiserver for pods: the first one of the range of services. No
// kube-proxy is there, so the node has the address itself.
const serviceIP, serviceRange = "10.99.0.1", "10.99.0.0/24"

// process is a part of the cluster, which can be killed and started again.
type process struct {
	name  string
	path  string
	args  []string
	dir   string // for its log
	cmd   *exec.Cmd
	ended chan error
}

func (p *process) start(t testing.TB) {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(p.dir, p.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	must(t, err)
	defer log.Close()
	p.cmd = exec.Command(p.path, p.args...)
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Dir = log, log, p.dir
	p.cmd.Env = append(os.Environ(), "PATH="+os.Getenv("CLUSTER_BIN")+":/usr/sbin:/usr/bin:/sbin:/bin")
	must(t, p.cmd.Start())
	cmd, ended := p.cmd, make(chan error, 1)
	p.ended = ended
	go func() { ended <- cmd.Wait() }()
}

// kill kills it with SIGKILL.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	err := <-p.ended
	p.ended <- err
}

// cluster is a running cluster.
type cluster struct {
	dir        string
	etcd, api  *process
	containerd *process
	kubelet    *process
	core       *typedcorev1.CoreV1Client
	apps       *typedappsv1.AppsV1Client
	storage    *typedstoragev1.StorageV1Client
	plugin     string // the pod of the plugin
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// await waits until something is so.
func await(t testing.TB, limit time.Duration, what string, is func() (bool, error)) {
	t.Helper()
	var last error
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		var done bool
		if done, last = is(); done {
			return
		}
	}
	t.Fatalf("not within %v: %s (%v)", limit, what, last)
}

// startCluster starts everything, and imports images. bin has the programs, and images the images.
func startCluster(t testing.TB) *cluster {
	bin, dir := os.Getenv("CLUSTER_BIN"), os.Getenv("CLUSTER_DIR")
	c := &cluster{dir: dir}
	program := func(name string, args ...string) *process {
		path := filepath.Join(bin, name)
		if name == "etcd" {
			path = "/usr/bin/etcd"
		}
		return &process{name: name, path: path, args: args, dir: dir}
	}
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(text), 0o644))
		return path
	}
	c.etcd = program("etcd", "--data-dir", dir+"/etcd", "--listen-client-urls", "http://127.0.0.1:2379",
		"--advertise-client-urls", "http://127.0.0.1:2379", "--listen-peer-urls", "http://127.0.0.1:2380",
		"--unsafe-no-fsync")
	c.etcd.start(t)

	key := filepath.Join(dir, "sa.key")
	run(t, "openssl", "genrsa", "-out", key, "2048")
	c.api = program("kube-apiserver", "--etcd-servers", "http://127.0.0.1:2379", "--secure-port", "443",
		"--advertise-address", nodeIP(t), "--cert-dir", dir+"/pki", "--service-account-issuer", "https://cluster",
		"--service-account-key-file", key, "--service-account-signing-key-file", key,
		"--authorization-mode", "RBAC", "--token-auth-file", write("tokens.csv", token+",admin,admin,system:masters\n"),
		"--service-cluster-ip-range", serviceRange, "--allow-privileged")
	c.api.start(t)
	config := &rest.Config{
		Host: "https://127.0.0.1", BearerToken: token, TLSClientConfig: rest.TLSClientConfig{Insecure: true}, QPS: 200, Burst: 400,
	}
	var failed [3]error
	c.core, failed[0] = typedcorev1.NewForConfig(config)
	c.apps, failed[1] = typedappsv1.NewForConfig(config)
	c.storage, failed[2] = typedstoragev1.NewForConfig(config)
	must(t, failed[:]...)
	await(t, patience, "the apiserver is ready", func() (bool, error) {
		text, err := c.core.RESTClient().Get().AbsPath("/readyz").DoRaw(t.Context())
		return string(text) == "ok", err
	})

	c.containerd = program("containerd", "--config", write("containerd.toml", fmt.Sprintf(`version = 3
root = "%[1]s/containerd"
state = "/run/containerd"
[grpc]
address = "/run/containerd/containerd.sock"
[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true
enable_selinux = false
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = "%[2]s/runc"
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["/usr/lib/cni"]
conf_dir = "%[1]s/cni"
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "localhost/pause:1"
`, dir, bin)))
	must(t, os.MkdirAll(dir+"/cni", 0o755))
	write("cni/10-bridge.conflist", `{"cniVersion": "1.0.0", "name": "pods", "plugins": [{"type": "bridge", "bridge": "cni0",
"isGateway": true, "ipMasq": false, "ipam": {"type": "host-local", "dataDir": "/run/cni",
"ranges": [[{"subnet": "10.88.0.0/16"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}`)
	c.containerd.start(t)
	await(t, patience, "containerd is ready", func() (bool, error) {
		out, err := exec.Command(filepath.Join(bin, "ctr"), "version").CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return err == nil, err
	})
	archives, err := filepath.Glob(os.Getenv("CLUSTER_IMAGES") + "/*.tar")
	must(t, err)
	for _, archive := range archives {
		run(t, filepath.Join(bin, "ctr"), "-n", "k8s.io", "images", "import", archive)
	}

	kubeconfig := write("kubeconfig", `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1", insecure-skip-tls-verify: true}}]
users: [{name: u, user: {token: `+token+`}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
`)
	c.kubelet = program("kubelet", "--kubeconfig", kubeconfig, "--hostname-override", "n1", "--cert-dir", dir+"/kubelet-pki",
		"--node-ip", nodeIP(t), "--config", write("kubelet.yaml", `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failSwapOn: false
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupsPerQOS: true
enforceNodeAllocatable: []
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
makeIPTablesUtilChains: false
evictionHard: {nodefs.available: "1%", imagefs.available: "1%"}
oomScoreAdj: 0
maxPods: 200
registryPullQPS: 0
syncFrequency: 5s
`))
	c.kubelet.start(t)
	await(t, patience, "the node is ready", func() (bool, error) {
		node, err := c.core.Nodes().Get(t.Context(), "n1", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		for _, condition := range node.Status.Conditions {
			if condition.Type == corev1.NodeReady {
				return condition.Status == corev1.ConditionTrue, errors.New(condition.Message)
			}
		}
		return false, nil
	})
	// What the controllers of a whole cluster would make.
	for _, namespace := range []string{"fusermount", "apps"} {
		c.namespace(t, namespace)
	}
	return c
}

// namespace makes a namespace that enforces "restricted", with what controllers put into each.
func (c *cluster) namespace(t testing.TB, name string) {
	t.Helper()
	labels := map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}
	_, err := c.core.Namespaces().Create(t.Context(), &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
	}, metav1.CreateOptions{})
	must(t, err)
	ca, err := os.ReadFile(filepath.Join(c.dir, "pki/apiserver.crt"))
	must(t, err)
	_, err = c.core.ConfigMaps(name).Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "kube-root-ca.crt"}, Data: map[string]string{"ca.crt": string(ca)},
	}, metav1.CreateOptions{})
	must(t, err)
	_, err = c.core.ServiceAccounts(name).Create(t.Context(), &corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{Name: "default"},
	}, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		must(t, err)
	}
}

// stop ends everything that runs in pods, and then the cluster.
func (c *cluster) stop() {
	for _, p := range []*process{c.kubelet, c.containerd, c.api, c.etcd} {
		if p != nil && p.cmd != nil {
			p.kill()
		}
	}
}

// nodeIP is the address of the node for its pods.
func nodeIP(t testing.TB) string {
	addresses, err := net.InterfaceAddrs()
	must(t, err)
	for _, address := range addresses {
		if ip, ok := address.(*net.IPNet); ok && strings.HasPrefix(ip.IP.String(), "10.77.") {
			return ip.IP.String()
		}
	}
	t.Fatal("the script has given the node no address")
	return ""
}

// run runs a command, which must succeed, and gives its output.
func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out.String())
	}
	return out.String()
}
