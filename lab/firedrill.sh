#!/usr/bin/env bash
# firedrill.sh PROGRAM: makes firedrill's image with this program in it, and gives it to the lab's node, which must be up. The
# node that has it already is given nothing.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"
# shellcheck source=cache.sh
. "$here/cache.sh"

program=$1
[ -S "$CONTAINERD_SOCKET" ] || die "there is no lab to give an image to: make lab-up"
# Held to the end: whoever has it takes away what an interrupted one left.
lock_cache
base=$(cached firedrill)/firedrill.tar
given=$LAB_DIR/firedrill.given
wanted="$base $(sha256sum <"$program")"
# What the node has by that name, which somebody else may have given.
held() { ctr image ls "name==$IMAGES/firedrill:1" | awk 'NR == 2 { print $3 }'; }
[ ! -e "$given" ] || [ "$(<"$given")" != "$wanted $(held)" ] || exit 0
work=$(mktemp -d "$CACHE_DIR/.image.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/layout" "$work/layer/usr/local/bin"
tar -C "$work/layout" -xf "$base"
# A debug build is mostly line tables.
strip -o "$work/layer/usr/local/bin/firedrill" "$program"
tar -C "$work/layer" --owner=0 --group=0 -cf "$work/layer.tar" usr
umoci raw add-layer --image "$work/layout:1" "$work/layer.tar"
tar -C "$work/layout" -cf "$work/firedrill.tar" .
ctr image import --base-name "$IMAGES/firedrill" "$work/firedrill.tar"
printf '%s %s\n' "$wanted" "$(held)" >"$given"
