module github.com/go-fusermount/fusermount

go 1.24.0

require golang.org/x/sys v0.31.0

require github.com/spf13/pflag v1.1.0
