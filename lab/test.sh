#!/usr/bin/env bash
# The tests that need a real Kubernetes: what firedrill relies on of the API, and whole drills. On the lab, or the first
# part of them on the cluster of FIREDRILL_TEST_KUBECONFIG (kind, k3d, a staging cluster; FIREDRILL_TEST_IMAGE names an
# image there that stays up without a command). Where neither can be had it says so in one line, which is a failure with
# FIREDRILL_REQUIRE_LAB=1.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=lib.sh
. lab/lib.sh
# shellcheck source=tools.sh
. lab/tools.sh

skip() {
  printf 'cluster tests: skipped: %s\n' "$1" >&2
  [ "${FIREDRILL_REQUIRE_LAB:-}" != 1 ] || exit 1
  exit 0
}

# What can be installed is, but only once it is known that the tests will run.
make_ready() { make --no-print-directory "$@"; }

conformance() { cargo test --quiet -p firedrill-sandbox --test conformance; }

if [ -n "${FIREDRILL_TEST_KUBECONFIG:-}" ]; then
  [ -n "${FIREDRILL_TEST_IMAGE:-}" ] || die "FIREDRILL_TEST_IMAGE must name an image that stays up without a command"
  say "cluster tests on $FIREDRILL_TEST_KUBECONFIG: conformance alone, drills need the lab"
  make_ready test-packages
  conformance
  exit 0
fi

[ "$(uname -s)" = Linux ] || skip "the lab runs on Linux only; FIREDRILL_TEST_KUBECONFIG names another cluster"
[ "$(id -u)" -eq 0 ] || skip "the lab needs root; FIREDRILL_TEST_KUBECONFIG names another cluster"
command -v go >/dev/null || skip "the lab needs Go 1.25 or later; FIREDRILL_TEST_KUBECONFIG names another cluster"
make_ready test-packages lab-packages
missing=$(missing_tools)
[ -z "$missing" ] || skip "the lab needs $missing; FIREDRILL_TEST_KUBECONFIG names another cluster"

was_up=
[ ! -e "$LAB_DIR/ready" ] || was_up=1
# What was down before is down afterwards, however the tests end.
lab_down() { [ -n "$was_up" ] || bash lab/down.sh; }
trap lab_down EXIT
make_ready lab-up
export FIREDRILL_TEST_KUBECONFIG=$KUBECONFIG_FILE FIREDRILL_TEST_IMAGE=$IMAGES/pause:1 FIREDRILL_LAB_DIR=$LAB_DIR
conformance
cargo build --quiet --bin firedrill
cargo test --quiet --test lab -- --test-threads=8
