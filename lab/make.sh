#!/usr/bin/env bash
# make.sh NAME DIRECTORY: makes one binary or image into a new directory. Only the cache calls it.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

name=$1
directory=$2
chmod 755 "$directory"

go_flags=(-trimpath -buildvcs=false)
# Static, so that an image needs nothing but the file.
export CGO_ENABLED=0
# Gigabytes of it: in the cache that may be thrown away, not among what other projects build.
export GOCACHE=$CACHE_DIR/go-build

# image ROOTFS SETTING…: an OCI image of one layer, as one file.
image() {
  local rootfs=$1
  shift
  umoci init --layout "$directory/layout"
  umoci new --image "$directory/layout:1"
  umoci raw add-layer --image "$directory/layout:1" "$rootfs"
  umoci config --image "$directory/layout:1" "$@"
  tar -C "$directory/layout" -cf "$directory/$name.tar" .
  rm -rf "$directory/layout" "$rootfs"
}

case $name in
  kubernetes)
    version=k8s.io/component-base/version
    cd "$HERE/kubernetes"
    # Without their version the servers call themselves v0.0.0, and clients ask which API that is.
    timeout 1500 go build "${go_flags[@]}" -o "$directory/kubernetes" -ldflags "-s -w \
      -X $version.gitVersion=$KUBERNETES_VERSION \
      -X $version.gitMajor=${KUBERNETES_MAJOR} -X $version.gitMinor=${KUBERNETES_MINOR}" .
    ;;
  versitygw)
    GOBIN=$directory timeout 900 go install "${go_flags[@]}" -ldflags "-s -w" \
      "github.com/versity/versitygw/cmd/versitygw@$(cat "$HERE/s3/version")"
    ;;
  pause | web)
    mkdir "$directory/rootfs"
    (cd "$HERE/$name" && timeout 600 go build "${go_flags[@]}" -ldflags "-s -w" -o "$directory/rootfs/$name" .)
    tar -C "$directory/rootfs" --owner=0 --group=0 -cf "$directory/rootfs.tar" "$name"
    rm -rf "$directory/rootfs"
    image "$directory/rootfs.tar" --config.entrypoint "/$name" --config.user 65534:65534
    ;;
  patroni)
    bash "$HERE/image/rootfs.sh" "$directory/rootfs.tar"
    image "$directory/rootfs.tar" --config.entrypoint /usr/local/bin/patroni-member --config.user 999:999
    ;;
  *) die "nobody knows how to make $name" ;;
esac
