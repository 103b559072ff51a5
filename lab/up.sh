#!/usr/bin/env bash
# The lab goes up: a Kubernetes of one node, PostgreSQL under Patroni, web services, an S3 server. Ends when they serve.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"
# shellcheck source=tools.sh
. "$here/tools.sh"
# shellcheck source=process.sh
. "$here/process.sh"
# shellcheck source=cache.sh
. "$here/cache.sh"
# shellcheck source=host.sh
. "$here/host.sh"
# shellcheck source=keys.sh
. "$here/keys.sh"
# shellcheck source=node.sh
. "$here/node.sh"
# shellcheck source=estate.sh
. "$here/estate.sh"
export FIREDRILL_LAB_DIR=$LAB_DIR FIREDRILL_LAB_CACHE=$CACHE_DIR

# Every part of the node runs. What has ended is said.
node_whole() {
  local part
  [ -e "$LAB_DIR/ready" ] || return 1
  for part in etcd kube-apiserver kube-controller-manager kube-scheduler containerd kubelet kube-proxy s3; do
    running "$part" >/dev/null || { say "$part has ended (its log: $LOGS/$part.log)"; return 1; }
  done
  [ "$(kubectl get --raw /readyz 2>/dev/null)" = ok ] || {
    say "the API server is not ready (its log: $LOGS/kube-apiserver.log)"
    return 1
  }
}

link_programs() {
  local part
  mkdir -p "$LAB_DIR/bin"
  for part in kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl; do
    ln -sf "$KUBERNETES" "$LAB_DIR/bin/$part"
  done
  ln -sf "$VERSITYGW" "$LAB_DIR/bin/versitygw"
  ln -sf "$ETCD" "$LAB_DIR/bin/etcd"
}

host_up() {
  require_free_host
  # From here on there is something to take down.
  : >"$LAB_DIR/firedrill-lab"
  mkdir -p "$LOGS"
  remember_sysctls
  places_up
  cgroup_up
  bridge_up
}

import_images() {
  import_image pause "$PAUSE"
  import_image web "$WEB"
  import_image dns "$DNS"
  import_image patroni "$PATRONI"
}

node_up() {
  local importing
  link_programs
  make_keys
  write_containerd_config
  write_kubelet_config
  start_containerd
  start_etcd
  start_s3
  until_true 60 "containerd answers" "$LOGS/containerd.log" containerd_ready
  # The longest part of coming up, and nothing else needs it before pods do.
  import_images &
  importing=$!
  until_true 30 "etcd answers" "$LOGS/etcd.log" etcd_ready
  start_apiserver
  until_true 90 "the API server is ready" "$LOGS/kube-apiserver.log" api_ready
  start_controllers
  start_kubelet
  start_proxy
  until_true 90 "node $NODE is Ready" "$LOGS/kubelet.log" node_ready
  wait "$importing" || die "an image was not imported; read $LOGS/images.log"
}

summary() {
  cat <<TEXT
lab: $1
  node        $(kubectl get nodes -o jsonpath='{.items[0].metadata.name} {.items[0].status.nodeInfo.kubeletVersion}'), API at https://$NODE_IP:$API_PORT
  postgresql  orders in namespace shop, primary $(orders_primary), under Patroni
  web         $(kubectl -n shop get deployments -o jsonpath='{range .items[*]}{.metadata.name}×{.status.readyReplicas} {end}')in namespace shop
  s3          http://$NODE_IP:$S3_PORT, bucket backups, keys in $KEYS/s3.env
  logs        $LOGS
  kubeconfig  $KUBECONFIG_FILE
TEXT
}

# What has come up so far is what a reader of logs wants to see, so it is left to lab-down.
on_exit() {
  local status=$?
  [ -z "$ASIDE" ] || wait "$ASIDE" || true
  [ "$status" -ne 0 ] || return 0
  if [ -e "$LAB_DIR/firedrill-lab" ]; then
    say "not up; look around, then take down what there is: make lab-down" >&2
  else
    rmdir "$LAB_DIR" 2>/dev/null || true
  fi
}

# A lab that is up already stays; what drills have changed of its estate is put right. Anything less is taken down.
stay_or_take_down() {
  if ! node_whole; then
    say "what is left of an earlier lab is taken down first"
    exec 9<&-
    bash "$HERE/down.sh"
    lock_lab
    return
  fi
  if estate_whole; then
    summary "is up already, nothing was done"
  else
    say "is up already, but not all of its estate serves; applying the manifests again"
    estate_up
    summary "up again"
  fi
  exit 0
}

ASIDE=
require_tools
lock_lab
trap on_exit EXIT
[ ! -e "$LAB_DIR/firedrill-lab" ] || stay_or_take_down
began_ms=$(now_ms)
[ -z "$(ls -A "$LAB_DIR")" ] || die "$LAB_DIR holds something that is not a lab's; set FIREDRILL_LAB_DIR to an empty place"
make_everything
host_up
node_up
estate_up
: >"$LAB_DIR/ready"
summary "up after $((($(now_ms) - began_ms) / 1000)) s"
