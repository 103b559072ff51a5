#!/usr/bin/env bash
# Measures what docs/benchmarks.md says, on a release build, and writes the page anew. Takes about a quarter of an hour on
# two cores, and wants them for itself. `QUICK=1` runs a tenth of the outages.
set -uo pipefail
cd "$(dirname "$0")/.."

share=1.0
[ "${QUICK:-}" = 1 ] && share=0.1
page=docs/benchmarks.md
target=${CARGO_TARGET_DIR:-target}
binary=$target/release/firedrill
[ -x "$binary" ] || { echo "$binary is not there: use \`make bench\`" >&2; exit 1; }
work=$(mktemp -d)
# A database in memory where that can hold files: what a shared disk does is not what is measured.
[ -d /dev/shm ] && export TMPDIR=/dev/shm
trap 'rm -rf "$work"' EXIT

stolen() { # what the host of a virtual machine took away since the last call, in percent
  local now
  now=$(awk '/^cpu / { t = 0; for (i = 2; i <= 9; i++) t += $i; print $9, t }' /proc/stat)
  echo "$now ${stolen_before:-$now}" | awk '{ d = $2 - $4; printf "%.1f %%", d ? 100 * ($1 - $3) / d : 0 }'
  stolen_before=$now
}
start_ms() { # the median of 21 starts, in milliseconds
  for _ in $(seq 21); do
    local a b
    a=$(date +%s%N)
    "$binary" --version >/dev/null
    b=$(date +%s%N)
    echo $(((b - a) / 10000))
  done | sort -n | sed -n 11p | awk '{ printf "%.1f", $1 / 100 }'
}
status_mib() {
  /usr/bin/env python3 - "$binary" "$work" <<'PY' 2>/dev/null
import resource, subprocess, sys
subprocess.run([sys.argv[1], "status", "--state", sys.argv[2]], stdout=subprocess.DEVNULL, check=True)
print(round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024, 1))
PY
}
check_ms() { # 500 files
  mkdir -p "$work/many/estates"
  cp experiments/estates/staging.yaml "$work/many/estates/"
  for i in $(seq 499); do
    sed -e "s/^experiment: .*/experiment: drill-$i/" -e '/^runbook:/d' experiments/orders-primary-loss.yaml >"$work/many/drill-$i.yaml"
  done
  for _ in 1 2 3 4 5; do
    local a b
    a=$(date +%s%N)
    "$binary" check "$work/many" >/dev/null || return 1
    b=$(date +%s%N)
    echo $(((b - a) / 1000000))
  done | sort -n | sed -n 3p
}

ok=0
{
  echo "# Benchmarks"
  echo
  echo "Measured by \`make bench\` on a release build; the same command repeats it and writes this page anew."
  echo
  echo "Machine: $(nproc) cores, $(awk '/MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo), Linux $(uname -r)," \
    "$(rustc --version), PostgreSQL $(/usr/lib/postgresql/*/bin/postgres --version | awk '{ print $3 }' | tail -1)." \
    "Load before: $(cut -d' ' -f1-3 /proc/loadavg)."
  echo
  echo "## The program"
  echo
  echo "| what | measured | at most |"
  echo "|---|---|---|"
  echo "| \`firedrill --version\`, median of 21 | $(start_ms) ms | 10 ms |"
  echo "| size of the binary | $(stat -c %s "$binary" | awk '{ printf "%.1f", $1 / 1000000 }') MB | 40 MB |"
  echo "| memory of \`firedrill status\` (peak resident) | $(status_mib) MiB | 20 MiB |"
  echo "| \`firedrill check\` of 500 files, median of 5 | $(check_ms) ms | 500 ms |"
  echo
  echo "## Throughput and lateness of the probes"
  echo
  stolen >/dev/null
  cargo bench --quiet -p firedrill-probes --bench throughput || echo "(a figure misses its aim)"
  echo "Taken by the host of this machine meanwhile: $(stolen)"
  echo
  echo "## Accuracy: is the truth inside the interval?"
  echo
  cat <<'TEXT'
Outages are made by another process, which records when the service really stopped and started answering; the probes know
nothing of it. *Inside* counts the outages whose true start, end and length lie within the measured bounds. PostgreSQL's
files lie in memory, since the stalls of a shared disk would be outages of which no truth knows. A killed server takes
traffic again behind a gate that opens when it has answered a readiness check, as an endpoint in a cluster does.

A width has two parts. The probes' own is at most two periods: up to one before the first failure, up to one before the
first success. The service's part is how long the answer took that ended the outage: an interval ends with an
acknowledgement, and after a crash that is a new login and its first commit. The column *p99 without the last answer*
leaves it out. For a stall the timeout comes on top, since a request sent within the last timeout of it is still answered.

TEXT
  echo "### Nothing else running"
  echo
  stolen >/dev/null
  cargo bench --quiet -p firedrill-probes --bench accuracy -- --share "$share" || ok=1
  echo
  echo "Taken by the host of this machine meanwhile: $(stolen)"
  echo
  echo "### Every core loaded"
  echo
  cargo bench --quiet -p firedrill-probes --bench accuracy -- --share "$share" --loaded || ok=1
} | tee "$work/page.md"
cp "$work/page.md" "$page"
exit "$ok"
