// Command fusermount-csi is a CSI node plugin for Kubernetes: it gives pods volumes by which they can
// mount FUSE file systems without privileges.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"

	"github.com/go-fusermount/fusermount/internal/service"
)

// version is set by the linker.
var version = "development"

type settings struct {
	driver, nodeName, kubeletDir, stateDir, worker, client, address string
	allowOther                                                      string
	events, makeDevice                                              bool
	clean                                                           time.Duration
	grant                                                           grant
	limits                                                          service.Limits
}

func main() {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	s, err := parse(os.Args[1:])
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return
	case err == nil:
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
		err = run(ctx, s, log)
		stop()
	}
	if err != nil {
		log.Error("ended", "error", err)
		os.Exit(1)
	}
}

const usage = `usage: fusermount-csi [FLAGS]

Gives pods on this node volumes by which they can mount FUSE file systems.

`

func parse(args []string) (*settings, error) {
	s := &settings{limits: service.DefaultLimits}
	flags := pflag.NewFlagSet("fusermount-csi", pflag.ContinueOnError)
	flags.SortFlags = false
	flags.StringVar(&s.driver, "driver", "fusermount.go-fusermount.github.io", "the driver's name")
	flags.StringVar(&s.nodeName, "node", os.Getenv("NODE_NAME"), "the node's name ($NODE_NAME)")
	flags.StringVar(&s.kubeletDir, "kubelet-dir", "/var/lib/kubelet", "the kubelet's directory, at the same path as on the node")
	flags.StringVar(&s.stateDir, "state-dir", "", "where the driver keeps its files (default: plugins/DRIVER in the kubelet's directory)")
	flags.StringVar(&s.worker, "worker", "/fusermountd", "the program that serves requests")
	flags.StringVar(&s.client, "client", "/fusermount3", "the program that pods get")
	flags.StringVar(&s.address, "http", ":9808", "where /metrics and /healthz are served: HOST:PORT or unix:PATH; empty: nowhere")
	flags.BoolVar(&s.events, "events", true, "tell refusals by events of the pod, inside of a cluster")
	flags.BoolVar(&s.makeDevice, "make-device", false, "make /dev/fuse anew with mode 0666: for a container with a /dev of its own")
	flags.DurationVar(&s.clean, "clean-interval", time.Minute, "how often to look for volumes of pods that are gone")
	flags.IntVar(&s.grant.MountMax, "mount-max", 100, "the most file systems of a volume that a pod can ask for (mountMax)")
	flags.IntVar(&s.grant.MountDefault, "mount-max-default", 10, "the file systems of a volume whose pod does not ask")
	flags.StringVar(&s.allowOther, "allow-other", "userns", "which pods may use allow_other, if they ask (allowOther): never, userns (those with hostUsers: false), always")
	flags.StringSliceVar(&s.grant.Types, "fs-types", nil, "the only types that may be mounted, as sshfs,rclone (default: all)")
	flags.BoolVar(&s.grant.VolumeMode, "volume-mode", true, "grant mode: volume")
	flags.IntVar(&s.limits.Idle, "workers", s.limits.Idle, "processes that wait for a request")
	flags.IntVar(&s.limits.Requests, "max-requests", s.limits.Requests, "requests at a time; others wait")
	flags.IntVar(&s.limits.PerUser, "max-requests-per-volume", 4, "requests through one volume at a time; others wait")
	flags.IntVar(&s.limits.Queue, "max-queue-per-volume", 100, "clients of one volume that wait; others are refused")
	flags.IntVar(&s.limits.Watchers, "max-watchers-per-volume", 100, "file systems of one volume with auto_unmount")
	showVersion := flags.BoolP("version", "V", false, "print the version")
	flags.Usage = func() { fmt.Fprint(os.Stdout, usage+flags.FlagUsages()) } // nobody can be told that it failed
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if *showVersion {
		if _, err := fmt.Println("fusermount-csi " + version); err != nil {
			return nil, err
		}
		return nil, pflag.ErrHelp
	}
	return s, s.check(flags.Args())
}

func (s *settings) check(rest []string) error {
	granted := map[string]service.AllowOther{
		"never": service.AllowOtherNever, "userns": service.AllowOtherInUserNamespace, "always": service.AllowOtherAlways,
	}
	var known bool
	if s.grant.AllowOther, known = granted[s.allowOther]; !known {
		return fmt.Errorf("--allow-other %q: neither never nor userns nor always", s.allowOther)
	}
	if len(rest) > 0 {
		return fmt.Errorf("unexpected argument %q", rest[0])
	}
	if s.nodeName == "" {
		return errors.New("--node or NODE_NAME has to name the node")
	}
	if s.stateDir == "" {
		s.stateDir = filepath.Join(s.kubeletDir, "plugins", s.driver)
	}
	for _, path := range []string{s.kubeletDir, s.stateDir, s.worker, s.client} {
		if !filepath.IsAbs(path) {
			return fmt.Errorf("%q is not an absolute path", path)
		}
	}
	l := s.limits
	if min(s.grant.MountMax, s.grant.MountDefault, l.Idle, l.Requests, l.PerUser, l.Queue, l.Watchers) < 1 {
		return errors.New("a limit is less than 1")
	}
	if s.clean <= 0 {
		return errors.New("--clean-interval is not positive")
	}
	return nil
}

func run(ctx context.Context, s *settings, log *slog.Logger) (err error) {
	if os.Geteuid() != 0 {
		return errors.New("only root can mount for others")
	}
	if err := service.Supported(); err != nil {
		return err
	}
	unix.Umask(0) // every mode is given in full
	if s.makeDevice {
		if err := makeDevice(); err != nil {
			return err
		}
	}
	client, err := mountClient(s.client, filepath.Join(s.stateDir, "client"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unmount(filepath.Dir(client))) }()
	n := &node{
		grant: s.grant, kubeletDir: s.kubeletDir, client: client, store: store(filepath.Join(s.stateDir, "volumes")), log: log,
		volumes: map[string]*volume{}, sockets: map[*service.Socket]string{},
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	o := newObserver(log, registry, n.live)
	if s.events {
		events, stop, err := newEvents(s.driver, s.nodeName)
		if err == nil {
			defer stop()
			o.events = events
		} else {
			log.Warn("no events", "error", err)
		}
	}
	n.supervisor, err = service.New(service.Config{
		Limits: s.limits, Program: s.worker,
		Done: func(k *service.Socket, outcome service.Outcome) {
			v := n.of(k)
			if v == nil {
				return
			}
			o.done(v, outcome)
			if err := n.remember(ctx, v.ID); err != nil && ctx.Err() == nil {
				log.Error("a volume's mounts cannot be written down", append(v.attrs(), "error", err)...)
			}
		},
	})
	if err != nil {
		return err
	}
	return serve(ctx, s, n, registry)
}

// serve runs all servers until ctx ends, or one of them fails.
func serve(ctx context.Context, s *settings, n *node, registry *prometheus.Registry) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	endpoint := filepath.Join(s.stateDir, "csi.sock")
	d := &driver{name: s.driver, nodeName: s.nodeName, node: n}
	plugin, announcer := grpc.NewServer(), grpc.NewServer()
	csi.RegisterIdentityServer(plugin, d)
	csi.RegisterNodeServer(plugin, d)
	registration.RegisterRegistrationServer(announcer, &registrar{
		name: s.driver, endpoint: endpoint, told: func(status *registration.RegistrationStatus) {
			n.log.Info("registered with the kubelet", "ok", status.PluginRegistered, "error", status.Error)
		},
	})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{Registry: registry}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		if err := probe(r.Context(), endpoint); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	web := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}

	if err := n.restore(); err != nil {
		return err
	}
	servers := []func() error{
		func() error { return n.supervisor.Run(ctx) },
		func() error { return serveGRPC(endpoint, plugin) },
		func() error {
			path := filepath.Join(s.kubeletDir, "plugins_registry", s.driver+"-reg.sock")
			return errors.Join(serveGRPC(path, announcer), ignoreAbsent(os.Remove(path)))
		},
		func() error { return n.cleanEvery(ctx, s.clean) },
	}
	if s.address != "" {
		servers = append(servers, func() error {
			l, err := listenHTTP(s.address)
			if err == nil {
				err = web.Serve(l)
			}
			if errors.Is(err, http.ErrServerClosed) {
				return nil
			}
			return err
		})
	}
	ended := make(chan error, len(servers))
	for _, server := range servers {
		go func() { ended <- server() }()
	}
	n.log.Info("started", "driver", s.driver, "node", s.nodeName, "version", version)
	stop := context.AfterFunc(ctx, func() {
		announcer.GracefulStop()
		plugin.GracefulStop()
		_ = web.Close() // nobody waits for an answer
	})
	defer stop()
	var failed []error
	for range servers {
		failed = append(failed, <-ended)
		cancel() // one ends, all end
	}
	return errors.Join(failed...)
}

// listenHTTP listens at HOST:PORT, or at unix:PATH in place of an earlier process.
func listenHTTP(address string) (net.Listener, error) {
	path, isUnix := strings.CutPrefix(address, "unix:")
	if !isUnix {
		return net.Listen("tcp", address)
	}
	if err := ignoreAbsent(os.Remove(path)); err != nil {
		return nil, err
	}
	return net.Listen("unix", path)
}

func ignoreAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// cleanEvery calls clean until ctx ends.
func (n *node) cleanEvery(ctx context.Context, interval time.Duration) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := n.clean(ctx); err != nil && ctx.Err() == nil {
				n.log.Error("clean up", "error", err)
			}
		}
	}
}

// makeDevice makes /dev/fuse with mode 0666. Workers open it as the user they work for.
func makeDevice() error {
	const path, major, minor = "/dev/fuse", 10, 229
	if err := ignoreAbsent(os.Remove(path)); err != nil {
		return err
	}
	err := unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(major, minor)))
	if err != nil {
		return &os.PathError{Op: "mknod", Path: path, Err: err}
	}
	return nil
}
