# The programs are pure Go and static. Only two targets need a C compiler: examples,
# which has a program in C, and test-race, since Go's race detector is C.
export CGO_ENABLED := 0
# GOFLAGS of the environment, such as -mod=vendor, are added to ours.
export GOFLAGS := $(strip -trimpath $(filter-out -trimpath,$(GOFLAGS)))

# VERSION is the file's, with the commit where that is not the release.
VERSION := $(shell sh packaging/version.sh)
# The program starts in package entry. Without this it refuses to work set-uid.
ENTRY := -E fusermount_entry
# Settings of the Go runtime. The first three are the defaults of the version in go.mod, which
# this string replaces: no watching of cgroup files, and no system call to name each mapping.
# Only the linker can set memprofilerate: without it each start samples an allocation for a
# profile that nobody reads. An older Go ignores what it does not know, and a build without
# these flags works, but starts more slowly.
GODEBUGS := containermaxprocs=0,updatemaxprocs=0,decoratemappings=0,memprofilerate=0
# SYMBOLS=1 keeps the symbols, DWARF and the build id, for a debugger or a package of symbols. Flags of
# Go's linker are added from GO_LDFLAGS, and from LDFLAGS on make's command line. In the
# environment, LDFLAGS are those of a C compiler: debhelper, rpmbuild and makepkg set them.
SYMBOLS ?=
GOLDFLAGS := $(strip $(if $(SYMBOLS),,-s -w -buildid=) -X main.version=$(VERSION) \
	-X runtime.godebugDefault=$(GODEBUGS) $(GO_LDFLAGS) $(if $(filter command,$(firstword $(origin LDFLAGS))),$(LDFLAGS)))
HELPER := build/fusermount3
FUSECTL := build/fusectl
SERVICE := build/fusermountd
REFERENCE ?= /bin/fusermount3
FUZZTIME ?= 10s

PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
DESTDIR ?=
MODE ?= setuid
UDEV ?= yes
SBINDIR ?= $(PREFIX:/=)/sbin
ifneq ($(SYSCONFDIR:/=),/etc)
GOLDFLAGS += -X github.com/go-fusermount/fusermount/internal/fuseconf.Path=$(SYSCONFDIR:/=)/fuse.conf
endif
export PREFIX SYSCONFDIR SBINDIR DESTDIR MODE UDEV # by the environment, so that no shell has to quote them

.DEFAULT_GOAL := help

help: ## print this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: need-go need-sysconfdir ## build the programs, static and stripped: build/fusermount3, fusectl, fusermountd
	go build -buildvcs=false -ldflags '$(ENTRY) $(GOLDFLAGS)' -o $(HELPER) ./cmd/fusermount
	go build -buildvcs=false -ldflags '$(GOLDFLAGS)' -o $(FUSECTL) ./cmd/fusectl
	go build -buildvcs=false -ldflags '$(GOLDFLAGS)' -o $(SERVICE) ./cmd/fusermountd
	@sh packaging/check-helper.sh $(HELPER) || { rm -f $(HELPER); exit 1; }
	@printf '%s\n' '$(SYSCONFDIR:/=)' >build/sysconfdir # what install has to agree with

need-go:
	@sh testdata/need-go.sh

need-sysconfdir:
	@case $$SYSCONFDIR in /*) ;; *) false ;; esac && case $$SYSCONFDIR in *[!A-Za-z0-9/._+-]*) false ;; esac || \
		{ echo 'SYSCONFDIR is an absolute path of letters, digits and ._+-' >&2; exit 1; }

demo: build ## mount a small file system as an unprivileged user, read it, kill its daemon, unmount it
	cd tools && go build -buildvcs=false -o ../build/demo ./demo
	build/demo -helper $(HELPER) -fusectl $(FUSECTL) -service $(SERVICE)

trace: build ## show the system calls of one mount and one unmount (needs strace)
	cd tools && go build -buildvcs=false -o ../build/demo ./demo
	sh testdata/trace.sh build/demo $(HELPER)

test: build ## all tests that need only this machine's kernel
	@[ "$$(id -u)" = 0 ] || echo 'Not root: tests that need real users are skipped, most tests of the command among them; sudo env PATH="$$PATH" make test runs all.'
	FUSERMOUNT_HELPER=$(CURDIR)/$(HELPER) go test -timeout 240s ./...
	cd tools && FUSERMOUNT_HELPER=$(CURDIR)/$(HELPER) go test -count=1 -timeout 240s $$(go list ./... | grep -v -e '/conformance$$' -e '/races$$' -e '/faults$$' -e '/fuzzcmd$$' -e '/packages$$' -e '/rooms$$')
	cd tools/conformance && FUSERMOUNT_HELPER=$(CURDIR)/$(HELPER) go test -count=1 -timeout 240s

test-user: ## "make test" by an ordinary user, in a copy of the tree (root)
	sh testdata/as-user.sh

test-rooms: build ## the demo, the scripts and all tests on machines made otherwise (root, some minutes; ALL=ROOM: all tests in that one alone)
	cd tools && go build -buildvcs=false -o ../build/demo ./demo && go test -c -o ../build/conformance.test ./conformance
	cd tools/rooms && ROOMS_ALL='$(ALL)' go test -count=1 -timeout 900s

# go fetches that version.
test-oldest-go: ## the module, the scripts and the examples with the oldest Go, that of go.mod
	GOTOOLCHAIN=go$$(sed -n 's/^go //p' go.mod) $(MAKE) build oldest-go examples

oldest-go:
	FUSERMOUNT_HELPER=$(CURDIR)/$(HELPER) go test -short -timeout 240s ./...
	cd tools && FUSERMOUNT_HELPER=$(CURDIR)/$(HELPER) go test -count=1 -timeout 240s -run '^TestOurs$$' ./conformance

test-race: build ## the client package under Go's race detector (needs a C compiler)
	@if command -v gcc >/dev/null; then \
		CGO_ENABLED=1 FUSERMOUNT_HELPER=$(CURDIR)/$(HELPER) go test -race -count=1 -timeout 480s .; \
	else \
		echo 'SKIPPED: the race detector needs a C compiler: apt-get install gcc libc6-dev'; \
		[ "$$FUSERMOUNT_TEST_NOSKIP" != 1 ]; \
	fi

test-attacks: build ## races, failures, signals and kills at every system call, and mutants that must fail (root)
	cd tools/races && FUSERMOUNT_HELPER=$(CURDIR)/$(HELPER) go test -count=1 -parallel 8 -timeout 900s
	cd tools/faults && FUSERMOUNT_HELPER=$(CURDIR)/$(HELPER) go test -count=1 -timeout 900s

SOAKTIME ?= 60s

soak: build ## users in parallel, with kills and hung daemons, for SOAKTIME; finds what is left over (root)
	cd tools/soak && FUSERMOUNT_HELPER=$(CURDIR)/$(HELPER) SOAKTIME=$(SOAKTIME) go test -count=1 -timeout 0

test-clients: build ## Debian's FUSE programs (sshfs, bindfs, ...) with our helper (root, installs them)
	sh testdata/clients.sh $(CURDIR)/$(HELPER)

test-service: build ## Debian's FUSE programs in containers without rights, with the mount service (root, installs them)
	cd examples && go build -o ../build/hello-gofuse ./hello-gofuse
	sh testdata/service.sh $(CURDIR)/build $(CURDIR)/build/hello-gofuse

VM := build/vm

test-vm: build ## the same tests on other kernels, under qemu (root, installs it; UPDATE=1 writes the table)
	[ "$$(id -u)" != 0 ] || sh testdata/install.sh qemu-system-x86 strace util-linux
	sh testdata/vm-packages.sh $(VM)/packages
	mkdir -p $(VM)/bin/tests
	go test -c -o $(VM)/bin/tests/ ./internal/mtab ./internal/priv ./internal/seccomp ./internal/connection ./internal/collect
	cd tools && go test -c -o ../$(VM)/bin/tests/ ./conformance ./races && go build -buildvcs=false -o ../$(VM)/bin/ ./vm ./vm/guest
	$(VM)/bin/vm -dir $(VM) -helper $(HELPER) -update=$(if $(UPDATE),true,false)

test-manuals: build ## manual pages and completions, with mandoc, man, bash, zsh and fish (root installs them)
	[ "$$(id -u)" != 0 ] || sh testdata/install.sh mandoc man-db groff-base bash-completion zsh fish
	cd tools && FUSERMOUNT_HELPER=$(CURDIR)/$(HELPER) go test -count=1 -timeout 240s ./docs

test-reference: build ## the scripts and command lines with Debian's C helper (root, installs it)
	sh testdata/install.sh fuse3
	cd tools && FUSERMOUNT_HELPER=$(CURDIR)/$(HELPER) FUSERMOUNT_REFERENCE=$(REFERENCE) go test -count=1 -run '^TestReference' ./conformance

examples: build ## real FUSE libraries (Go and C) mounting through our helper (root)
	[ "$$(id -u)" != 0 ] || sh testdata/install.sh fuse3 libfuse3-dev gcc pkg-config
	cd examples && FUSERMOUNT_HELPER=$(CURDIR)/$(HELPER) go test -count=1 -timeout 240s ./...

fuzz: ## fuzz every parser and the policy for FUZZTIME each; prints the executions
	sh testdata/fuzz.sh $(FUZZTIME)

fuzz-command: build ## random hostile calls of the helper, for FUZZTIME (root)
	FUSERMOUNT_HELPER=$(CURDIR)/$(HELPER) sh testdata/fuzz.sh $(FUZZTIME) FuzzCommand tools/fuzzcmd

test-kubernetes: ## the node plugin in a real cluster of one node (root, Debian; builds the cluster)
	$(MAKE) -C kubernetes test-cluster

lint: ## gofumpt, go vet, staticcheck, and the rules of tools/arch
	sh testdata/lint.sh

bench: build ## time the helper against Debian's, the client package against go-fuse (root, installs fuse3)
	sh testdata/install.sh fuse3
	cd tools && go build -buildvcs=false -o ../build/bench ./bench
	cd tools && go build -buildvcs=false -ldflags '$(GOLDFLAGS)' -o ../build/empty ./bench/empty
	build/bench -helper $(HELPER) -reference $(REFERENCE) -service $(SERVICE) -empty build/empty
	cd examples && go build -buildvcs=false -o ../build/bench-client ./bench
	build/bench-client -helper $(HELPER) -service $(SERVICE) -reference $(REFERENCE)

bench-go: build ## mount and unmount as Go benchmarks, for benchstat (root)
	cd tools && FUSERMOUNT_HELPER=$(CURDIR)/$(HELPER) go test -run '^$$' -bench . -count 6 ./bench

# This does not build: root's PATH may have no go, and the user could not overwrite
# what root creates in build/.
install: ## install what "make build" made, and the files that belong to it (DESTDIR, PREFIX, SBINDIR, SYSCONFDIR, MODE=setuid, caps or none, UDEV=yes or no)
	@[ -x $(HELPER) ] || { echo "there is no $(HELPER): run 'make build' first, as yourself" >&2; exit 1; }
	@sh packaging/install.sh install $(HELPER)

uninstall: ## remove what install installed, except changed settings
	@sh packaging/install.sh uninstall

include packaging/release.mk

clean: ## remove what was built
	rm -rf build

.PHONY: help build need-go need-sysconfdir demo test test-user test-rooms test-oldest-go oldest-go test-race test-attacks test-manuals test-vm test-clients test-reference test-kubernetes examples fuzz fuzz-command soak lint bench bench-go trace install uninstall clean
