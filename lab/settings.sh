# shellcheck shell=bash disable=SC2034  # every name here is for those that source this file
# Where the lab lives, and under which names and addresses. All of it in one place, so that up and down agree.

# The run directory: etcd, containers, volumes, keys, logs. Not below /run: there most systems have little room, in memory.
LAB_DIR=$(realpath -m "${FIREDRILL_LAB_DIR:-/var/lib/firedrill-lab}")
# Binaries and images, by a hash of what they are made from. It may be thrown away at any time the lab is down.
CACHE_DIR=$(realpath -m "${FIREDRILL_LAB_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/firedrill-lab}")

# The lab listens on addresses of its own only: nobody reaches it from another machine, and no server of this machine is
# in its way. The first is the bridge's, which pods can reach; the second is for what only the API server may reach.
BRIDGE=firedrill-lab0
NODE_IP=10.244.0.1
POD_CIDR=10.244.0.0/24
SERVICE_CIDR=10.96.0.0/16
# The first of the service addresses; Kubernetes gives it to the API server.
API_SERVICE_IP=10.96.0.1
DNS_SERVICE_IP=10.96.0.10
ETCD_IP=127.0.90.1
API_PORT=6443
S3_PORT=7070

NODE=lab
# What containers belong to; whoever is in it is the lab's.
CGROUP=/firedrill-lab
IMAGES=docker.io/firedrill-lab
# Directories that containerd and the kubelet do not let be chosen. The lab lays its own upon them where only its own
# processes see it (own_mounts.sh); they must be there to be laid upon, and those that were not are taken away again.
PLACES="/run/containerd /var/lib/cni /var/lib/kubelet /var/log/containers /var/log/pods"

KUBECONFIG_FILE=$LAB_DIR/kubeconfig
CONTAINERD_SOCKET=$LAB_DIR/containerd/containerd.sock
LOGS=$LAB_DIR/log
