#!/usr/bin/env bash
# Runs the end-to-end checks: what they need of this machine, the cluster's programs, our image, and then the checks with these arguments.
set -euo pipefail
cd "$(dirname "$0")/../.."

[ "$(id -u)" = 0 ] || { echo "run.sh: a cluster runs containers: start it as root" >&2 && exit 1; }
if ! command -v containerd >/dev/null || ! command -v runc >/dev/null || ! command -v buildah >/dev/null || ! command -v iptables >/dev/null ||
	! command -v ip >/dev/null || [ ! -x /usr/lib/cni/ptp ]; then
	packages="containerd runc buildah containernetworking-plugins iptables iproute2"
	command -v apt-get >/dev/null || { echo "run.sh: install $packages: this is no Debian, where it would do so itself" >&2 && exit 1; }
	apt-get update -qq
	# shellcheck disable=SC2086 # a word each
	apt-get install -y -qq --no-install-recommends $packages >/dev/null
fi

cache=${RATIFY_E2E_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ratify-e2e}
mkdir -p "$cache/bin"
export CGO_ENABLED=0 ALIBABA_CLOUD_ECS_METADATA_DISABLED=true
flags='-buildvcs=false -trimpath'
GOFLAGS=$flags go build -o "$cache/e2e" ./test/e2e
"$cache/e2e" -cache "$cache" -check # before minutes of building
GOFLAGS=$flags go build -ldflags '-s -w' -o "$cache/bin/pause" ./test/e2e/pause
RATIFY_E2E_CACHE=$cache test/e2e/build.sh
if [[ " $* " != *" -smoke "* ]]; then # what the upgrade begins and ends with
	make --no-print-directory bin/upstream-ratify
	make --no-print-directory image VARIANT=slim IMAGE=ratify.e2e/ratify:v0.2.0-slim VERSION=v0.2.0 BASE=scratch
	mv bin/image.tar bin/image-next.tar
fi
make --no-print-directory image IMAGE=ratify.e2e/ratify:e2e BASE=scratch
exec "$cache/e2e" -cache "$cache" -image bin/image.tar "$@"
