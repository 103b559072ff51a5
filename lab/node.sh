# shellcheck shell=bash
# The node: etcd, the API server and its controllers, containerd, the kubelet and kube-proxy, each with its flags.

start_etcd() {
  # Nothing here has to outlive the machine, and waiting for the disk is most of what a small etcd does.
  start etcd "$LAB_DIR/bin/etcd" --name lab --data-dir "$LAB_DIR/etcd" --unsafe-no-fsync \
    --listen-client-urls "http://$ETCD_IP:2379" --advertise-client-urls "http://$ETCD_IP:2379" \
    --listen-peer-urls "http://$ETCD_IP:2380" --initial-advertise-peer-urls "http://$ETCD_IP:2380" \
    --initial-cluster "lab=http://$ETCD_IP:2380" --logger zap --log-level warn
}

etcd_ready() { still etcd && curl --silent --fail --max-time 1 --noproxy '*' "http://$ETCD_IP:2379/health"; }

start_apiserver() {
  start kube-apiserver "$LAB_DIR/bin/kube-apiserver" \
    --etcd-servers="http://$ETCD_IP:2379" \
    --bind-address="$NODE_IP" --advertise-address="$NODE_IP" --secure-port="$API_PORT" \
    --tls-cert-file="$KEYS/apiserver.crt" --tls-private-key-file="$KEYS/apiserver.key" \
    --client-ca-file="$KEYS/ca.crt" --token-auth-file="$KEYS/tokens.csv" --authorization-mode=Node,RBAC \
    --kubelet-client-certificate="$KEYS/apiserver-kubelet-client.crt" \
    --kubelet-client-key="$KEYS/apiserver-kubelet-client.key" \
    --kubelet-preferred-address-types=InternalIP \
    --service-account-issuer=https://kubernetes.default.svc \
    --service-account-key-file="$KEYS/service-accounts.key" \
    --service-account-signing-key-file="$KEYS/service-accounts.key" \
    --service-cluster-ip-range="$SERVICE_CIDR" --allow-privileged=true
}

api_ready() { still kube-apiserver && [ "$(kubectl get --raw /readyz)" = ok ]; }

start_controllers() {
  # No port of their own: nobody asks them anything, and theirs would be in the way of another cluster's.
  start kube-controller-manager "$LAB_DIR/bin/kube-controller-manager" --secure-port=0 \
    --kubeconfig="$KEYS/kube-controller-manager.kubeconfig" --leader-elect=false \
    --service-account-private-key-file="$KEYS/service-accounts.key" --root-ca-file="$KEYS/ca.crt" \
    --use-service-account-credentials --flex-volume-plugin-dir="$LAB_DIR/kubelet/volume-plugins"
  start kube-scheduler "$LAB_DIR/bin/kube-scheduler" --secure-port=0 \
    --kubeconfig="$KEYS/kube-scheduler.kubeconfig" --leader-elect=false
}

write_containerd_config() {
  mkdir -p "$LAB_DIR/containerd" "$LAB_DIR/cni"
  cat >"$LAB_DIR/containerd/config.toml" <<TOML
version = 2
root = "$LAB_DIR/containerd/root"
state = "$LAB_DIR/containerd/state"
# It makes /opt/containerd, and nothing here installs programs by images.
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
  address = "$CONTAINERD_SOCKET"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$IMAGES/pause:1"
  # Where this is a container itself, the kernel lets nobody make a process less likely to be killed.
  restrict_oom_score_adj = true
  # A profile would be loaded into the machine's kernel, and stay there.
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$LAB_DIR/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      Root = "$LAB_DIR/containerd/runc"
      SystemdCgroup = false
TOML
  # No masquerading: pods reach each other and the node, and nothing beyond.
  cat >"$LAB_DIR/cni/10-lab.conflist" <<JSON
{
  "cniVersion": "1.0.0",
  "name": "lab",
  "plugins": [
    {
      "type": "bridge", "bridge": "$BRIDGE", "isGateway": true, "hairpinMode": true, "ipMasq": false,
      "ipam": {
        "type": "host-local", "dataDir": "$LAB_DIR/cni/addresses",
        "ranges": [[{ "subnet": "$POD_CIDR" }]], "routes": [{ "dst": "0.0.0.0/0" }]
      }
    }
  ]
}
JSON
}

start_containerd() {
  start containerd unshare --mount --propagation private \
    bash "$HERE/own_mounts.sh" containerd --config "$LAB_DIR/containerd/config.toml" --log-level warn
}

containerd_ready() { still containerd && ctr version >/dev/null; }

import_image() { ctr image import --base-name "$IMAGES/$1" "$2" >>"$LOGS/images.log" 2>&1; }

write_kubelet_config() {
  mkdir -p "$LAB_DIR/kubelet"
  # The machine's own would send pods to name servers that they cannot reach.
  : >"$LAB_DIR/kubelet/resolv.conf"
  cat >"$LAB_DIR/kubelet/config.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $NODE_IP
healthzPort: 0
authentication:
  anonymous: { enabled: false }
  webhook: { enabled: true }
  x509: { clientCAFile: $KEYS/ca.crt }
authorization: { mode: Webhook }
containerRuntimeEndpoint: unix://$CONTAINERD_SOCKET
podLogsDir: $LOGS/pods
volumePluginDir: $LAB_DIR/kubelet/volume-plugins
resolvConf: $LAB_DIR/kubelet/resolv.conf
clusterDNS: [$DNS_SERVICE_IP]
clusterDomain: cluster.local
# It runs on what is there, beside what is there: any kind of cgroups, with or without swap, taking nothing for itself.
cgroupDriver: cgroupfs
cgroupRoot: $CGROUP
failCgroupV1: false
failSwapOn: false
enforceNodeAllocatable: []
# A disk that is nearly full is no reason to throw out databases, nor images that nobody can pull.
evictionHard: {}
imageGCHighThresholdPercent: 100
# Chains of iptables are not needed beside kube-proxy's nftables, and would stay behind.
makeIPTablesUtilChains: false
maxPods: 250
YAML
}

start_kubelet() {
  local containerd
  containerd=$(running containerd) || die "containerd has ended; read $LOGS/containerd.log"
  # Among containerd's mounts, so that each sees what the other mounts, and the machine sees neither's.
  start kubelet nsenter --mount="/proc/$containerd/ns/mnt" -- "$LAB_DIR/bin/kubelet" --config="$LAB_DIR/kubelet/config.yaml" \
    --root-dir="$LAB_DIR/kubelet" --cert-dir="$LAB_DIR/kubelet/pki" --hostname-override="$NODE" --node-ip="$NODE_IP" \
    --kubeconfig="$KEYS/kubelet.kubeconfig"
}

start_proxy() {
  # Masquerading: two pods are on one bridge, and the answer of a Service's pod would go past the translation otherwise.
  # Zero leaves the machine's own limits of connection tracking as they are.
  start kube-proxy "$LAB_DIR/bin/kube-proxy" --kubeconfig="$KEYS/kube-proxy.kubeconfig" --hostname-override="$NODE" \
    --proxy-mode=nftables --masquerade-all --cluster-cidr="$POD_CIDR" \
    --metrics-bind-address="$NODE_IP:10249" --healthz-bind-address= \
    --conntrack-max-per-core=0 --conntrack-tcp-timeout-established=0 --conntrack-tcp-timeout-close-wait=0
}

node_ready() { still kubelet && kubectl wait --for=condition=Ready "node/$NODE" --timeout=1s; }
