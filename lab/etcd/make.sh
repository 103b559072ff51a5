#!/usr/bin/env bash
# shellcheck source=../recipe.sh
. "$(dirname "$0")/../recipe.sh"
program etcd
