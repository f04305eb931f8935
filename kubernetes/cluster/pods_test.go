package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	driver   = "fusermount.go-fusermount.github.io"
	appImage = "localhost/app:1"
	// terminating is the longest that a pod may be in Terminating, whatever was killed.
	terminating = time.Minute
)

func ptr[T any](value T) *T { return &value }

// container is a container of a pod that holds to "restricted", with the volume as the README shows it.
func container(name, script string) corev1.Container {
	return corev1.Container{
		Name: name, Image: appImage, ImagePullPolicy: corev1.PullNever, Command: []string{"/bin/sh", "-c", script},
		Env: []corev1.EnvVar{{Name: "HOME", Value: "/tmp"}},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: ptr(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
		VolumeMounts: []corev1.VolumeMount{
			{Name: "fuse", MountPath: "/run/fusermount"},
			{Name: "fuse", MountPath: "/usr/bin/fusermount3", SubPath: "fusermount3"},
			{Name: "fuse", MountPath: "/dev/fuse", SubPath: "fuse"},
		},
	}
}

// newPod is a pod as uid 1000 without capabilities.
func newPod(name string, hostUsers bool, attributes map[string]string, containers ...corev1.Container) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{
			NodeName: "n1", RestartPolicy: corev1.RestartPolicyNever, HostUsers: ptr(hostUsers),
			TerminationGracePeriodSeconds: ptr(int64(1)), AutomountServiceAccountToken: ptr(false),
			EnableServiceLinks: ptr(false),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: ptr(true), RunAsUser: ptr(int64(1000)), RunAsGroup: ptr(int64(1000)),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: containers,
			Volumes: []corev1.Volume{{Name: "fuse", VolumeSource: corev1.VolumeSource{
				CSI: &corev1.CSIVolumeSource{Driver: driver, VolumeAttributes: attributes},
			}}},
		},
	}
}

func (c *cluster) create(t testing.TB, p *corev1.Pod) {
	t.Helper()
	_, err := c.core.Pods("apps").Create(t.Context(), p, metav1.CreateOptions{})
	must(t, err)
}

// log is what a container has written, from the node: the apiserver may not reach a kubelet that was
// just killed.
func (c *cluster) log(t testing.TB, pod, name string) string {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/var/log/pods/apps_%s_*/%s/*.log", pod, name))
	must(t, err)
	var text strings.Builder
	for _, file := range files {
		lines, err := os.ReadFile(file)
		must(t, err)
		for line := range strings.Lines(string(lines)) {
			if fields := strings.SplitN(line, " ", 4); len(fields) == 4 { // time, stream, tag, text
				text.WriteString(fields[3])
			}
		}
	}
	return text.String()
}

// awaitLog waits until a container has written something a number of times.
func (c *cluster) awaitLog(t testing.TB, pod, name, text string, times int) {
	t.Helper()
	await(t, patience, fmt.Sprintf("%s/%s says %q", pod, name, text), func() (bool, error) {
		said := c.log(t, pod, name)
		return strings.Count(said, text) >= times, errors.New(said + c.why(t, pod))
	})
}

// why is what events say about a pod.
func (c *cluster) why(t testing.TB, pod string) string {
	events, err := c.core.Events("apps").List(t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.name=" + pod})
	if err != nil {
		return err.Error()
	}
	var text strings.Builder
	for _, e := range events.Items {
		fmt.Fprintf(&text, "%s: %s\n", e.Reason, e.Message)
	}
	return text.String()
}

// succeed waits until a pod has ended well.
func (c *cluster) succeed(t testing.TB, name string) {
	t.Helper()
	await(t, patience, name+" succeeds", func() (bool, error) {
		p, err := c.core.Pods("apps").Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		if p.Status.Phase == corev1.PodFailed {
			said := c.why(t, name)
			for _, container := range p.Spec.Containers {
				said += c.log(t, name, container.Name)
			}
			t.Fatalf("%s: %s", name, said)
		}
		return p.Status.Phase == corev1.PodSucceeded, errors.New(c.why(t, name))
	})
}

// remove deletes pods, and wants them to be gone in time.
func (c *cluster) remove(t testing.TB, names ...string) time.Duration {
	t.Helper()
	for _, name := range names {
		err := c.core.Pods("apps").Delete(t.Context(), name, metav1.DeleteOptions{})
		if !apierrors.IsNotFound(err) {
			must(t, err)
		}
	}
	return c.gone(t, names...)
}

func (c *cluster) gone(t testing.TB, names ...string) time.Duration {
	t.Helper()
	began := time.Now()
	for _, name := range names {
		await(t, max(terminating-time.Since(began), time.Second), name+" is gone", func() (bool, error) {
			_, err := c.core.Pods("apps").Get(t.Context(), name, metav1.GetOptions{})
			return apierrors.IsNotFound(err), err
		})
	}
	return time.Since(began)
}

// plugin is the pod of the DaemonSet, which the test makes from its template as the controller would.
func (c *cluster) startPlugin(t testing.TB, name string) {
	t.Helper()
	set, err := c.apps.DaemonSets("fusermount").Get(t.Context(), "fusermount-csi", metav1.GetOptions{})
	must(t, err)
	p := &corev1.Pod{ObjectMeta: set.Spec.Template.ObjectMeta, Spec: set.Spec.Template.Spec}
	p.Name, p.Spec.NodeName = name, "n1"
	_, err = c.core.Pods("fusermount").Create(t.Context(), p, metav1.CreateOptions{})
	must(t, err)
	c.plugin = name
	c.awaitPlugin(t)
}

func (c *cluster) awaitPlugin(t testing.TB) {
	t.Helper()
	await(t, patience, "the plugin is registered", func() (bool, error) {
		node, err := c.storage.CSINodes().Get(t.Context(), "n1", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		p, err := c.core.Pods("fusermount").Get(t.Context(), c.plugin, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		running := len(p.Status.ContainerStatuses) == 1 && p.Status.ContainerStatuses[0].State.Running != nil
		for _, d := range node.Spec.Drivers {
			if d.Name == driver && running {
				return true, nil
			}
		}
		return false, fmt.Errorf("%+v", p.Status)
	})
}

func (c *cluster) removePlugin(t testing.TB) {
	t.Helper()
	must(t, c.core.Pods("fusermount").Delete(t.Context(), c.plugin, metav1.DeleteOptions{}))
	await(t, patience, "the plugin's pod is gone", func() (bool, error) {
		_, err := c.core.Pods("fusermount").Get(t.Context(), c.plugin, metav1.GetOptions{})
		return apierrors.IsNotFound(err), err
	})
}

// counts are what must not grow on the node.
type counts struct{ mounts, connections, records, processes, subpaths int }

func (c *cluster) count(t testing.TB) (n counts) {
	t.Helper()
	table, err := os.ReadFile("/proc/self/mountinfo")
	must(t, err)
	n.mounts = strings.Count(string(table), " fusermount-csi ") + strings.Count(string(table), " - fuse")
	connections, err := os.ReadDir("/sys/fs/fuse/connections")
	must(t, err)
	records, err := filepath.Glob("/var/lib/kubelet/plugins/" + driver + "/volumes/*")
	must(t, err)
	n.connections, n.records = len(connections), len(records)
	n.processes = len(pidsOf("bindfs"))
	n.subpaths = strings.Count(string(table), "/volume-subpaths/")
	return n
}

// wantCounts waits until the node has no more than before.
func (c *cluster) wantCounts(t testing.TB, before counts) {
	t.Helper()
	await(t, terminating, "nothing is left on the node", func() (bool, error) {
		now := c.count(t)
		return now == before, fmt.Errorf("%+v, before %+v", now, before)
	})
}

// pidsOf finds processes by their name.
func pidsOf(name string) (pids []int) {
	files, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, file := range files {
		comm, err := os.ReadFile(file)
		if err == nil && strings.TrimSpace(string(comm)) == name {
			var pid int
			if _, err := fmt.Sscanf(file, "/proc/%d/comm", &pid); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// killAll kills processes by their name, and says how many there were.
func killAll(t testing.TB, name string) int {
	t.Helper()
	pids := pidsOf(name)
	kill(t, pids)
	return len(pids)
}

// killPod kills all processes of a pod.
func (c *cluster) killPod(t testing.TB, name string) {
	t.Helper()
	p, err := c.core.Pods("apps").Get(t.Context(), name, metav1.GetOptions{})
	must(t, err)
	files, err := filepath.Glob("/proc/[0-9]*/cgroup")
	must(t, err)
	var pids []int
	for _, file := range files {
		groups, err := os.ReadFile(file)
		var pid int
		if _, failed := fmt.Sscanf(file, "/proc/%d/cgroup", &pid); err == nil && failed == nil && strings.Contains(string(groups), string(p.UID)) {
			pids = append(pids, pid)
		}
	}
	kill(t, pids)
}

func kill(t testing.TB, pids []int) {
	t.Helper()
	for _, pid := range pids {
		p, err := os.FindProcess(pid)
		must(t, err)
		if err := p.Kill(); !errors.Is(err, os.ErrProcessDone) {
			must(t, err)
		}
	}
}

// latencies gives the times from NodePublish to the first read of pods, the shortest first: from the
// plugin's log line to that of the container.
func (c *cluster) latencies(t testing.TB, names []string) (took []time.Duration) {
	t.Helper()
	files, err := filepath.Glob("/var/log/pods/fusermount_plugin-*/*/*.log")
	must(t, err)
	published := map[string]time.Time{} // by the pod's UID
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(t, err)
		for line := range strings.Lines(string(text)) {
			_, uid, found := strings.Cut(line, " podUID=")
			if found && strings.Contains(line, `msg="volume published"`) {
				published[strings.Fields(uid)[0]] = lineTime(t, line)
			}
		}
	}
	for _, name := range names {
		p, err := c.core.Pods("apps").Get(t.Context(), name, metav1.GetOptions{})
		must(t, err)
		files, err := filepath.Glob(fmt.Sprintf("/var/log/pods/apps_%s_%s/c/0.log", name, p.UID))
		must(t, err)
		text, err := os.ReadFile(files[0])
		must(t, err)
		at, found := published[string(p.UID)]
		if !found {
			t.Fatalf("the plugin's log does not name %s", name)
		}
		took = append(took, lineTime(t, string(text)).Sub(at).Round(time.Millisecond)) // the first line is what was read
	}
	slices.Sort(took)
	return took
}

// lineTime is when a container has written a line, by its log.
func lineTime(t testing.TB, line string) time.Time {
	t.Helper()
	stamp, _, _ := strings.Cut(line, " ")
	at, err := time.Parse(time.RFC3339Nano, stamp)
	must(t, err)
	return at
}
