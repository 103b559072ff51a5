# firedrill: everything a newcomer needs is `make demo` and `make test`.
#
# Both install the Debian packages they need. On another system `make packages` names them.

SHELL := /bin/bash
.DEFAULT_GOAL := help

# What PostgreSQL's programs and the linker come from on Debian.
PACKAGES := postgresql-15 postgresql-client-15 build-essential pkg-config ca-certificates
# What the tests need besides.
TEST_PACKAGES := $(PACKAGES) strace procps

# What the lab needs besides a Go tool chain.
LAB_PACKAGES := containerd runc containernetworking-plugins nftables conntrack iproute2 openssl curl \
	mmdebstrap umoci python3-pip ca-certificates

# Where the demo puts its experiments and reports.
OUT ?= demo

.PHONY: help
help: ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

.PHONY: demo
demo: packages ## Four drills against an estate of its own, with reports in ./demo
	cargo build --quiet --bin firedrill
	target/debug/firedrill demo --out $(OUT)

.PHONY: test
test: test-packages lint test-only ## Format, lints, unit, sandbox and command-line tests, schemas, licences

.PHONY: lint
lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- -D warnings
	cargo clippy --test lab --quiet -- -D warnings

.PHONY: test-only
test-only:
	cargo build --quiet --workspace --bins
	cargo test --workspace --quiet

.PHONY: bench
bench: packages ## The figures of docs/benchmarks.md, on a release build
	cargo build --release --quiet --bins --examples
	bash benches/run.sh

.PHONY: bench-scale
bench-scale: packages ## The figures of docs/benchmarks-scale.md, on a release build and the lab, which must be up
	cargo build --release --quiet --bin firedrill
	bash benches/scale.sh

.PHONY: crash-matrix
crash-matrix: test-packages ## Every crash point of every fault, and the whole simulation
	cargo run --release --quiet -p firedrill-core --features simulate --example simulate -- --effects 4 --whole 2
	FIREDRILL_CRASH_MATRIX=full cargo test --test drills -- --nocapture crash

.PHONY: lab-up
lab-up: lab-packages ## A Kubernetes of one node with PostgreSQL under Patroni and an S3 server (Linux, root)
	@bash lab/up.sh

.PHONY: lab-down
lab-down: ## Take it down, with everything that it made on this machine
	@bash lab/down.sh

.PHONY: lab-test
lab-test: ## What needs a real Kubernetes, on the lab where it can run: conformance and whole drills
	@bash lab/test.sh

.PHONY: schema
schema: ## Write the JSON Schemas anew
	cargo run --quiet --bin firedrill -- schema --out schema

.PHONY: packages
packages:
	@bash deploy/packages.sh $(PACKAGES)

.PHONY: test-packages
test-packages:
	@bash deploy/packages.sh $(TEST_PACKAGES)

.PHONY: lab-packages
lab-packages:
	@! command -v dpkg-query >/dev/null || bash deploy/packages.sh $(LAB_PACKAGES)
