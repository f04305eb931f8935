// Command image writes an image as an OCI layout: no daemon is asked, and the same files give the same
// bytes.
//
//	image -o DIRECTORY --tag NAME:TAG --entrypoint PROGRAM ARCH=FILES...
//
// FILES is the root directory of one architecture: a directory with programs, or a tar file. The layout
// is also written as DIRECTORY.tar, which ctr, podman, skopeo and crane read.
package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/spf13/pflag"
)

func main() {
	log.SetFlags(0)
	out := pflag.StringP("output", "o", "", "the directory of the layout, which is replaced")
	tag := pflag.String("tag", "", "the image's name and tag")
	entrypoint := pflag.String("entrypoint", "", "the program that is started")
	pflag.Parse()
	if err := write(*out, *tag, *entrypoint, pflag.Args()); err != nil {
		log.Fatal("image: ", err)
	}
}

func write(out, tag, entrypoint string, trees []string) error {
	if out == "" || tag == "" || entrypoint == "" || len(trees) == 0 {
		return errors.New("image needs -o DIRECTORY, --tag NAME:TAG, --entrypoint PROGRAM, and ARCH=FILES for each architecture")
	}
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, tree := range trees {
		arch, root, found := strings.Cut(tree, "=")
		if !found {
			return fmt.Errorf("%q is not ARCH=FILES", tree)
		}
		image, err := build(arch, root, entrypoint)
		if err != nil {
			return err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}},
		})
	}
	path, err := layout.Write(out, empty.Index)
	if err != nil {
		return err
	}
	// containerd takes the name from the first annotation, and others the tag from the second.
	_, version, _ := strings.Cut(tag, ":")
	err = path.AppendIndex(index, layout.WithAnnotations(map[string]string{
		"io.containerd.image.name": tag, "org.opencontainers.image.ref.name": version,
	}))
	if err != nil {
		return err
	}
	f, err := os.Create(out + ".tar")
	if err != nil {
		return err
	}
	return errors.Join(archive(out, f, 0o644), f.Close())
}

// build makes the image of one architecture.
func build(arch, root, entrypoint string) (v1.Image, error) {
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return contents(root) },
		tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if image, err = mutate.AppendLayers(image, layer); err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = "linux", arch, v1.Time{Time: time.Unix(0, 0).UTC()}
	config.Config.Entrypoint, config.Config.WorkingDir = []string{entrypoint}, "/"
	config.History = []v1.History{{Created: config.Created, CreatedBy: "kubernetes/cmd/image"}}
	return mutate.ConfigFile(image, config)
}

// contents are the image's files as a tar file.
func contents(root string) (io.ReadCloser, error) {
	info, err := os.Stat(root)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return os.Open(root)
	}
	var buf bytes.Buffer
	if err := archive(root, &buf, 0o755); err != nil {
		return nil, err
	}
	return io.NopCloser(&buf), nil
}

// archive writes the files of a directory as a tar file: in the order of their names, root's, and
// without times.
func archive(dir string, out io.Writer, mode int64) error {
	var names []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		return err
	}
	slices.Sort(names)
	w := tar.NewWriter(out)
	for _, path := range names {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		header := &tar.Header{
			Name: filepath.ToSlash(name), Mode: mode, Size: int64(len(text)), ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR,
		}
		if err := w.WriteHeader(header); err != nil {
			return err
		}
		if _, err := w.Write(text); err != nil {
			return err
		}
	}
	return w.Close()
}
