package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"

	"github.com/go-fusermount/fusermount/internal/keylock"
	"github.com/go-fusermount/fusermount/internal/service"
)

// node makes and removes the volumes of one node.
type node struct {
	grant      grant
	kubeletDir string // the directory with the pods
	client     string // the file that is mounted in volumes
	store      store
	supervisor *service.Supervisor
	log        *slog.Logger

	// at has a lock for each volume, which is held while it is made or removed.
	at keylock.Table[string]

	mu      sync.Mutex
	volumes map[string]*volume         // by id
	sockets map[*service.Socket]string // the ids
}

// errOther says that a volume with this id exists, and is another one.
var errOther = errors.New("a volume with this id is published elsewhere, or with other attributes")

// lock waits for the lock of a volume.
func (n *node) lock(ctx context.Context, id string) (unlock func(), err error) {
	return n.at.Lock(ctx, id, func() error { return nil })
}

func (n *node) find(id string) *volume {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.volumes[id]
}

// publish makes a volume, unless it is there already.
func (n *node) publish(ctx context.Context, want record) error {
	unlock, err := n.lock(ctx, want.ID)
	if err != nil {
		return err
	}
	defer unlock()
	if v := n.find(want.ID); v != nil {
		if v.Target != want.Target || v.Owner != want.Owner || !reflect.DeepEqual(v.Attributes, want.Attributes) {
			return errOther
		}
		if mounted, err := mountinfo.Mounted(v.Target); err != nil || mounted {
			return err
		}
		if err := n.discard(v.record); err != nil { // somebody has unmounted it
			return err
		}
	}
	if err := remove(want.Target); err != nil { // an earlier process has left it unfinished
		return err
	}
	if err := n.store.put(want); err != nil {
		return err
	}
	if err := n.make(want); err != nil {
		return errors.Join(err, n.discard(want))
	}
	n.log.Info("volume published", want.attrs()...)
	return nil
}

// make makes a volume that is not there.
func (n *node) make(r record) error {
	dir, err := create(r.Target, r.Attributes.Mode, n.client)
	if err != nil {
		return err
	}
	if err := n.serve(r, dir); err != nil {
		return err
	}
	r.Complete = true
	return n.store.put(r)
}

// serve listens in a volume. It takes dir over.
func (n *node) serve(r record, dir int) error {
	fd, err := listen(dir)
	if err != nil {
		return errors.Join(err, unix.Close(dir))
	}
	served := -1
	if r.Attributes.Mode == modeVolume {
		served = dir
	}
	r.Complete = true
	v := &volume{record: r, dir: dir, limiter: rate.NewLimiter(linesPerSecond, lineBurst)}
	n.mu.Lock() // the first client may be done before Add returns
	defer n.mu.Unlock()
	if v.socket, err = n.supervisor.Add(fd, r.Attributes.terms(n.grant, served), r.Live); err != nil {
		return errors.Join(err, unix.Close(dir))
	}
	n.volumes[r.ID], n.sockets[v.socket] = v, r.ID
	return nil
}

// unpublish removes a volume. It is done if there is none.
func (n *node) unpublish(ctx context.Context, id, target string) error {
	unlock, err := n.lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	r := record{ID: id, Target: target}
	if v := n.find(id); v != nil {
		if v.Target != target {
			return errOther
		}
		r = v.record
	}
	if err := n.discard(r); err != nil {
		return err
	}
	n.log.Info("volume unpublished", r.attrs()...)
	return nil
}

// discard removes all that there is of a volume. Nobody is served in it any more before it is
// unmounted, so nothing comes back.
func (n *node) discard(r record) error {
	if v := n.find(r.ID); v != nil {
		if err := v.socket.Close(); err != nil {
			n.log.Warn("the socket of a volume", append(r.attrs(), "error", err)...)
		}
		n.mu.Lock()
		delete(n.volumes, r.ID)
		delete(n.sockets, v.socket)
		n.mu.Unlock()
		if err := unix.Close(v.dir); err != nil {
			return err
		}
	}
	if err := remove(r.Target); err != nil {
		return err
	}
	return n.store.delete(r.ID)
}

// restore serves the volumes that earlier processes have made, and removes what they have left.
func (n *node) restore() error {
	records, err := n.store.all()
	if err != nil {
		n.log.Warn("records of volumes", "error", err)
	}
	known := map[string]bool{}
	for _, r := range records {
		known[r.Target] = true
		dir := -1
		err := fs.ErrNotExist
		if r.Complete {
			dir, err = reopen(r.Target)
		}
		if err == nil {
			err = n.serve(r, dir)
		}
		switch {
		case err == nil:
			n.log.Info("volume restored", r.attrs()...)
		case !errors.Is(err, fs.ErrNotExist): // what the pod has mounted stays
			n.log.Error("a volume cannot be served", append(r.attrs(), "error", err)...)
		default: // the kubelet asks again for what its pod still needs
			if err := n.discard(r); err != nil {
				n.log.Error("a volume cannot be removed", append(r.attrs(), "error", err)...)
			}
		}
	}
	return n.removeUnknown(known)
}

// removeUnknown unmounts volumes without a record.
func (n *node) removeUnknown(known map[string]bool) error {
	mounts, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		return m.FSType != "tmpfs" || m.Source != source || m.Root != "/", false
	})
	if err != nil {
		return err
	}
	for _, m := range mounts {
		below, err := filepath.Rel(n.kubeletDir, m.Mountpoint)
		if known[m.Mountpoint] || err != nil || !filepath.IsLocal(below) {
			continue
		}
		n.log.Warn("a volume without a record is removed", "target", m.Mountpoint)
		if err := remove(m.Mountpoint); err != nil {
			return err
		}
	}
	return nil
}

// clean removes the volumes of pods that are gone, which the kubelet has forgotten.
func (n *node) clean(ctx context.Context) error {
	n.mu.Lock()
	all := slices.Collect(maps.Values(n.volumes))
	n.mu.Unlock()
	var failed []error
	for _, v := range all {
		if v.Owner.UID == "" || !filepath.IsLocal(v.Owner.UID) {
			continue
		}
		_, err := os.Lstat(filepath.Join(n.kubeletDir, "pods", v.Owner.UID))
		if !errors.Is(err, fs.ErrNotExist) {
			failed = append(failed, err)
			continue
		}
		n.log.Warn("the pod of a volume is gone", v.attrs()...)
		failed = append(failed, n.unpublish(ctx, v.ID, v.Target))
	}
	return errors.Join(failed...)
}

// remember writes down what clients of a volume have mounted, for the count after a restart.
func (n *node) remember(ctx context.Context, id string) error {
	unlock, err := n.lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	v := n.find(id)
	if v == nil {
		return nil // unpublished meanwhile
	}
	v.Live = v.socket.Live()
	return n.store.put(v.record)
}

// live counts the file systems that are mounted through the sockets of all volumes.
func (n *node) live() (volumes, mounts int) {
	n.mu.Lock()
	all := slices.Collect(maps.Values(n.volumes))
	n.mu.Unlock()
	for _, v := range all {
		mounts += len(v.socket.Live())
	}
	return len(all), mounts
}

// of gives the volume of a socket, or nil if it was removed.
func (n *node) of(k *service.Socket) *volume {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.volumes[n.sockets[k]]
}

// attrs name a volume in the log.
func (r record) attrs() []any {
	return []any{
		"volume", r.ID, "namespace", r.Owner.Namespace, "pod", r.Owner.Pod, "podUID", r.Owner.UID,
		"mode", r.Attributes.Mode, "target", r.Target,
	}
}

// check verifies what a pod's volume needs, before the first one asks.
func (n *node) check() error {
	if !n.supervisor.Works() {
		return errors.New("no worker could be started")
	}
	return nil
}
