// Package minifuse is a FUSE library of its own on the client package alone: it serves
// files that do not change, in one directory. It speaks the protocol of linux/fuse.h.
package minifuse

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount"
)

// File is a file of the file system.
type File struct{ Name, Content string }

// Server serves a mount. Its files' inodes begin behind the root's.
type Server struct {
	*fusermount.Mounted
	files []File
	ended chan struct{}
	err   error // of the loop; valid when it has ended
}

// Mount mounts files at mountpoint and serves them in another goroutine.
func Mount(ctx context.Context, mountpoint string, files []File, opts fusermount.Options) (s *Server, err error) {
	s = &Server{files: files, ended: make(chan struct{})}
	opts.ReadOnly = true
	opts.SyncInit = func(device *os.File) (stop func(), err error) {
		go func() {
			defer close(s.ended)
			s.err = s.serve(device)
		}()
		return func() { <-s.ended }, nil
	}
	s.Mounted, err = fusermount.Mount(ctx, mountpoint, &opts)
	return s, err
}

// Wait waits until the file system has ended.
func (s *Server) Wait() error {
	<-s.ended
	return s.err
}

// Close unmounts, and waits for the loop.
func (s *Server) Close() error {
	err := s.Unmount(context.Background(), &fusermount.UnmountOptions{Policy: fusermount.UnmountLazy})
	if errors.Is(err, fusermount.ErrNotMounted) {
		err = nil
	}
	if err == nil {
		err = s.Wait()
	}
	return errors.Join(err, s.Mounted.Close())
}

// Opcodes, and sizes of structs in bytes.
const (
	lookup, forget, getattr, open, read, release, flush   = 1, 2, 3, 14, 15, 18, 25
	initialize, opendir, readdir, releasedir, batchForget = 26, 27, 28, 29, 42
	root, headerSize, bufferSize                          = 1, 40, 1<<16 + 4096
)

var order = binary.NativeEndian

func (s *Server) serve(device *os.File) error {
	buf := make([]byte, bufferSize)
	for {
		n, err := device.Read(buf)
		switch {
		case errors.Is(err, unix.ENODEV):
			return nil // unmounted
		case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EINTR):
			continue // the request was interrupted
		case err != nil:
			return err
		}
		request := buf[:n]
		opcode := order.Uint32(request[4:])
		if opcode == forget || opcode == batchForget {
			continue // these have no answer
		}
		body, errno := s.answer(opcode, order.Uint64(request[16:]), request[headerSize:])
		reply := order.AppendUint32(nil, uint32(16+len(body)))
		reply = order.AppendUint32(reply, uint32(-int32(errno)))
		reply = append(append(reply, request[8:16]...), body...)
		if _, err := device.Write(reply); err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
}

func (s *Server) answer(opcode uint32, node uint64, in []byte) (out []byte, errno unix.Errno) {
	switch opcode {
	case initialize: // version 7.31, read ahead as the kernel wants, writes of a page
		return append(words(7, 31, order.Uint32(in[8:]), 0, 0, 4096), make([]byte, 40)...), 0
	case open, opendir:
		return make([]byte, 16), 0
	case release, releasedir, flush:
		return nil, 0
	case lookup:
		name := string(bytes.TrimRight(in, "\x00"))
		i := slices.IndexFunc(s.files, func(f File) bool { return f.Name == name })
		if i < 0 {
			return nil, unix.ENOENT
		}
		out = append(order.AppendUint64(nil, uint64(i)+root+1), make([]byte, 32)...) // valid for no time
		return append(out, s.attributes(uint64(i)+root+1)...), 0
	case getattr:
		return append(make([]byte, 16), s.attributes(node)...), 0
	case read:
		text := s.files[node-root-1].Content
		text = text[min(order.Uint64(in[8:]), uint64(len(text))):]
		return []byte(text[:min(int(order.Uint32(in[16:])), len(text))]), 0
	case readdir:
		for i := order.Uint64(in[8:]); i < uint64(len(s.files)); i++ {
			name := s.files[i].Name
			entry := order.AppendUint64(order.AppendUint64(nil, i+root+1), i+1) // i+1: where to read on
			entry = append(append(entry, words(uint32(len(name)), unix.DT_REG)...), name+strings.Repeat("\x00", -len(name)&7)...)
			if len(out)+len(entry) > int(order.Uint32(in[16:])) {
				break
			}
			out = append(out, entry...)
		}
		return out, 0
	}
	return nil, unix.ENOSYS
}

// attributes is a struct fuse_attr.
func (s *Server) attributes(inode uint64) []byte {
	size, mode := 0, uint32(unix.S_IFDIR|0o555)
	if inode != root {
		size, mode = len(s.files[inode-root-1].Content), unix.S_IFREG|0o444
	}
	out := append(order.AppendUint64(order.AppendUint64(nil, inode), uint64(size)), make([]byte, 8+24+12)...) // blocks, times
	return append(out, words(mode, 1, uint32(os.Getuid()), uint32(os.Getgid()), 0, 4096, 0)...)
}

func words(values ...uint32) (out []byte) {
	for _, v := range values {
		out = order.AppendUint32(out, v)
	}
	return out
}
