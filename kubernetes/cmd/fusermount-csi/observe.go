package main

import (
	"log/slog"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	eventrecord "k8s.io/client-go/tools/record"

	"github.com/go-fusermount/fusermount/internal/printable"
	"github.com/go-fusermount/fusermount/internal/service"
	"github.com/go-fusermount/fusermount/internal/wire"
)

// observer tells how requests have ended: in the log, in metrics, and to the pod's owner by an event.
type observer struct {
	log      *slog.Logger
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	events   eventrecord.EventRecorder // nil: no events
}

// newObserver registers its metrics. node gives the numbers of volumes and of file systems.
func newObserver(log *slog.Logger, registry *prometheus.Registry, node func() (volumes, mounts int)) *observer {
	o := &observer{
		log: log,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fusermount_requests_total", Help: "Requests of pods, by operation, and by result: ok, or why it was refused.",
		}, []string{"operation", "result"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "fusermount_request_duration_seconds", Help: "Time from a request's start in a worker to its end.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .5, 1, 5, 30},
		}, []string{"operation"}),
	}
	registry.MustRegister(o.requests, o.duration,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "fusermount_volumes", Help: "Volumes of pods on this node.",
		}, func() float64 { volumes, _ := node(); return float64(volumes) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "fusermount_mounts", Help: "FUSE file systems that were mounted through these volumes and are there.",
		}, func() float64 { _, mounts := node(); return float64(mounts) }),
	)
	return o
}

// newEvents makes a recorder of events, which ends with stop. It drops events of which there are too
// many.
func newEvents(driver, nodeName string) (events eventrecord.EventRecorder, stop func(), err error) {
	config, err := rest.InClusterConfig()
	if err != nil {
		return nil, nil, err
	}
	client, err := typedcorev1.NewForConfig(config)
	if err != nil {
		return nil, nil, err
	}
	broadcaster := eventrecord.NewBroadcaster()
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.Events("")})
	return broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: driver, Host: nodeName}), broadcaster.Shutdown, nil
}

var operations = map[wire.Op]string{wire.Mount: "mount", wire.Unmount: "unmount", wire.Watch: "watch"}

// Lines in the log and events of one volume: this many a second, after a burst.
const linesPerSecond, lineBurst = 5, 50

// done takes note of a request of a pod. A pod that asks without end is counted, but does not fill
// the log.
func (o *observer) done(v *volume, outcome service.Outcome) {
	operation := operations[outcome.Op]
	if operation == "" {
		operation = "unknown"
	}
	o.requests.WithLabelValues(operation, result(outcome)).Inc()
	o.duration.WithLabelValues(operation).Observe(outcome.Duration.Seconds())
	if !v.limiter.Allow() {
		return
	}
	mountpoint, text := printable.Text(outcome.Mountpoint), printable.Text(outcome.Text)
	attrs := append(v.attrs(), "operation", operation, "uid", outcome.UID, "mountpoint", mountpoint,
		"type", printable.Text(outcome.Type), "duration", outcome.Duration)
	if outcome.Errno == 0 {
		o.log.Info("request", attrs...)
		return
	}
	o.log.Warn("request refused", append(attrs, "error", text)...)
	if o.events == nil || v.Owner.Pod == "" {
		return
	}
	pod := &corev1.ObjectReference{
		APIVersion: "v1", Kind: "Pod", Namespace: v.Owner.Namespace, Name: v.Owner.Pod, UID: types.UID(v.Owner.UID),
	}
	o.events.Eventf(pod, corev1.EventTypeWarning, "FUSERefused", "%s of %s by uid %d: %s", operation, mountpoint, outcome.UID, text)
}

// reasons are refusals that have a name in the metrics: what their text contains. Others have that of
// their errno.
var reasons = []struct{ text, name string }{
	{"too many FUSE filesystems", "mount_max"},
	{"option allow_", "allow_other"},
	{"may not be mounted here", "file_system_type"},
	{"no write access", "write_access"},
	{"busy with too many of your requests", "queue"},
	{"malformed", "malformed"},
}

// result is one of few words.
func result(o service.Outcome) string {
	if o.Errno == 0 {
		return "ok"
	}
	for _, r := range reasons {
		if strings.Contains(o.Text, r.text) {
			return r.name
		}
	}
	if name := unix.ErrnoName(o.Errno); name != "" {
		return name
	}
	return "other"
}
