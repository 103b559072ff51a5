#!/usr/bin/env bash
# The lab goes down, and everything that it made on this machine goes with it. Only the cache stays.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"
# shellcheck source=process.sh
. "$here/process.sh"
# shellcheck source=host.sh
. "$here/host.sh"

if [ ! -e "$LAB_DIR" ]; then
  say "there is none in $LAB_DIR"
  exit 0
fi
[ "$(id -u)" -eq 0 ] || die "the lab is root's: take it down as root"
lock_lab
if [ ! -e "$LAB_DIR/firedrill-lab" ]; then
  # A lab that was interrupted before it made anything leaves an empty directory.
  rmdir "$LAB_DIR" 2>/dev/null || die "$LAB_DIR holds something that is not a lab's; it stays as it is"
  exit 0
fi
rm -f "$LAB_DIR/ready"

# Shims outlive containerd on purpose; they name its socket, by which they are known as ours.
shims() {
  local path words
  for path in /proc/[0-9]*/cmdline; do
    # Whatever ends while it is looked at is nobody's shim.
    { mapfile -d '' -t words <"$path"; } 2>/dev/null || continue
    case "${words[0]:-} ${words[*]:-}" in
      *containerd-shim*" -address $CONTAINERD_SOCKET"*) path=${path%/cmdline} && echo "${path#/proc/}" ;;
    esac
  done
}

no_shims() { [ -z "$(shims)" ]; }

# Who would start things anew ends first: then containers can be ended once and for all.
for part in kube-controller-manager kube-scheduler kubelet; do stop "$part" 10; done
end_containers
for pid in $(shims); do kill -KILL "$pid" 2>/dev/null || true; done
until_true 20 "containers' shims end" "$LOGS/containerd.log" no_shims
for part in kube-proxy kube-apiserver s3 containerd etcd; do stop "$part" 20; done
for part in $(started); do stop "$part" 20; done

services_down
bridge_down
cgroup_down
places_down
put_back_sysctls

# A mount below it would have its contents deleted with it. There is none: they went with containerd's namespace.
mounted=$(awk -v lab="$LAB_DIR/" 'index($5, lab) == 1 {print $5}' /proc/self/mountinfo)
[ -z "$mounted" ] || die "still mounted, so nothing is deleted: $mounted"
rm -rf --one-file-system "$LAB_DIR"
say "down"
