module github.com/go-fusermount/fusermount/examples

go 1.24.0

replace github.com/go-fusermount/fusermount => ../

require (
	bazil.org/fuse v0.0.0-20230120002735-62a210ff1fd5
	github.com/go-fusermount/fusermount v0.0.0
	github.com/hanwen/go-fuse/v2 v2.12.1
	github.com/jacobsa/fuse v0.0.0-20260630194014-a124548f6da7
	golang.org/x/sys v0.31.0
)
