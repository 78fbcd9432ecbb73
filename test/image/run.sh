#!/usr/bin/env bash
# Builds the image as a release does, from the sources in this checkout, full and slim, for amd64 and arm64, and checks what came out (main.go).
# No registry is asked: the builder is a Debian with this machine's Go in the place of golang:1.26, and an empty image with the user nonroot and the
# certificates of authorities is in the place of distroless. Debian and Go modules are downloaded once. Needs root.
set -euo pipefail
cd "$(dirname "$0")/../.."

# Everything runs in namespaces of its own: however this ends, no process and no mount stays behind.
if [ $# = 0 ]; then
	[ "$(id -u)" = 0 ] || { echo "run.sh: buildah and debootstrap need root here: start it as root" >&2 && exit 1; }
	for tool in go make git tar unshare flock; do
		command -v $tool >/dev/null || { echo "run.sh: there is no $tool: install it" >&2 && exit 1; }
	done
	packages=
	for package in buildah debootstrap qemu-user-static; do
		program=${package/qemu-user-static/qemu-aarch64-static}
		command -v "$program" >/dev/null || packages="$packages $package"
	done
	if [ -n "$packages" ]; then
		command -v apt-get >/dev/null || { echo "run.sh: install$packages: this is no Debian, where it would do so itself" >&2 && exit 1; }
		apt-get update -qq
		# shellcheck disable=SC2086 # a word each
		apt-get install -y -qq --no-install-recommends $packages >/dev/null
	fi
	work=$(mktemp -d "${TMPDIR:-/tmp}/ratify-image-XXXXXX")
	inside=
	# shellcheck disable=SC2317,SC2329 # the trap calls it
	clean() {
		[ -z "$inside" ] || { kill "$inside" 2>/dev/null && wait "$inside"; } || true
		rm -rf --one-file-system "$work"
	}
	trap clean EXIT
	trap 'exit 130' INT TERM HUP
	unshare --mount --pid --fork --kill-child --mount-proc "$0" "$work" &
	inside=$!
	result=0
	wait "$inside" || result=$?
	inside=
	exit $result
fi

work=$1
cache=${XDG_CACHE_HOME:-$HOME/.cache}/ratify-image
suite=bookworm
names=localhost/ratify-image-test
mkdir -p "$cache/gocache"
exec 9>"$cache/lock"
flock --nonblock 9 || { echo "waiting for another run with $cache …" && flock 9; }

say() { echo "        $* ($SECONDS s)"; }

# buildah keeps its images in the working folder, which goes. Isolation by chroot works in a container, too.
buildah() { BUILDAH_ISOLATION=chroot command buildah --storage-driver vfs --root "$work/store" --runroot "$work/run" "$@"; }

# quietly runs a command, and prints what it said only if it failed.
quietly() { "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2 && return 1; }; }

# The builder: what golang:1.26 has that the build needs, but for Go, which is mounted. The same variables are set.
debian=$cache/$suite
if [ ! -d "$debian" ]; then
	say "downloading Debian $suite"
	rm -rf --one-file-system "$debian.new"
	quietly debootstrap --variant=minbase --include=make,ca-certificates "$suite" "$debian.new"
	rm -rf "$debian.new"/var/cache/apt/archives/*.deb
	mv "$debian.new" "$debian"
fi
container=$(buildah from scratch)
quietly buildah add "$container" "$debian" /
buildah config --env PATH=/go/bin:/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
	--env GOPATH=/go --env GOTOOLCHAIN=local --workingdir /go "$container"
quietly buildah commit --rm "$container" $names/golang
say "the builder is ready"

# The base.
mkdir -p "$work/base/etc/ssl/certs"
echo 'nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin' >"$work/base/etc/passwd"
echo 'nonroot:x:65532:' >"$work/base/etc/group"
cp "$debian/etc/ssl/certs/ca-certificates.crt" "$work/base/etc/ssl/certs/"
printf 'FROM scratch\nCOPY etc /etc\n' >"$work/base/Dockerfile"
platforms=linux/amd64,linux/arm64
quietly buildah bud --platform $platforms --manifest $names/base "$work/base"

# The sources as they are now, so that edits in the meantime do no harm.
version=v0.0.0-imagetest
commit=$(git rev-parse HEAD)
mkdir "$work/src"
git ls-files -z --cached --others --exclude-standard --deduplicate |
	tar -c --null --files-from=- --ignore-failed-read | tar -x -C "$work/src"

# What the image of the same sources has to be like: made of programs that were compiled here.
quietly make -C "$work/src" build plugins build-slim VERSION=$version COMMIT="$commit"
say "the programs are compiled on this machine"

# image NAME OPTION... makes an image, and writes it to a folder as a registry would have it. With the same time, the same content has the same digest.
epoch=$(git log -1 --format=%ct)
image() {
	local name=$1
	shift
	quietly buildah bud --timestamp "$epoch" --build-arg BUILDER=$names/golang --build-arg BASE=$names/base \
		--build-arg VERSION=$version --build-arg COMMIT="$commit" --manifest "$names/$name" "$@" "$work/src"
	quietly buildah manifest push --all "$names/$name" "oci:$work/$name"
	say "the image $name is made"
}

native=linux/$(go env GOHOSTARCH)
release=(--platform $platforms --build-arg BUILDPLATFORM="$native" --build-arg GOPROXY="$(go env GOPROXY)"
	-v "$(go env GOROOT):/usr/local/go:ro" -v "$(go env GOMODCACHE):/go/pkg/mod" -v "$cache/gocache:/root/.cache/go-build")
image prebuilt-full --platform "$native" --build-arg SOURCE=prebuilt
image prebuilt-slim --platform "$native" --build-arg SOURCE=prebuilt --build-arg VARIANT=slim
image build-full "${release[@]}"
image build-slim "${release[@]}" --build-arg VARIANT=slim

CGO_ENABLED=0 go build -buildvcs=false -o "$work/check" ./test/image
"$work/check" -images "$work" -programs "$work/src/bin" -version $version -commit "$commit" -base $names/base
