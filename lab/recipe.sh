# shellcheck shell=bash
# What the recipes (*/make.sh DIRECTORY) have in common: each fills a new directory with one binary or one image.

set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# The directory of the recipe, and the one to fill.
recipe=$(cd "$(dirname "$0")" && pwd)
directory=$1
chmod 755 "$directory"

# Static, so that an image needs nothing but the file.
export CGO_ENABLED=0
# Gigabytes of it: in the cache that may be thrown away.
export GOCACHE=$CACHE_DIR/go-build
# What is half done when it is interrupted goes with the directory.
export TMPDIR=$directory

# program NAME LINKER-FLAG…: the Go program of the recipe's directory.
program() {
  local name=$1
  shift
  (cd "$recipe" && timeout 2400 go build -trimpath -buildvcs=false -ldflags "-s -w $*" -o "$directory/$name" .)
}

# image NAME ROOTFS SETTING…: an OCI image of one layer, as one file.
image() {
  local name=$1
  shift
  begin_image "$@"
  end_image "$name"
}

# begin_image ROOTFS SETTING…: the same, but further layers may follow; end_image makes the file.
begin_image() {
  local rootfs=$1
  shift
  umoci init --layout "$directory/layout"
  umoci new --image "$directory/layout:1"
  umoci raw add-layer --image "$directory/layout:1" "$rootfs"
  umoci config --image "$directory/layout:1" "$@"
  rm "$rootfs"
}

# further_image TAG ROOTFS: the image of tag 1 with one layer more, under a tag of its own. What they share is there once.
further_image() {
  umoci raw add-layer --image "$directory/layout:1" --tag "$1" "$2"
  rm "$2"
}

# end_image NAME: all tags in one file.
end_image() {
  tar -C "$directory/layout" -cf "$directory/$1.tar" .
  rm -rf "$directory/layout"
}

# program_image NAME: an image that is one program, which may be nobody.
program_image() {
  local name=$1
  program "$name"
  tar -C "$directory" --owner=0 --group=0 -cf "$directory/rootfs.tar" "$name"
  rm "$directory/$name"
  image "$name" "$directory/rootfs.tar" --config.entrypoint "/$name" --config.user 65534:65534
}
