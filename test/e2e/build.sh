#!/usr/bin/env bash
# Builds the programs of the cluster from their Go modules (modules/*) into the cache, one folder a module, named by a hash of what goes in.
# Prints a line a program. What was built before is kept, so a second run takes a second.
#
# usage: build.sh [module]...     (all of them by default)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${RATIFY_E2E_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ratify-e2e}
export GOFLAGS=-buildvcs=false GOWORK=off CGO_ENABLED=0
mkdir -p "$cache/bin"

# One at a time: two would write the same files.
exec 9>"$cache/build.lock"
flock --nonblock 9 || { echo "waiting for another build into $cache …" && flock 9; }

# version MODULE PATH prints the version of a required module.
version() { (cd "$here/modules/$1" && go list -m -f '{{.Version}}' "$2"); }

# build MODULE PROGRAM PACKAGE [LDFLAGS] builds one program, unless the cache has it.
build() {
	local out=$dir/$2 start=$SECONDS
	if [ ! -x "$out" ]; then
		echo "building $2 …"
		(cd "$here/modules/$1" && nice -n 19 go build -trimpath -ldflags "-s -w ${4:-}" -o "$out.new" "$3")
		mv "$out.new" "$out"
		echo "built    $2 in $((SECONDS - start)) s, $(($(stat -c %s "$out") / 1048576)) MiB"
	fi
	ln -sfn "$out" "$cache/bin/$2"
}

# module MODULE builds the programs of one of modules/*.
module() {
	local key
	key=$(cd "$here/modules/$1" && { cat ./*; go version; } | sha256sum | cut -c1-16)
	dir=$cache/$1-$key
	mkdir -p "$dir"
	case $1 in
	k8s)
		local v flags='' p
		v=$(version k8s k8s.io/kubernetes)
		for p in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
			flags="$flags -X $p.gitVersion=$v -X $p.gitMajor=1 -X $p.gitMinor=$(echo "$v" | cut -d. -f2) -X $p.gitTreeState=clean"
			flags="$flags -X $p.gitCommit=module -X $p.buildDate=1970-01-01T00:00:00Z"
		done
		build k8s etcd go.etcd.io/etcd/server/v3
		for p in kube-apiserver kubectl kube-controller-manager kube-scheduler kubelet kube-proxy; do
			build k8s $p k8s.io/kubernetes/cmd/$p "$flags"
		done
		;;
	gatekeeper)
		local p=github.com/open-policy-agent/gatekeeper/v3
		build gatekeeper gatekeeper $p "-X $p/pkg/version.Version=$(version gatekeeper $p)"
		;;
	helm)
		local p=helm.sh/helm/v3
		build helm helm $p/cmd/helm "-X $p/internal/version.version=$(version helm $p)"
		;;
	coredns) build coredns coredns . ;;
	*) echo "build.sh: no module named $1 in $here/modules" >&2 && exit 2 ;;
	esac
	# Builds of earlier versions are of no more use.
	find "$cache" -maxdepth 1 -type d -name "$1-*" ! -path "$dir" -exec rm -r {} +
}

[ $# -gt 0 ] || set -- k8s coredns helm gatekeeper
for m; do module "$m"; done
