# shellcheck shell=bash
# What the lab changes of the machine it runs on, and how each of it is put back.

# Settings of the kernel that the kubelet and the bridge plugin turn; one of them makes a machine reboot on an oops.
SYSCTLS="vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops kernel.keys.root_maxkeys
kernel.keys.root_maxbytes net.ipv4.ip_forward"

sysctl_file() { echo "/proc/sys/${1//.//}"; }

remember_sysctls() {
  local name
  for name in $SYSCTLS; do
    [ ! -e "$(sysctl_file "$name")" ] || echo "$name $(cat "$(sysctl_file "$name")")"
  done >"$LAB_DIR/sysctls"
}

put_back_sysctls() {
  local name value
  [ -e "$LAB_DIR/sysctls" ] || return 0
  while read -r name value; do
    [ "$(cat "$(sysctl_file "$name")")" = "$value" ] || echo "$value" >"$(sysctl_file "$name")"
  done <"$LAB_DIR/sysctls"
}

# Refuses a machine that is a node already, or whose networks are where the lab's would be: nothing of it is ours to take.
require_free_host() {
  local found
  [ ! -e "/sys/class/net/$BRIDGE" ] || die "there is a network device $BRIDGE that no lab in $LAB_DIR made"
  found=$(ip -4 -o route show root "$POD_CIDR"; ip -4 -o route show root "$SERVICE_CIDR")
  [ -z "$found" ] || die "the lab's networks are taken by another: $found"
  found=$(nft list tables 2>/dev/null | grep -w kube-proxy || true)
  [ -z "$found" ] || die "this machine is a node of a cluster already ($found); the lab would break its Services"
  found=$(ss -Hltn "sport = :$API_PORT or sport = :10250 or sport = :10249 or sport = :2379 or sport = :2380 or sport = :$S3_PORT" |
    awk -v own="^($NODE_IP|$ETCD_IP):" '$4 ~ /^(0\.0\.0\.0|\*|\[::\]):/ || $4 ~ own {print $4}' | tr '\n' ' ')
  [ -z "$found" ] || die "somebody listens where the lab would: $found"
}

bridge_up() {
  ip link add "$BRIDGE" type bridge
  ip address add "$NODE_IP/24" dev "$BRIDGE"
  ip link set "$BRIDGE" up
}

bridge_empty() { [ -z "$(ls "/sys/class/net/$BRIDGE/brif")" ]; }

bridge_down() {
  [ ! -e "/sys/class/net/$BRIDGE" ] || {
    until_true 20 "the pods' network devices go with their namespaces" "$LOGS/containerd.log" bridge_empty
    ip link delete "$BRIDGE"
  }
}

# kube-proxy leaves its tables when it ends, so that Services go on working; here there is nothing for them to go on with.
services_down() {
  local family
  for family in ip ip6; do
    ! nft list table "$family" kube-proxy >/dev/null 2>&1 || nft delete table "$family" kube-proxy
  done
}

# Every hierarchy that there is: one on newer systems, one for each controller on older ones.
cgroup_roots() {
  awk '$3 == "cgroup" || $3 == "cgroup2" {print $2}' /proc/self/mounts
}

cgroup_up() {
  local root controller of
  while read -r root; do
    if [ -e "$root/cgroup.controllers" ]; then
      # The kubelet looks for these in the group it is given, and a group has what its parent passes on.
      for controller in cpuset cpu io memory hugetlb pids; do
        ! grep -qw "$controller" "$root/cgroup.controllers" || echo "+$controller" >"$root/cgroup.subtree_control" 2>/dev/null || true
      done
    fi
    mkdir -p "$root$CGROUP"
    # Its pods together weigh as much as ten other processes of the machine: a compiler beside them would starve a
    # database otherwise, and drills would measure that.
    ! [ -e "$root$CGROUP/cpu.shares" ] || echo 10240 >"$root$CGROUP/cpu.shares"
    ! [ -e "$root$CGROUP/cpu.weight" ] || echo 1000 >"$root$CGROUP/cpu.weight"
    # A group of the old kind begins with no processors and no memory nodes, and whoever enters it is refused.
    for of in cpus mems; do
      if [ -e "$root$CGROUP/cpuset.$of" ] && [ ! -e "$root/cgroup.controllers" ]; then
        cat "$root/cpuset.$of" >"$root$CGROUP/cpuset.$of"
      fi
    done
  done < <(cgroup_roots)
}

# Processes of containers, wherever they have gone: being in our group says that they are ours. Groups that vanish while
# they are looked at are what is wanted.
cgroup_processes() {
  local root
  while read -r root; do
    [ ! -d "$root$CGROUP" ] || find "$root$CGROUP" -name cgroup.procs -exec cat {} + 2>/dev/null || true
  done < <(cgroup_roots) | sort -un
}

cgroup_empty() { [ -z "$(cgroup_processes)" ]; }

end_containers() {
  local pid
  for pid in $(cgroup_processes); do kill -KILL "$pid" 2>/dev/null || true; done
  until_true 20 "containers end after SIGKILL" "$LOGS/containerd.log" cgroup_empty
}

remove_cgroups() {
  local root failed=0
  while read -r root; do
    [ ! -d "$root$CGROUP" ] || find "$root$CGROUP" -depth -type d -exec rmdir {} + || failed=1
  done < <(cgroup_roots)
  return "$failed"
}

# A group may be busy for a moment after its last process has ended.
cgroup_down() { until_true 10 "cgroups can be removed" "$LOGS/kubelet.log" remove_cgroups; }

places_up() {
  local place
  : >"$LAB_DIR/places"
  for place in $PLACES; do
    if [ ! -d "$place" ]; then
      echo "$place" >>"$LAB_DIR/places"
      mkdir "$place"
    fi
  done
}

places_down() {
  local place
  [ -e "$LAB_DIR/places" ] || return 0
  while read -r place; do
    # Only if it is empty: what somebody else has put there since is theirs.
    rmdir "$place" 2>/dev/null || [ ! -d "$place" ] || say "$place is not empty, so it stays"
  done <"$LAB_DIR/places"
}
