# The image of Ratify: the program as /app/ratify, its plugins in /.ratify/plugins, as upstream's image has them.
#
#   docker buildx build --platform linux/amd64,linux/arm64 --sbom=true --provenance=mode=max \
#     --build-arg VERSION=v1.2.3 --build-arg COMMIT=$(git rev-parse HEAD) -t registry/ratify:v1.2.3 --push .
#
# attaches a software bill of materials and the provenance to the image. With --build-arg VARIANT=slim and the tag v1.2.3-slim it makes the
# image of `make build-slim`, which has no plugins. Without docker,
#
#   buildah bud --platform linux/amd64,linux/arm64 --build-arg BUILDPLATFORM=linux/amd64 \
#     --build-arg VERSION=v1.2.3 --build-arg COMMIT=$(git rev-parse HEAD) --manifest registry/ratify:v1.2.3 .
#   buildah manifest push --all registry/ratify:v1.2.3 docker://registry/ratify:v1.2.3
#
# makes the same image, with neither attached: `go version -m` of each program tells its modules. BUILDPLATFORM is the builder's own platform, which
# not every buildah knows by itself. `make image` also builds it without a network: with BASE=scratch and SOURCE=prebuilt, which takes the programs
# from bin/. `make image-test` tests all of this.

ARG BUILDER=golang:1.26
ARG BASE=gcr.io/distroless/static:nonroot
# The stage that has the programs: build (the default) or prebuilt, full (the default) or slim. The defaults stand below, where buildah sees them.
ARG SOURCE
ARG VARIANT

# The compiler runs on the builder's own platform and compiles for the image's.
FROM --platform=$BUILDPLATFORM ${BUILDER} AS sources
WORKDIR /src
COPY . .
RUN rm -rf bin && mkdir -p /out/app

# With buildah a stage has only the arguments that it names itself.
FROM sources AS build-full
ARG TARGETOS TARGETARCH VERSION=dev COMMIT=unknown GOPROXY
RUN GOOS=$TARGETOS GOARCH=$TARGETARCH make build plugins VERSION="$VERSION" COMMIT="$COMMIT" && \
    mv bin/ratify /out/app/ratify && mkdir /out/.ratify && mv bin/plugins /out/.ratify/plugins

FROM sources AS build-slim
ARG TARGETOS TARGETARCH VERSION=dev COMMIT=unknown GOPROXY
RUN GOOS=$TARGETOS GOARCH=$TARGETARCH make build-slim VERSION="$VERSION" COMMIT="$COMMIT" && mv bin/ratify-slim /out/app/ratify

FROM scratch AS prebuilt-full
COPY bin/ratify /out/app/ratify
COPY bin/plugins /out/.ratify/plugins

FROM scratch AS prebuilt-slim
COPY bin/ratify-slim /out/app/ratify

FROM ${SOURCE:-build}-${VARIANT:-full} AS programs

FROM ${BASE}
ARG BASE
ARG VERSION=dev
ARG COMMIT=unknown
LABEL org.opencontainers.image.title="Ratify for Alibaba Cloud" \
      org.opencontainers.image.description="Verifies the signatures of container images before they run in Kubernetes" \
      org.opencontainers.image.source="https://github.com/ratify-alibabacloud/ratify-alibabacloud" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}" \
      org.opencontainers.image.base.name="${BASE}"
# Prebuilt programs have the mode of the builder's umask.
COPY --from=programs --chmod=0755 /out/ /
ENV RATIFY_CONFIG=/.ratify/
# Requests of Gatekeeper, metrics, health.
EXPOSE 6001 8888 9099
# The user nonroot of distroless images.
USER 65532:65532
ENTRYPOINT ["/app/ratify", "serve", "--http", ":6001"]
