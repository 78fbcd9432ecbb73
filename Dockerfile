# The image of Ratify: the program as /app/ratify, its plugins in /.ratify/plugins, as upstream's image has them.
#
#   docker buildx build --platform linux/amd64,linux/arm64 --sbom=true --provenance=mode=max \
#     --build-arg VERSION=v1.2.3 --build-arg COMMIT=$(git rev-parse HEAD) -t registry/ratify:v1.2.3 --push .
#
# attaches a software bill of materials and the provenance to the image. With --build-arg VARIANT=slim and the tag v1.2.3-slim it makes the
# image of `make build-slim`, which has no plugins. Without them, `go version -m /app/ratify` tells each module.
# `make image` also builds it without a network: with BASE=scratch and SOURCE=prebuilt, which takes the programs from bin/.

ARG BUILDER=golang:1.26
ARG BASE=gcr.io/distroless/static:nonroot
# The stage that has the programs: build or prebuilt, full or slim.
ARG SOURCE=build
ARG VARIANT=full

# The compiler runs on the builder's own platform and compiles for the image's.
FROM --platform=$BUILDPLATFORM ${BUILDER} AS sources
ARG TARGETOS=linux
ARG TARGETARCH
ARG VERSION=dev
ARG COMMIT=unknown
ARG GOPROXY
WORKDIR /src
COPY . .
RUN rm -rf bin && mkdir -p /out/app /out/.ratify

FROM sources AS build-full
RUN GOOS=$TARGETOS GOARCH=$TARGETARCH make build plugins VERSION="$VERSION" COMMIT="$COMMIT" && \
    mv bin/ratify /out/app/ratify && mv bin/plugins /out/.ratify/plugins

FROM sources AS build-slim
RUN GOOS=$TARGETOS GOARCH=$TARGETARCH make build-slim VERSION="$VERSION" COMMIT="$COMMIT" && mv bin/ratify-slim /out/app/ratify

FROM scratch AS prebuilt-full
COPY bin/ratify /out/app/ratify
COPY bin/plugins /out/.ratify/plugins

FROM scratch AS prebuilt-slim
COPY bin/ratify-slim /out/app/ratify

FROM ${SOURCE}-${VARIANT} AS programs

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
COPY --from=programs /out/ /
ENV RATIFY_CONFIG=/.ratify/
# Requests of Gatekeeper, metrics, health.
EXPOSE 6001 8888 9099
# The user nonroot of distroless images.
USER 65532:65532
ENTRYPOINT ["/app/ratify", "serve", "--http", ":6001"]
