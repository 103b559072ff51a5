#!/usr/bin/env bash
# The name server of the cluster.
# shellcheck source=../recipe.sh
. "$(dirname "$0")/../recipe.sh"

program_image dns
