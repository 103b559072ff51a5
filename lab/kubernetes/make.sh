#!/usr/bin/env bash
# Kubernetes, every part in one binary.
# shellcheck source=../recipe.sh
. "$(dirname "$0")/../recipe.sh"

tag=$(cd "$recipe" && go list -m -f '{{.Version}}' k8s.io/kubernetes)
IFS=. read -r major minor _ <<<"${tag#v}"
version=k8s.io/component-base/version
# Without their version the servers call themselves v0.0.0, and clients ask which API that is.
program kubernetes -X "$version.gitVersion=$tag" -X "$version.gitMajor=$major" -X "$version.gitMinor=$minor"
