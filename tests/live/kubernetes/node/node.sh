#!/bin/bash
# node.sh FOLDER KUBE ADDRESS: containerd and kubelet of one node. It is the first process of its own process and
# mount namespace: when it dies, everything on the node dies, containers too, and all its mounts are gone.
set -eu
folder=$1 kube=$2 address=$3
# Paths that no option of these programs can change; other nodes on this machine have their own.
for fixed in /var/lib/kubelet /var/log/containers /run/containerd; do
  mkdir -p "$fixed"
  mount -t tmpfs node "$fixed"
done
ctr() { command ctr --address "$folder/containerd.sock" --namespace k8s.io "$@"; }

containerd --config "$folder/containerd.toml" >>"$folder/logs/containerd.log" 2>&1 &
for _ in $(seq 200); do
  ctr version >/dev/null 2>&1 && break
  sleep 0.05
done
for image in "$folder"/images/*.tar; do ctr images import "$image"; done
# A kubelet that ends is started again, as on any node.
while sleep 0.1; do
  "$kube" kubelet --config="$folder/kubelet.yaml" --kubeconfig="$folder/../kubelet-$address.conf" \
    --hostname-override="$address" --root-dir="$folder/kubelet" --cert-dir="$folder/kubelet/pki" --v=2 || true
done
