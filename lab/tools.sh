# shellcheck shell=bash
# What the lab needs of the machine, and whether it is there.

PROGRAMS="containerd runc nft conntrack mmdebstrap umoci ip ss openssl curl flock nsenter"

# One line for all programs that are missing; nothing when there are none.
missing_tools() {
  local program missing=()
  for program in $PROGRAMS; do command -v "$program" >/dev/null || missing+=("$program"); done
  [ -x /usr/lib/cni/bridge ] || missing+=("/usr/lib/cni/bridge (CNI plugins)")
  command -v go >/dev/null || missing+=("go (1.25 or later)")
  python3 -m pip --version >/dev/null 2>&1 || missing+=("python3 with pip")
  echo "${missing[*]}"
}

require_tools() {
  local missing
  [ "$(uname -s)" = Linux ] || die "the lab runs on Linux only"
  [ "$(id -u)" -eq 0 ] || die "the lab makes namespaces, a bridge and cgroups: run it as root"
  # The system's limit for a socket's path is 107, and containerd adds a suffix.
  [ ${#CONTAINERD_SOCKET} -lt 100 ] || die "$LAB_DIR is too long a path for sockets; set FIREDRILL_LAB_DIR to a shorter one"
  missing=$(missing_tools)
  [ -z "$missing" ] || die "missing: $missing"
}
