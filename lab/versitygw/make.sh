#!/usr/bin/env bash
# The S3 server.
# shellcheck source=../recipe.sh
. "$(dirname "$0")/../recipe.sh"

GOBIN=$directory timeout 900 go install -trimpath -ldflags "-s -w" "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
