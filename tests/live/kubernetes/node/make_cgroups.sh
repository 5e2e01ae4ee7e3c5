#!/bin/bash
# make_cgroups.sh NAME: the control groups under which kubelet puts pods, for both versions of control groups.
set -eu
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
    echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control || true
  done
  mkdir -p "/sys/fs/cgroup/$1"
  exit 0
fi
for controller in /sys/fs/cgroup/*/; do mkdir -p "$controller$1"; done
for file in cpuset.cpus cpuset.mems; do
  cat "/sys/fs/cgroup/cpuset/$file" >"/sys/fs/cgroup/cpuset/$1/$file"
done
