package main

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

// driver answers the kubelet: the identity and node services of CSI.
type driver struct {
	csi.UnimplementedIdentityServer
	csi.UnimplementedNodeServer
	name, nodeName string
	node           *node
}

func (d *driver) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: d.name, VendorVersion: version}, nil
}

func (d *driver) GetPluginCapabilities(
	context.Context, *csi.GetPluginCapabilitiesRequest,
) (*csi.GetPluginCapabilitiesResponse, error) {
	return &csi.GetPluginCapabilitiesResponse{}, nil
}

func (d *driver) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	if err := d.node.check(); err != nil {
		return nil, status.Error(codes.FailedPrecondition, err.Error())
	}
	return &csi.ProbeResponse{Ready: wrapperspb.Bool(true)}, nil
}

func (d *driver) NodeGetCapabilities(
	context.Context, *csi.NodeGetCapabilitiesRequest,
) (*csi.NodeGetCapabilitiesResponse, error) {
	return &csi.NodeGetCapabilitiesResponse{}, nil
}

func (d *driver) NodeGetInfo(context.Context, *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	return &csi.NodeGetInfoResponse{NodeId: d.nodeName}, nil
}

func (d *driver) NodePublishVolume(
	ctx context.Context, r *csi.NodePublishVolumeRequest,
) (*csi.NodePublishVolumeResponse, error) {
	capability := r.GetVolumeCapability()
	switch {
	case r.GetVolumeId() == "":
		return nil, invalid("volume_id is missing")
	case !filepath.IsAbs(r.GetTargetPath()):
		return nil, invalid("target_path is missing, or not absolute")
	case capability == nil:
		return nil, invalid("volume_capability is missing")
	case capability.GetBlock() != nil:
		return nil, invalid("the driver has no block volumes")
	case capability.GetMount().GetFsType() != "" || len(capability.GetMount().GetMountFlags()) > 0:
		return nil, invalid("the driver takes neither fsType nor mount options")
	case r.GetReadonly():
		return nil, invalid("the volume cannot be read-only: what is mounted through it can")
	}
	a, o, err := parseAttributes(r.GetVolumeContext(), d.node.grant)
	if err != nil {
		return nil, invalid(err.Error())
	}
	want := record{ID: r.GetVolumeId(), Target: filepath.Clean(r.GetTargetPath()), Owner: o, Attributes: a}
	if err := d.node.publish(ctx, want); err != nil {
		return nil, failure(err)
	}
	return &csi.NodePublishVolumeResponse{}, nil
}

func (d *driver) NodeUnpublishVolume(
	ctx context.Context, r *csi.NodeUnpublishVolumeRequest,
) (*csi.NodeUnpublishVolumeResponse, error) {
	switch {
	case r.GetVolumeId() == "":
		return nil, invalid("volume_id is missing")
	case !filepath.IsAbs(r.GetTargetPath()):
		return nil, invalid("target_path is missing, or not absolute")
	}
	if err := d.node.unpublish(ctx, r.GetVolumeId(), filepath.Clean(r.GetTargetPath())); err != nil {
		return nil, failure(err)
	}
	return &csi.NodeUnpublishVolumeResponse{}, nil
}

func invalid(text string) error { return status.Error(codes.InvalidArgument, text) }

func failure(err error) error {
	switch {
	case errors.Is(err, errOther):
		return status.Error(codes.AlreadyExists, err.Error())
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return status.FromContextError(err).Err()
	}
	return status.Error(codes.Internal, err.Error())
}

// registrar tells the kubelet's plugin watcher of the driver.
type registrar struct {
	registration.UnimplementedRegistrationServer
	name, endpoint string
	told           func(*registration.RegistrationStatus)
}

func (r *registrar) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	return &registration.PluginInfo{
		Type: registration.CSIPlugin, Name: r.name, Endpoint: r.endpoint, SupportedVersions: []string{"1.0.0"},
	}, nil
}

func (r *registrar) NotifyRegistrationStatus(
	_ context.Context, s *registration.RegistrationStatus,
) (*registration.RegistrationStatusResponse, error) {
	r.told(s)
	return &registration.RegistrationStatusResponse{}, nil
}

// serveGRPC serves at a socket that only root can connect to, as the kubelet is, in place of an earlier
// process, until the server is stopped.
func serveGRPC(path string, s *grpc.Server) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	private := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		failed := raw.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), 0o600) }) // bind takes this mode over
		return errors.Join(err, failed)
	}}
	l, err := private.Listen(context.Background(), "unix", path)
	if err != nil {
		return err
	}
	return s.Serve(l)
}

// probe asks the driver at a socket whether it is ready, as the kubelet would.
func probe(ctx context.Context, endpoint string) error {
	const limit = 5 * time.Second
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c, err := grpc.NewClient("unix://"+endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	_, err = csi.NewIdentityClient(c).Probe(ctx, &csi.ProbeRequest{})
	return errors.Join(err, c.Close())
}
