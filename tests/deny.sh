#!/usr/bin/env bash
# Bans, licences and sources of every crate (deny.toml). The advisory database lives on a host that not every machine
# reaches: then this says so and goes on.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.20.2
home=${XDG_CACHE_HOME:-$HOME/.cache}/kafka-toolbox/cargo-deny-$version
deny=$home/bin/cargo-deny
fetch_limit=60

if [ ! -x "$deny" ]; then
  echo "deny: building cargo-deny $version (once)"
  mkdir -p "$(dirname "$home")"
  # Others may want it at the same time; a lock that is held too long is a fault of its own.
  exec 9>"$home.lock"
  flock -w 1200 9
  [ -x "$deny" ] || CARGO_TARGET_DIR=$home.build cargo install --quiet --locked --debug --root "$home" "cargo-deny@$version"
  rm -rf "$home.build"
fi

"$deny" --log-level error check bans licenses sources

if said=$(timeout "$fetch_limit" "$deny" --log-level error check advisories 2>&1); then
  echo "advisories ok"
elif grep -qiE 'failed to fetch|unable to fetch|failed to (open|clone)|could not connect|resolve host|timed out|network' <<<"$said" || [ -z "$said" ]; then
  echo "advisories not checked: this machine does not reach their database ($(head -n 1 <<<"${said:-no answer within $fetch_limit s}"))"
else
  printf '%s\n' "$said" >&2
  exit 1
fi
