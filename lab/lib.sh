# shellcheck shell=bash
# What every part of the lab says, waits and fails with.

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=settings.sh
. "$HERE/settings.sh"

say() { printf 'lab: %s\n' "$*"; }

die() {
  printf 'lab: %s\n' "$*" >&2
  exit 1
}

now_ms() { date +%s%3N; }

# What a command answers when there is nothing to wait for any more.
HOPELESS=99

# until_true SECONDS WHAT LOG COMMAND…: waits until COMMAND succeeds; fails with what it waited for and the log to read,
# at once if COMMAND answers that it is hopeless.
until_true() {
  local seconds=$1 what=$2 log=$3 said status deadline
  shift 3
  deadline=$(($(now_ms) + seconds * 1000))
  while true; do
    status=0
    said=$("$@" 2>&1) || status=$?
    [ "$status" -ne 0 ] || return 0
    if [ "$status" -eq "$HOPELESS" ] || [ "$(now_ms)" -ge "$deadline" ]; then
      [ -z "$said" ] || printf '     %s\n' "$(tail -n 3 <<<"$said")" >&2
      die "waited at most $seconds s in vain until $what; read $log"
    fi
    sleep 0.2
  done
}

# The node's own kubectl, so that no other has to be there.
kubectl() {
  # What it learns of the API is kept with this lab: by default it would stay in the home directory.
  "$LAB_DIR/bin/kubectl" --kubeconfig "$KUBECONFIG_FILE" --cache-dir "$LAB_DIR/kubectl" --request-timeout=20s "$@"
}

ctr() { command ctr --address "$CONTAINERD_SOCKET" --namespace k8s.io "$@"; }

# One at a time: the lock is on the run directory itself, so that no file of it stays.
lock_lab() {
  mkdir -p "$LAB_DIR"
  exec 9<"$LAB_DIR"
  flock -w 5 9 || die "another lab-up or lab-down is at work on $LAB_DIR; wait for it"
  # Whoever had the lock may have taken the directory away meanwhile.
  [ "$LAB_DIR" -ef /proc/self/fd/9 ] || die "$LAB_DIR was taken down just now; try again"
}
