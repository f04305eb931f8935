module github.com/go-fusermount/fusermount/tools

go 1.24.0

require (
	github.com/CycloneDX/cyclonedx-go v0.9.3
	github.com/cavaliergopher/cpio v1.0.1
	github.com/go-fusermount/fusermount v0.0.0
	github.com/rogpeppe/go-internal v1.14.1
	github.com/santhosh-tekuri/jsonschema/v6 v6.0.3
	golang.org/x/sys v0.31.0
)

require (
	golang.org/x/text v0.14.0 // indirect
	golang.org/x/tools v0.26.0 // indirect
)

replace github.com/go-fusermount/fusermount => ../
