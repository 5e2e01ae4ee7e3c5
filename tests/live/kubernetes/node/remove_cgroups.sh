#!/bin/bash
# remove_cgroups.sh NAME: kills what is left in the control groups of that name, and removes them.
set -u
for _ in $(seq 100); do
  left=
  for root in /sys/fs/cgroup/"$1" /sys/fs/cgroup/*/"$1"; do
    [ -d "$root" ] || continue
    left=1
    find "$root" -name cgroup.procs -exec cat {} + 2>/dev/null | sort -u | xargs -r kill -9 2>/dev/null
    find "$root" -depth -type d -exec rmdir {} + 2>/dev/null
  done
  [ -n "$left" ] || exit 0
  sleep 0.1
done
echo "control groups $1 are left behind"
exit 1
