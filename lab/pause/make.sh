#!/usr/bin/env bash
# What holds a pod's namespaces.
# shellcheck source=../recipe.sh
. "$(dirname "$0")/../recipe.sh"

program_image pause
