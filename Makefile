# Ratify for Alibaba Cloud. `make help` lists what there is.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT  ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)
BUILD   := go build -ldflags '$(LDFLAGS)'
RATIFY  := bin/ratify

# What makes the program smaller, and no slower: gRPC without its page of traces, whose html/template would make the linker keep every exported
# method there is; and the Kubernetes API's types and clients, the largest part and far from each request, without inlining, as Protocol Buffers are.
TAGS  := grpcnotrace
COLD  := -gcflags=k8s.io/...=-l -gcflags=sigs.k8s.io/...=-l -gcflags=google.golang.org/protobuf/...=-l

# The signing plugin. Notation wants a semantic version without "v", which a commit alone is not.
PLUGIN         := notation-alibabacloud.secretmanager.plugin
PLUGIN_VERSION  = $(shell echo '$(VERSION)' | sed -E -e 's/^v?([0-9]+\.[0-9]+\.[0-9]+)/\1/' -e t -e 's/.*/0.0.0-dev+&/')
BUILD_PLUGIN    = go build -ldflags '-s -w -X main.version=$(PLUGIN_VERSION)'

# How long each fuzz test runs.
FUZZTIME ?= 30s

# One set of flags for all that is not tested, so that what lint compiled need not be compiled again. The race detector needs cgo.
export CGO_ENABLED := 0
export GOFLAGS := -buildvcs=false -trimpath
export ALIBABA_CLOUD_ECS_METADATA_DISABLED := true

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/ratify, static and stamped with version and commit
	$(BUILD) -tags $(TAGS) $(COLD) -o $(RATIFY) ./cmd/ratify

# It has Notation, inline and KMS key material, credentials for ACR, Docker and Kubernetes, the JSON policy, and external plugins.
.PHONY: build-slim
build-slim: ## Build bin/ratify-slim, without cosign, Rego, Azure and AWS, and print its size
	$(MAKE) build VERSION='$(VERSION)-slim' RATIFY=bin/ratify-slim TAGS=$(TAGS),slim
	@echo "bin/ratify-slim: $$(wc -c <bin/ratify-slim) bytes"

.PHONY: plugin
plugin: ## Build the Notation plugin that signs with KMS into bin/
	$(BUILD_PLUGIN) -o bin/$(PLUGIN) ./plugins/notation/$(PLUGIN)

# Archives have the names that those of Alibaba Cloud's own plugin have, and the same commit gives the same bytes.
.PHONY: release
release: ## Build the archives of the Notation plugin into bin/release (VERSION=v1.2.3)
	rm -rf bin/release && mkdir -p bin/release
	@set -e; for platform in Linux_x86_64 Linux_arm64 Darwin_x86_64 Darwin_arm64; do \
	  archive=bin/release/notation-alibabacloud-secret-manager_$$platform.tar.gz; \
	  echo $$archive; \
	  folder=bin/release/$$platform; mkdir $$folder; \
	  cp LICENSE $$folder/LICENSE; cp docs/signing.md $$folder/README.md; \
	  GOOS=$$(echo $${platform%%_*} | tr A-Z a-z) GOARCH=$$(echo $${platform#*_} | sed s/x86_64/amd64/) \
	    $(BUILD_PLUGIN) -o $$folder/$(PLUGIN) ./plugins/notation/$(PLUGIN); \
	  tar -C $$folder --sort=name --mtime=@$$(git log -1 --format=%ct) --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX \
	    -cf $${archive%.gz} LICENSE README.md $(PLUGIN); \
	  gzip -n $${archive%.gz}; \
	  rm -r $$folder; \
	done
	cd bin/release && sha256sum *.tar.gz >checksums.txt

.PHONY: test
test: ## Run all tests with the race detector
	CGO_ENABLED=1 go test -race -timeout 10m ./...
	CGO_ENABLED=1 go test -race -tags slim ./pkg/builtin

.PHONY: lint
lint: export GOFLAGS += -tags=$(TAGS) $(COLD)
lint: ## Check format, vet, staticcheck and that each go.mod is tidy
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$unformatted" || { echo "gofmt: $$unformatted"; exit 1; }
	go mod tidy -diff
	go mod tidy -C test/tools -diff
	go mod tidy -C test/tools/benchstat -diff
	go mod tidy -C test/upstream -diff
	go mod tidy -C test/chart -diff
	go vet ./...
	go vet -tags $(TAGS),slim ./cmd/ratify ./pkg/...
	go tool staticcheck ./...

.PHONY: manifests
manifests: ## Generate the CRDs and config/rbac
	go run -C test/chart ./manifests/generate

.PHONY: chart-test
chart-test: ## Test the chart, against upstream's, too
	go vet -C test/chart ./...
	go test -C test/chart ./...

.PHONY: fuzz
fuzz: ## Run every fuzz test for FUZZTIME (30s)
	@for folder in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do \
	  for test in $$(grep -ho '^func Fuzz[A-Za-z0-9]*' $$folder/*_test.go | cut -d' ' -f2); do \
	    echo "$$folder $$test"; \
	    go test -run '^$$' -fuzz "^$$test\$$" -fuzztime $(FUZZTIME) $$folder || exit 1; \
	  done; \
	done

.PHONY: demo
demo: build plugin ## Sign images with KMS, serve, and ask as Gatekeeper does, on an emulated cloud
	@go run ./test/demo -ratify bin/ratify -plugin bin/$(PLUGIN)

.PHONY: compat
compat: build ## Compare the verdicts with those of upstream's own binary (builds it; needs root)
	$(MAKE) bin/upstream-ratify
	RATIFY_BINARY=$(CURDIR)/bin/ratify RATIFY_UPSTREAM_BINARY=$(CURDIR)/bin/upstream-ratify go test -count=1 -v ./test/compat

bin/upstream-ratify: test/upstream/go.mod
	go build -C test/upstream -ldflags '-s -w' -o $(CURDIR)/$@ github.com/ratify-project/ratify/cmd/ratify

# BENCH=-quick shows in a minute that all of it runs; -run cold measures one scenario. A target that is missed is no failure: it is on the page.
.PHONY: bench
bench: build build-slim ## Measure our binary and upstream's side by side (builds it; needs root) and write docs/benchmarks.md
	$(MAKE) bin/upstream-ratify
	@go run ./test/bench $(BENCH)

# make gobench at one revision, at another, and then make benchcmp with both files: figures of two machines do not compare.
BENCH_TO    ?= bin/gobench/$(COMMIT).txt
BENCH_COUNT ?= 10

.PHONY: gobench
gobench: ## Run the Go benchmarks of the hot functions, and write the figures to bin/gobench/COMMIT.txt
	@mkdir -p $(dir $(BENCH_TO))
	go test -run '^$$' -bench . -benchmem -count $(BENCH_COUNT) $$(grep -rl --include='*_test.go' '^func Benchmark' internal pkg | xargs -n1 dirname | sort -u | sed 's|^|./|') >$(BENCH_TO) \
	  || { cat $(BENCH_TO); exit 1; }
	@echo $(BENCH_TO)

.PHONY: benchcmp
benchcmp: bin/benchstat ## Compare two files of make gobench (OLD=a.txt NEW=b.txt)
	bin/benchstat $(OLD) $(NEW)

bin/benchstat: test/tools/benchstat/go.mod
	go build -C test/tools/benchstat -ldflags '-s -w' -o $(CURDIR)/$@ golang.org/x/perf/cmd/benchstat

.PHONY: plugins
plugins: ## Build upstream's verifier plugins into bin/plugins
	go build -C test/upstream -ldflags '-s -w' -o $(CURDIR)/bin/plugins/ $(addprefix github.com/ratify-project/ratify/plugins/verifier/, \
	  sbom vulnerabilityreport licensechecker schemavalidator)

.PHONY: stock-plugins
stock-plugins: ## Build the plugins for a stock Ratify, and the command that publishes them, into bin/
	go build -ldflags '-s -w' -o bin/stock-plugins/ ./plugins/referrerstore/alibabacloudacr ./plugins/verifier/alibabacloudnotation
	go build -ldflags '-s -w' -o bin/publish ./plugins/publish

.PHONY: stock-test
stock-test: build plugin stock-plugins ## Check the plugins with upstream's own binary (builds it; needs root, or user namespaces)
	$(MAKE) bin/upstream-ratify
	@go run ./test/stock -upstream bin/upstream-ratify -ratify bin/ratify -plugins bin/stock-plugins -publish bin/publish -signing-plugin bin/$(PLUGIN)

.PHONY: interop
interop: build plugin bin/notation bin/cosign plugins ## Run each signing toolchain and each feature end to end, and print a table
	@go run ./test/interop -ratify bin/ratify -notation bin/notation -cosign bin/cosign -plugins bin/plugins -signing-plugin bin/$(PLUGIN)

bin/notation: test/tools/go.mod
	go build -C test/tools -ldflags '-s -w' -o $(CURDIR)/$@ github.com/notaryproject/notation/cmd/notation

bin/cosign: test/tools/cosign/go.mod
	go build -C test/tools/cosign -ldflags '-s -w' -o $(CURDIR)/$@ github.com/sigstore/cosign/v2/cmd/cosign

# The image of the programs in bin/. BASE=scratch needs no network. Releases for several platforms are compiled in it: see Dockerfile.
# VARIANT=slim makes that of build-slim, GOARCH=arm64 that of another platform.
VARIANT       ?= full
PROGRAMS_full := build plugins
PROGRAMS_slim := build-slim
IMAGE      ?= ratify:$(VERSION)$(if $(filter slim,$(VARIANT)),-slim)
BASE       ?= gcr.io/distroless/static:nonroot
IMAGE_ARGS  = --platform linux/$$(go env GOARCH) --build-arg SOURCE=prebuilt --build-arg VARIANT=$(VARIANT) --build-arg BASE=$(BASE) \
  --build-arg VERSION=$(VERSION) --build-arg COMMIT=$(COMMIT) -t $(IMAGE)
BUILDAH     = buildah --storage-driver vfs --root $(CURDIR)/bin/buildah --runroot $(CURDIR)/bin/buildah/run

.PHONY: image
image: export GOOS := linux
image: $(PROGRAMS_$(VARIANT)) ## Build the image IMAGE (of VARIANT full or slim) on BASE with docker or buildah, and write it to bin/image.tar
	@rm -rf bin/buildah bin/image.tar
	@if docker info >/dev/null 2>&1; then \
	  docker build $(IMAGE_ARGS) . && docker save -o bin/image.tar $(IMAGE); \
	else \
	  $(BUILDAH) bud --quiet --isolation chroot $(IMAGE_ARGS) . >/dev/null && \
	  $(BUILDAH) push --quiet $(IMAGE) docker-archive:bin/image.tar:$(IMAGE) && \
	  rm -rf bin/buildah; \
	fi
	@echo "image $(IMAGE): $$(($$(wc -c <bin/image.tar) / 1048576)) MiB, compressed $$(($$(gzip -1 <bin/image.tar | wc -c) / 1048576)) MiB: bin/image.tar"

# The builder and what it compiled are kept in ~/.cache/ratify-image. Needs root.
.PHONY: image-test
image-test: ## Build the images of a release, full and slim, for amd64 and arm64, from the sources, and check them
	test/image/run.sh

# The cluster's programs are built once, into ~/.cache/ratify-e2e. Needs root.
.PHONY: e2e
e2e: ## Run all on a real Kubernetes with a real Gatekeeper, of which it builds the programs first
	test/e2e/run.sh

.PHONY: e2e-smoke
e2e-smoke: ## The short part of e2e: install, admit, block, change trust, uninstall
	test/e2e/run.sh -smoke

.PHONY: emulator
emulator: ## Run the emulated cloud and print how to use it
	@go run ./test/emulator/cmd/emulator

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin
