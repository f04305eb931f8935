package cluster

import (
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// useAll mounts by each program, reads and writes, and unmounts. None of them knows of the service.
const useAll = `set -e
grep -q 'CapBnd:	0000000000000000' /proc/self/status
grep -q 'NoNewPrivs:	1' /proc/self/status
grep -q 'Seccomp:	2' /proc/self/status
[ "$(id -u)" = 1000 ]
cd /tmp
mkdir src m up work
echo before >src/file
mounted() { grep -q " /tmp/m .* fuse" /proc/self/mountinfo; }
use() { # NAME FILE COMMAND...
	name=$1 file=$2
	shift 2
	"$@"
	for _ in $(seq 100); do ! mounted || break; sleep 0.1; done
	mounted || { echo "FAILED: $name is not mounted"; exit 1; }
	grep -q before "$file" || { echo "FAILED: $name does not read"; exit 1; }
	if [ "$name" != go-fuse ]; then
		echo "$name" >m/new
		grep -q "$name" m/new || { echo "FAILED: $name does not write"; exit 1; }
		[ "$(stat -c %u m/new)" = 1000 ] || { echo "FAILED: $name has other owners"; exit 1; }
	fi
	fusermount3 -u m
	! mounted || { echo "FAILED: $name is still mounted"; exit 1; }
	echo "ok $name"
}
printf '#!/bin/sh\nexec /usr/lib/openssh/sftp-server\n' >ssh && chmod 755 ssh
use bindfs m/file bindfs --no-allow-other src m
use sshfs m/file sshfs -o ssh_command=/tmp/ssh nowhere:/tmp/src m
use rclone m/file rclone -q mount src m --daemon --vfs-cache-mode writes
use fuse-overlayfs m/file fuse-overlayfs -o lowerdir=src,upperdir=up,workdir=work m
hello-gofuse m >hello.out 2>&1 &
for _ in $(seq 100); do ! mounted || break; sleep 0.1; done
mounted && cat m/* >/dev/null && fusermount3 -u m && echo 'ok go-fuse' || cat hello.out
wait
echo all well
`

// programs are those that useAll tries.
var programs = []string{"bindfs", "sshfs", "rclone", "fuse-overlayfs", "go-fuse"}

// usePackage mounts by a program with the client package, which needs neither fusermount3 nor /dev/fuse.
const usePackage = `set -e
! [ -e /dev/fuse ]
mkdir /tmp/m
client-gofuse /tmp/m &
for _ in $(seq 100); do [ ! -e /tmp/m/hello ] || break; sleep 0.1; done
cat /tmp/m/hello
kill $!
wait
! grep ' /tmp/m ' /proc/self/mountinfo
echo ok package
`

// stay mounts, reads, and stays.
const stay = `cd /tmp && mkdir src m && echo world >src/hello && bindfs --no-allow-other src m && cat m/hello && sleep 1000000`

func TestCluster(t *testing.T) {
	if os.Getenv("CLUSTER_BIN") == "" {
		fusetest.Skip(t, "use 'make test-kubernetes'")
	}
	var c *cluster
	defer func() {
		if c != nil {
			c.stop()
		}
	}()
	c = startCluster(t)
	began := time.Now()
	run(t, os.Getenv("CLUSTER_BIN")+"/kubectl", "--kubeconfig", c.dir+"/kubeconfig", "apply", "-k", os.Getenv("CLUSTER_DEPLOY"))
	c.startPlugin(t, "plugin-1")
	row(t, "installed, and registered with the kubelet", time.Since(began))
	testExamples(t, c)
	before := c.count(t)
	for _, test := range []struct {
		name string
		run  func(t *testing.T, c *cluster)
	}{
		{"programs", testPrograms},
		{"deletion", testDeletion},
		{"volume mode", testVolumeMode},
		{"hostile pod", testHostile},
		{"upgrade", testUpgrade},
		{"kills", testKills},
		{"orders", testOrders},
		{"many", testMany},
	} {
		ok := t.Run(test.name, func(t *testing.T) {
			test.run(t, c)
			c.wantCounts(t, before)
		})
		if !ok {
			t.Log(tail(c.dir+"/kubelet.log"), c.pluginLog(t))
		}
	}
	c.removePlugin(t)
}

// row prints a line of the table.
func row(t testing.TB, what string, result any) {
	t.Helper()
	if d, ok := result.(time.Duration); ok {
		result = d.Round(time.Millisecond)
	}
	fmt.Printf("| %s | %v |\n", what, result)
}

func tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-5000):])
}

// pluginLog is the end of what the plugin has logged.
func (c *cluster) pluginLog(t testing.TB) string {
	out, err := c.core.Pods("fusermount").GetLogs(c.plugin, &corev1.PodLogOptions{}).DoRaw(t.Context())
	if err != nil {
		return err.Error()
	}
	return string(out[max(0, len(out)-5000):])
}

// kinds are the two kinds of pods.
var kinds = map[string]bool{"host-users": true, "own-users": false}

// The examples are accepted where "restricted" is enforced.
func testExamples(t *testing.T, c *cluster) {
	files, err := filepath.Glob(os.Getenv("CLUSTER_DEPLOY") + "/../examples/*.yaml")
	must(t, err)
	for _, file := range files {
		run(t, os.Getenv("CLUSTER_BIN")+"/kubectl", "--kubeconfig", c.dir+"/kubeconfig", "apply", "--namespace", "apps",
			"--dry-run=server", "-f", file)
	}
	row(t, "examples accepted under restricted", len(files))
}

// In a namespace that enforces "restricted" the usual programs work as they are.
func testPrograms(t *testing.T, c *cluster) {
	for name, hostUsers := range kinds {
		alone := container("package", usePackage)
		alone.VolumeMounts = alone.VolumeMounts[:1]
		c.create(t, newPod(name, hostUsers, nil, container("c", useAll), alone))
		c.succeed(t, name)
		log := c.log(t, name, "c")
		for _, program := range programs {
			if !strings.Contains(log, "ok "+program) {
				t.Errorf("%s: %s: %s", name, program, log)
			}
		}
		if log := c.log(t, name, "package"); !strings.Contains(log, "ok package") {
			t.Errorf("%s: %s", name, log)
		}
		row(t, "mount, read, write, unmount as uid 1000 under restricted, hostUsers: "+fmt.Sprint(hostUsers), strings.Join(programs, ", ")+"; a Go program with the package")
		c.remove(t, name)
	}
}

// The deletion of a pod unmounts.
func testDeletion(t *testing.T, c *cluster) {
	for name, hostUsers := range kinds {
		c.create(t, newPod(name, hostUsers, nil, container("c", stay)))
		c.awaitLog(t, name, "c", "world", 1)
		row(t, "unmounted by deletion of the pod, hostUsers: "+fmt.Sprint(hostUsers), c.remove(t, name))
	}
}

// serve is a sidecar, and see a container that reads.
const (
	serve = `mkdir -p /tmp/src && echo world >/tmp/src/hello && exec bindfs -f --no-allow-other /tmp/src /run/fusermount/serve`
	see   = `last=; while :; do now=$(cat /run/fusermount/volume/hello 2>&1 | sed 's/.*: //'); [ "$now" = "$last" ] || echo "see $now"; last=$now; sleep 0.05; done`
)

func reader() corev1.Container {
	r := container("reader", see)
	r.VolumeMounts[0].MountPropagation = ptr(corev1.MountPropagationHostToContainer)
	return r
}

func testVolumeMode(t *testing.T, c *cluster) {
	for name, hostUsers := range kinds {
		p := newPod(name, hostUsers, map[string]string{"mode": "volume"}, reader(), container("daemon", serve))
		p.Spec.RestartPolicy = corev1.RestartPolicyAlways
		c.create(t, p)
		c.awaitLog(t, name, "reader", "see world", 1)
		if killAll(t, "bindfs") != 1 {
			t.Error("there are other daemons")
		}
		began := time.Now()
		c.awaitLog(t, name, "reader", "see Transport endpoint is not connected", 1)
		row(t, "mode: volume, hostUsers: "+fmt.Sprint(hostUsers)+": error after the daemon was killed", time.Since(began))
		c.awaitLog(t, name, "reader", "see world", 2)
		row(t, "… a new daemon serves the same volume", time.Since(began))
		row(t, "… pod deleted", c.remove(t, name))
	}
	p := newPod("package", true, map[string]string{"mode": "volume"}, reader(), container("daemon", "exec client-gofuse /run/fusermount/serve"))
	c.create(t, p)
	c.awaitLog(t, "package", "reader", "see hello, world", 1)
	row(t, "mode: volume, a Go program with the package serves: pod deleted", c.remove(t, "package"))
}

// attempts are a hostile pod's.
const attempts = `
cd /tmp && mkdir src m
refused() { # WHAT COMMAND...
	what=$1
	shift
	if "$@" >out 2>&1; then echo "LOST $what"; else echo "ok $what: $(tail -n 1 out)"; fi
}
refused 'mount over /etc' bindfs --no-allow-other -o nonempty src /etc
refused 'mount over /proc' bindfs --no-allow-other -o nonempty src /proc/self
refused 'allow_other' bindfs src m
refused 'unmount of the volume' fusermount3 -u /run/fusermount
refused 'unmount of /proc' fusermount3 -uz /proc
refused 'a name of its own in the volume' touch /run/fusermount/name
refused 'another socket in the place' rm /run/fusermount/socket
refused 'another client in the place' cp /bin/true /run/fusermount/fusermount3
refused 'mknod' mknod dev b 8 0
refused 'user namespace' unshare --user --map-root-user mount -t tmpfs tmpfs /mnt
refused 'fill the volume' sh -c 'head -c 10000000 /dev/zero >/run/fusermount/fuse'
: >/run/fusermount/fuse
i=0
while [ $i -lt 10 ]; do mkdir m$i && bindfs --no-allow-other src m$i || echo "LOST share $i"; i=$((i + 1)); done
refused 'an eleventh mount' bindfs --no-allow-other src m
echo all tried
sleep 1000000
`

func testHostile(t *testing.T, c *cluster) {
	c.create(t, newPod("hostile", true, nil, container("c", attempts)))
	c.awaitLog(t, "hostile", "c", "all tried", 1)
	log := c.log(t, "hostile", "c")
	if strings.Contains(log, "LOST") || strings.Count(log, "ok ") != 12 {
		t.Error(log)
	}
	row(t, "attempts of a hostile pod refused", strings.Count(log, "ok "))
	await(t, patience, "an event tells of a refusal", func() (bool, error) {
		why := c.why(t, "hostile")
		return strings.Contains(why, "FUSERefused: mount of /tmp/m by uid 1000: too many FUSE filesystems"), fmt.Errorf("%s", why)
	})
	// What leads out of the volume is refused by Kubernetes, and what is not in it is not there.
	for _, sub := range []string{"../../..", "/etc"} {
		p := newPod("escapes", true, nil, container("c", "true"))
		p.Spec.Containers[0].VolumeMounts[0].SubPath = sub
		if _, err := c.core.Pods("apps").Create(t.Context(), p, metav1.CreateOptions{}); err == nil {
			t.Errorf("subPath %s", sub)
		}
	}
	// Attributes are the administrator's to grant.
	c.create(t, newPod("greedy", true, map[string]string{"mountMax": "1000"}, container("c", "true")))
	await(t, patience, "the kubelet tells why", func() (bool, error) {
		why := c.why(t, "greedy")
		return strings.Contains(why, "mountMax: 1000 is not between 1 and 100"), fmt.Errorf("%s", why)
	})
	row(t, "hostile pods deleted", c.remove(t, "hostile", "greedy"))
}

// A new version takes over the volumes of running pods.
func testUpgrade(t *testing.T, c *cluster) {
	c.create(t, newPod("old", true, nil, container("c", `cd /tmp && mkdir src m n && echo world >src/hello && bindfs --no-allow-other src m
echo mounted; until [ -e go ]; do sleep 0.1; cat m/hello >/dev/null || echo LOST;
  bindfs --no-allow-other src n 2>/dev/null && { fusermount3 -u n; echo again; sleep 1; }; done`)))
	c.awaitLog(t, "old", "c", "again", 1)
	began := time.Now()
	c.removePlugin(t)
	c.startPlugin(t, "plugin-2")
	mounted := strings.Count(c.log(t, "old", "c"), "again")
	c.awaitLog(t, "old", "c", "again", mounted+1)
	if strings.Contains(c.log(t, "old", "c"), "LOST") {
		t.Error("a mount was lost")
	}
	row(t, "plugin replaced under a running mount; the pod mounts again", time.Since(began))
	c.remove(t, "old")
}

// parts gives what can be killed, and how, for a pod of the test.
func parts(t *testing.T, c *cluster) map[string]func(pod string) {
	return map[string]func(pod string){
		"plugin":  func(string) { killAll(t, "fusermount-csi") },
		"workers": func(string) { killAll(t, "fusermountd") },
		"kubelet": func(string) { c.kubelet.kill(); c.kubelet.start(t) },
		"daemon":  func(string) { killAll(t, "bindfs") },
		"pod":     func(pod string) { c.killPod(t, pod) },
	}
}

// newWorker is a pod in which each mode of the volume is used.
func newWorker(name string) *corev1.Pod {
	p := newPod(name, true, map[string]string{"mode": "volume"}, reader(), container("daemon", serve), container("own", stay))
	p.Spec.RestartPolicy = corev1.RestartPolicyAlways
	return p
}

// testKills kills each part in each phase of a pod.
func testKills(t *testing.T, c *cluster) {
	kill := parts(t, c)
	slowest, before := time.Duration(0), c.count(t)
	for _, what := range slices.Sorted(maps.Keys(kill)) {
		for _, phase := range []string{"start", "running", "deletion"} {
			began := time.Now()
			name := what + "-" + phase
			c.create(t, newWorker(name))
			if phase == "start" {
				time.Sleep(300 * time.Millisecond) // a moment of it; any will do
				kill[what](name)
			}
			c.awaitLog(t, name, "reader", "see world", 1)
			if phase == "running" {
				kill[what](name)
			}
			if phase == "deletion" {
				must(t, c.core.Pods("apps").Delete(t.Context(), name, metav1.DeleteOptions{}))
				kill[what](name)
			}
			slowest = max(slowest, c.remove(t, name))
			c.wantCounts(t, before)
			t.Logf("%s: %v", name, time.Since(began).Round(time.Second))
		}
		c.awaitPlugin(t)
	}
	row(t, fmt.Sprintf("%s killed in each of 3 phases: longest Terminating", strings.Join(slices.Sorted(maps.Keys(kill)), ", ")), slowest)
}

// testOrders kills plugin, kubelet, daemon and pod one after the other, in each order, and then deletes
// the pod.
func testOrders(t *testing.T, c *cluster) {
	kill := parts(t, c)
	slowest, before, n := time.Duration(0), c.count(t), 0
	for order := range permutations([]string{"plugin", "kubelet", "daemon", "pod"}) {
		name := strings.Join(order, "-")
		c.create(t, newWorker(name))
		c.awaitLog(t, name, "reader", "see world", 1)
		for _, what := range order {
			kill[what](name)
		}
		took := c.remove(t, name)
		c.wantCounts(t, before)
		c.awaitPlugin(t)
		t.Logf("%s: %v", name, took)
		slowest = max(slowest, took)
		n++
	}
	row(t, fmt.Sprintf("plugin, kubelet, daemon, pod killed in each of %d orders: longest Terminating", n), slowest)
}

// permutations gives each order of some words.
func permutations(words []string) iter.Seq[[]string] {
	return func(yield func([]string) bool) {
		if len(words) < 2 {
			yield(words)
			return
		}
		for i, first := range words {
			for rest := range permutations(slices.Delete(slices.Clone(words), i, i+1)) {
				if !yield(append([]string{first}, rest...)) {
					return
				}
			}
		}
	}
}

// testMany has fifty pods at once, ten times.
func testMany(t *testing.T, c *cluster) {
	const pods, rounds = 50, 10
	names := make([]string, pods)
	for i := range names {
		names[i] = fmt.Sprintf("many-%d", i)
	}
	for round := range rounds {
		before, began := c.count(t), time.Now()
		for i, name := range names {
			c.create(t, newPod(name, i%2 == 0, nil, container("c", stay)))
		}
		for _, name := range names {
			c.awaitLog(t, name, "c", "world", 1)
		}
		up, latency := time.Since(began), c.latencies(t, names)
		c.remove(t, names...)
		c.wantCounts(t, before)
		row(t, fmt.Sprintf("round %d: %d pods are made, and have mounted and read", round+1, pods), up)
		row(t, "… from NodePublish to the first read: median, longest", fmt.Sprint(latency[pods/2], ", ", latency[pods-1]))
		row(t, "… all deleted, the counts as before", time.Since(began)-up)
	}
}
