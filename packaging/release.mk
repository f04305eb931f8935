# All architectures, packages and releases.

ARCHES ?= amd64 arm64 armv7 386 riscv64 ppc64le s390x loong64 mips64le
RELEASE := build/release
NFPM ?= build/bin/nfpm
CYCLONEDX ?= build/bin/cyclonedx-gomod
SBOM ?= build/bin/sbom

# A release has the same bytes wherever it is built: these override "go env -w", and
# files get the time of the last commit.
export GOAMD64 := v1
export GO386 := sse2
export GOARM64 := v8.0
export GOARM := 7
export GOPPC64 := power8
export GORISCV64 := rva20u64
export GOMIPS64 := hardfloat
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)

goarch = $(patsubst armv7,arm,$(1))

build/linux-%/fusermount3: FORCE
	GOOS=linux GOARCH=$(call goarch,$*) go build -buildvcs=false -ldflags '$(ENTRY) $(GOLDFLAGS)' -o $@ ./cmd/fusermount
	GOOS=linux GOARCH=$(call goarch,$*) go build -buildvcs=false -ldflags '$(GOLDFLAGS)' -o $(@D)/fusectl ./cmd/fusectl
	GOOS=linux GOARCH=$(call goarch,$*) go build -buildvcs=false -ldflags '$(GOLDFLAGS)' -o $(@D)/fusermountd ./cmd/fusermountd

# The client package supports Android, too.
build/android-arm64/fusermount3: FORCE
	GOOS=android GOARCH=arm64 go build ./...
	GOOS=android GOARCH=arm64 go build -buildvcs=false -ldflags '$(GOLDFLAGS)' -o $@ ./cmd/fusermount

cross: $(ARCHES:%=build/linux-%/fusermount3) build/android-arm64/fusermount3 ## build for every architecture, and vet the tests there
	for arch in $(foreach a,$(ARCHES),$(call goarch,$(a))); do GOARCH=$$arch go vet ./... || exit; done

build/bin/nfpm: tools/programs/go.mod
	cd tools/programs && go build -o ../../$@ github.com/goreleaser/nfpm/v2/cmd/nfpm

build/bin/cyclonedx-gomod: tools/programs/go.mod
	cd tools/programs && go build -o ../../$@ github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod

DIST := build/dist
SOURCE := $(DIST)/go-fusermount-$(VERSION).tar.gz

dist: need-go ## the source as a tarball, with vendored modules, in build/dist
	rm -rf $(DIST)
	SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) sh packaging/dist.sh $(VERSION) $(DIST)

packages: dist $(ARCHES:%=build/linux-%/fusermount3) $(NFPM) ## .deb, .rpm, .apk and Arch packages of ARCHES, in build/packages
	@[ '$(SYSCONFDIR:/=)' = /etc ] || { echo 'packages are made for SYSCONFDIR=/etc only' >&2; exit 1; }
	rm -rf build/packages
	for arch in $(ARCHES); do \
		NFPM=$(NFPM) SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) \
		sh packaging/packages.sh $$arch build/linux-$$arch/fusermount3 build/packages $(VERSION) $(SOURCE) || exit; \
	done

build/bin/sbom: tools/sbom/main.go tools/go.mod
	cd tools && go build -buildvcs=false -o ../$@ ./sbom

release: packages $(CYCLONEDX) $(SBOM) ## source, packages, programs, LICENSES, SBOMs and SHA256SUMS, in build/release
	CYCLONEDX=$(CYCLONEDX) SBOM=$(SBOM) sh packaging/release.sh $(VERSION) $(RELEASE) $(ARCHES)

sign: ## sign build/release with the key that SECURITY.md names
	sh packaging/sign.sh sign $(RELEASE)

test-386: build/linux-386/fusermount3 ## the module's tests and the scripts, with 32-bit programs (root)
	GOARCH=386 FUSERMOUNT_HELPER=$(CURDIR)/build/linux-386/fusermount3 go test -short -timeout 480s ./...
	cd tools && GOARCH=386 FUSERMOUNT_HELPER=$(CURDIR)/build/linux-386/fusermount3 \
		go test -count=1 -timeout 240s -run '^TestOurs$$' ./conformance

# Many tests cannot run under qemu's user emulation and skip. It also loses mount ids,
# the descriptors of a truncated message, and sometimes the signals that the Go runtime
# sends to itself, after which it hangs: so does the start of a program that does not exist. It
# refuses to clone with CLONE_PIDFD.
BEYOND_QEMU := ExampleUnmount|TestReceiveMalformed/as_many_as_go|TestStartNotFound|TestCallNoProgram
test-arch: build build/linux-arm64/fusermount3 ## unit tests of other architectures under qemu, and the calls that arm64's filter must allow (root)
	sh testdata/install.sh qemu-user-static strace
	for machine in arm64:aarch64 arm:arm s390x:s390x; do \
		GOARCH=$${machine%:*} FUSERMOUNT_TEST_NOSKIP= GODEBUG=asyncpreemptoff=1 go test -timeout 240s -skip '$(BEYOND_QEMU)' \
		-exec qemu-$${machine#*:}-static . ./internal/... || exit; \
	done
	FUSERMOUNT_TEST_ARCHES=all go test -count=1 ./internal/entry
	cd tools && FUSERMOUNT_ARM64=$(CURDIR)/build/linux-arm64/fusermount3 FUSERMOUNT_CALLS=$(CURDIR)/build/arm64-calls \
		go test -count=1 -run TestForeignCalls ./conformance
	GOARCH=arm64 FUSERMOUNT_CALLS=$(CURDIR)/build/arm64-calls \
		go test -count=1 -run TestTraced -exec qemu-aarch64-static ./internal/seccomp

RECIPES := build/recipes
RELEASE_VERSION := $(shell cat VERSION)
test-packages: need-go ## make packages, with the distributions' tools as well; install, upgrade, remove, lint and list them (root)
	sh testdata/install.sh lintian rpm libarchive-tools libcap2-bin pacman-package-manager makepkg fakeroot nix-bin shellcheck rpmlint mmdebstrap
	$(MAKE) build packages ARCHES=amd64
	SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) sh packaging/dist.sh $(RELEASE_VERSION) $(DIST)
	rm -rf $(RECIPES)
	printf '%s\n' deb rpm arch apk nix | SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) xargs -P 2 -I FORMAT \
		sh testdata/recipes.sh FORMAT $(DIST)/go-fusermount-$(RELEASE_VERSION).tar.gz $(RECIPES) build/debian
	sh testdata/lint-packages.sh $(RECIPES) build/packages
	cd tools && FUSERMOUNT_PACKAGES=$(CURDIR)/build/packages FUSERMOUNT_RECIPES=$(CURDIR)/$(RECIPES) \
		FUSERMOUNT_DIST=$(CURDIR)/$(DIST)/go-fusermount-$(RELEASE_VERSION).tar.gz go test -count=1 ./packages
	cd tools && go build -buildvcs=false -o ../build/holder ./packages/holder
	printf '%s\n' 'bookworm build/packages' 'trixie $(RECIPES)' | xargs -P 2 -L 1 sh -c \
		'DEBIAN=$$2 exec sh testdata/packages.sh "$$0/$$3" build/debian "$$1"' $(CURDIR) $(CURDIR)/build/holder
	sh testdata/packages-held.sh build/debian $(CURDIR)/build/holder $(NFPM) $(RECIPES) \
		$(DIST)/go-fusermount-$(RELEASE_VERSION).tar.gz

test-release: $(NFPM) $(CYCLONEDX) $(SBOM) ## build a release twice, in different environments, compare the bytes, and sign it (root)
	sh testdata/install.sh rpm gpg gpg-agent
	sh testdata/reproducible.sh

FORCE:

.PHONY: cross dist packages release sign test-386 test-arch test-packages test-release FORCE
