#!/usr/bin/env bash
# The web server that is up or down.
# shellcheck source=../recipe.sh
. "$(dirname "$0")/../recipe.sh"

program_image web
