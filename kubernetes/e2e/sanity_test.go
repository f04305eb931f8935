package e2e

import (
	"context"
	"net"
	"path/filepath"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/kubernetes-csi/csi-test/v5/pkg/sanity"
	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
	"google.golang.org/grpc"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// notForNodes are the parts of the suite that do not apply: an inline ephemeral volume has no
// controller, is neither staged nor expanded, and has no statistics. The rest has to pass.
var notForNodes = []string{
	`\[Controller Server\]`, "NodeStageVolume", "NodeUnstageVolume", "NodeGetVolumeStats", "NodeExpandVolume",
}

// namer makes up the ids of volumes, as the kubelet does for inline ones. The suite wants to hear
// them from a controller, and asks that for the driver's identity, too.
type namer struct {
	csi.UnimplementedIdentityServer
	csi.UnimplementedControllerServer
	driver csi.IdentityClient
}

func (n namer) GetPluginInfo(ctx context.Context, r *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return n.driver.GetPluginInfo(ctx, r)
}

func (n namer) Probe(ctx context.Context, r *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return n.driver.Probe(ctx, r)
}

func (namer) GetPluginCapabilities(
	context.Context, *csi.GetPluginCapabilitiesRequest,
) (*csi.GetPluginCapabilitiesResponse, error) {
	service := &csi.PluginCapability_Service{Type: csi.PluginCapability_Service_CONTROLLER_SERVICE}
	return &csi.GetPluginCapabilitiesResponse{
		Capabilities: []*csi.PluginCapability{{Type: &csi.PluginCapability_Service_{Service: service}}},
	}, nil
}

func (namer) ControllerGetCapabilities(
	context.Context, *csi.ControllerGetCapabilitiesRequest,
) (*csi.ControllerGetCapabilitiesResponse, error) {
	create := &csi.ControllerServiceCapability_Rpc{Rpc: &csi.ControllerServiceCapability_RPC{
		Type: csi.ControllerServiceCapability_RPC_CREATE_DELETE_VOLUME,
	}}
	return &csi.ControllerGetCapabilitiesResponse{Capabilities: []*csi.ControllerServiceCapability{{Type: create}}}, nil
}

func (namer) CreateVolume(_ context.Context, r *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	return &csi.CreateVolumeResponse{Volume: &csi.Volume{VolumeId: "id-of-" + r.GetName()}}, nil
}

func (namer) DeleteVolume(context.Context, *csi.DeleteVolumeRequest) (*csi.DeleteVolumeResponse, error) {
	return &csi.DeleteVolumeResponse{}, nil
}

// The driver passes what the CSI project asks of every driver.
func TestSanity(t *testing.T) {
	p := startPlugin(t)
	dir := fusetest.Dir(t, 0)
	l, err := net.Listen("unix", filepath.Join(dir, "namer"))
	helpertest.Must(t, err)
	s := grpc.NewServer()
	controller := namer{driver: csi.NewIdentityClient(p.conn)}
	csi.RegisterIdentityServer(s, controller)
	csi.RegisterControllerServer(s, controller)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	defer func() {
		s.Stop()
		helpertest.Must(t, <-served)
	}()

	c := sanity.NewTestConfig()
	c.Address, c.ControllerAddress = p.state("csi.sock"), l.Addr().String()
	c.TargetPath, c.StagingPath = filepath.Join(dir, "target"), filepath.Join(dir, "staging")
	gomega.RegisterFailHandler(ginkgo.Fail)
	suite, reporter := ginkgo.GinkgoConfiguration()
	suite.SkipStrings, reporter.NoColor, reporter.Succinct = notForNodes, true, true
	context := sanity.GinkgoTest(&c)
	ginkgo.RunSpecs(t, "CSI", suite, reporter)
	context.Finalize()
	p.wantNothing()
}
