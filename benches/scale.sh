#!/usr/bin/env bash
# Measures what docs/benchmarks-scale.md says, on a release build and the lab that is up, and writes the page anew. Takes some
# twenty minutes on two cores, most of it waiting for the cluster's controllers, and wants both for itself.
set -euo pipefail
cd "$(dirname "$0")/.."
binary=${CARGO_TARGET_DIR:-target}/release/firedrill
lab=${FIREDRILL_LAB_DIR:-/var/lib/firedrill-lab}
[ -x "$binary" ] || { echo "$binary is not there: use \`make bench-scale\`" >&2; exit 1; }
[ -e "$lab/ready" ] || { echo "no lab is up in $lab: make lab-up" >&2; exit 1; }
export KUBECONFIG=$lab/kubeconfig KUBECTL=$lab/bin/kubectl PYTHONDONTWRITEBYTECODE=1
exec python3 benches/scale.py "$binary" "$@"
