# The helper is pure Go and static: no C compiler takes part in any target but
# examples, which has a program in C, and test-race, since Go's race detector is C.
export CGO_ENABLED := 0
export GOFLAGS := -trimpath

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
# The program starts in package entry. Without this it refuses to work set-uid.
ENTRY := -E fusermount_entry
# Settings of the Go runtime, in place of the go:debug lines in cmd/fusermount/main.go,
# which they repeat. Only the linker can give it memprofilerate: without it every
# start samples an allocation for a profile that nobody reads. A build without these
# flags is only slower.
GODEBUGS := containermaxprocs=0,updatemaxprocs=0,decoratemappings=0,memprofilerate=0
LDFLAGS := -s -w -buildid= -X main.version=$(VERSION) -X runtime.godebugDefault=$(GODEBUGS)
HELPER := build/fusermount3
FUSECTL := build/fusectl
REFERENCE ?= /bin/fusermount3
FUZZTIME ?= 10s

PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
DESTDIR ?=
MODE ?= setuid
export PREFIX SYSCONFDIR DESTDIR MODE # as they are: no name in them meets a shell's quotes

.DEFAULT_GOAL := help

help: ## print this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build the helper, static and stripped, as build/fusermount3, and fusectl
	go build -buildvcs=false -ldflags '$(ENTRY) $(LDFLAGS)' -o $(HELPER) ./cmd/fusermount
	go build -buildvcs=false -ldflags '$(LDFLAGS)' -o $(FUSECTL) ./cmd/fusectl

demo: build ## mount a small file system as an unprivileged user, read it, unmount it
	cd tools && go build -buildvcs=false -o ../build/demo ./demo
	build/demo -helper $(HELPER)

test: build ## all tests that need nothing but this machine's kernel
	@[ "$$(id -u)" = 0 ] || echo 'Not root: what needs real users is skipped, most tests of the command among it; sudo env PATH="$$PATH" make test runs all.'
	FUSERMOUNT_HELPER=$(CURDIR)/$(HELPER) go test -timeout 240s ./...
	cd tools && FUSERMOUNT_HELPER=$(CURDIR)/$(HELPER) go test -count=1 -timeout 240s $$(go list ./... | grep -v -e '/conformance$$' -e '/races$$' -e '/faults$$' -e '/fuzzcmd$$' -e '/packages$$')
	cd tools/conformance && FUSERMOUNT_HELPER=$(CURDIR)/$(HELPER) go test -count=1 -timeout 240s

test-user: ## "make test" by an ordinary user, in a copy of the tree (root)
	sh testdata/as-user.sh

test-race: build ## the client package under Go's race detector (needs a C compiler)
	@if command -v gcc >/dev/null; then \
		CGO_ENABLED=1 FUSERMOUNT_HELPER=$(CURDIR)/$(HELPER) go test -race -count=1 -timeout 480s .; \
	else \
		echo 'SKIPPED: the race detector needs a C compiler: apt-get install gcc libc6-dev'; \
		[ "$$FUSERMOUNT_TEST_NOSKIP" != 1 ]; \
	fi

test-attacks: build ## races, failures, signals and kills at every system call, and mutants that must lose (root)
	cd tools/races && FUSERMOUNT_HELPER=$(CURDIR)/$(HELPER) go test -count=1 -parallel 4 -timeout 900s
	cd tools/faults && FUSERMOUNT_HELPER=$(CURDIR)/$(HELPER) go test -count=1 -timeout 900s

SOAKTIME ?= 60s

soak: build ## users in parallel, with kills and hung daemons, for SOAKTIME; counts what is left (root)
	cd tools/soak && FUSERMOUNT_HELPER=$(CURDIR)/$(HELPER) SOAKTIME=$(SOAKTIME) go test -count=1 -timeout 0

test-clients: build ## real FUSE programs of Debian with our helper in place (root, installs them)
	sh testdata/clients.sh $(CURDIR)/$(HELPER)

VM := build/vm

test-vm: build ## the same tests on other kernels, under qemu (root, installs it; UPDATE=1 writes the table)
	[ "$$(id -u)" != 0 ] || sh testdata/install.sh qemu-system-x86 strace util-linux
	sh testdata/vm-packages.sh $(VM)/packages
	mkdir -p $(VM)/bin/tests
	go test -c -o $(VM)/bin/tests/ ./internal/mtab ./internal/priv ./internal/seccomp ./internal/connection ./internal/collect
	cd tools && go test -c -o ../$(VM)/bin/tests/ ./conformance ./races && go build -buildvcs=false -o ../$(VM)/bin/ ./vm ./vm/guest
	$(VM)/bin/vm -dir $(VM) -helper $(HELPER) -update=$(if $(UPDATE),true,false)

test-manuals: build ## manual pages and completions, by mandoc, man, bash, zsh and fish (root installs them)
	[ "$$(id -u)" != 0 ] || sh testdata/install.sh mandoc man-db groff-base bash-completion zsh fish
	cd tools && FUSERMOUNT_HELPER=$(CURDIR)/$(HELPER) go test -count=1 -timeout 240s ./docs

test-reference: build ## Debian's C helper through the same command tests (root, installs it)
	sh testdata/install.sh fuse3
	cd tools && FUSERMOUNT_HELPER=$(CURDIR)/$(HELPER) FUSERMOUNT_REFERENCE=$(REFERENCE) go test -count=1 ./conformance

examples: build ## real FUSE libraries (Go and C) mounting through our helper (root)
	[ "$$(id -u)" != 0 ] || sh testdata/install.sh fuse3 libfuse3-dev gcc pkg-config
	cd examples && FUSERMOUNT_HELPER=$(CURDIR)/$(HELPER) go test -count=1 -timeout 240s ./...

fuzz: ## fuzz every parser and the policy for FUZZTIME each; prints the executions
	sh testdata/fuzz.sh $(FUZZTIME)

fuzz-command: build ## odd calls of the helper by an unkind user, for FUZZTIME (root)
	cd tools/fuzzcmd && FUSERMOUNT_HELPER=$(CURDIR)/$(HELPER) go test -count=1 -timeout 0 -run '^$$' -fuzz FuzzCommand -fuzztime $(FUZZTIME) -fuzzminimizetime 20x

lint: ## gofumpt, go vet, staticcheck, and the rules of the house
	sh testdata/lint.sh

bench: build ## time the helper against Debian's, the client package against go-fuse (root, installs fuse3)
	sh testdata/install.sh fuse3
	cd tools && go build -buildvcs=false -o ../build/bench ./bench
	cd tools && go build -buildvcs=false -ldflags '$(LDFLAGS)' -o ../build/empty ./bench/empty
	build/bench -helper $(HELPER) -reference $(REFERENCE) -empty build/empty
	cd examples && go build -buildvcs=false -o ../build/bench-client ./bench
	build/bench-client -helper $(HELPER)

# It does not build: this is for root, whose PATH may have no go, and whose build/
# the user could not write to.
install: ## install what build has made, and what belongs to it (DESTDIR, PREFIX, MODE=setuid or caps)
	@[ -x $(HELPER) ] || { echo "there is no $(HELPER): run 'make build' first, as yourself" >&2; exit 1; }
	@sh packaging/install.sh install $(HELPER)

uninstall: ## remove what install installed, but for settings that were changed
	@sh packaging/install.sh uninstall

include packaging/release.mk

clean: ## remove what was built
	rm -rf build

.PHONY: help build demo test test-user test-race test-attacks test-manuals test-vm test-clients test-reference examples fuzz fuzz-command soak lint bench install uninstall clean
