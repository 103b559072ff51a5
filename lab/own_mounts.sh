#!/usr/bin/env bash
# own_mounts.sh COMMAND…: becomes COMMAND where mounts are its own. Called under `unshare --mount`.
#
# containerd and the kubelet mount a lot, and some of their directories cannot be chosen. In a mount namespace of their own
# both go with the last process: the machine never sees a mount of the lab, and the directories are the lab's own there.
set -euo pipefail
# shellcheck source=settings.sh
. "$(dirname "$0")/settings.sh"

# Nothing gets out; within, mounts are passed on, since volumes have to reach containers that are there already.
mount --make-rprivate /
mount --make-rshared /

for place in $PLACES; do
  mkdir -p "$LAB_DIR/own$place"
  mount --bind "$LAB_DIR/own$place" "$place"
done
exec "$@"
