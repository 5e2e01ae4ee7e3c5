#!/usr/bin/env bash
# Installs what the recipes need and this machine lacks, or names it and the command to type. Prints nothing and takes
# no time when all is there; only what is missing is fetched.
#
#   install.sh            what every recipe needs
#   install.sh fuzz       the same, and what only `make fuzz` needs: nightly Rust and a C++ compiler
#   install.sh packages   without Rust: for root, where somebody else builds
#
# Rust's parts (rust-toolchain.toml, and the target of the static binary) are installed by rustup, for the user who
# asks; all else by apt-get, as root on Debian or Ubuntu. Programs are looked for in PATH, files below $SETUP_ROOT (the root).
set -euo pipefail
cd "$(dirname "$0")/../.."

recipe=${1:-all}
ok=1
root=${SETUP_ROOT:-}
# rustup must not install parts behind our back while it is asked what is there.
export RUSTUP_AUTO_INSTALL=0
PATH=$PATH:$root/usr/sbin:$root/sbin

# How to see that it is there · Debian's package · what it is for
needed() {
  cat <<'LIST'
command:gcc              gcc                          compiles C in crates
c-library:crt1.o         libc6-dev                    headers and start files of compiled C and Rust
command:make             make                         runs the recipes
command:cmake            cmake                        builds the TLS provider's C
command:musl-gcc         musl-tools                   links the static binary
command:git              git                          names the version that is built
command:openssl          openssl                      makes certificates for tests
command:mvn              maven                        fetches Kafka's and ZooKeeper's jars
java:17                  openjdk-17-jdk-headless      runs Kafka and ZooKeeper
go:1.24                  golang-go                    builds Kubernetes for tests
command:containerd       containerd                   runs pods on the test node
command:runc             runc                         runs pods on the test node
file:/usr/lib/cni/loopback containernetworking-plugins  pods' network
command:iptables         iptables                     pods' network
command:ip               iproute2                     pods' network
command:mount            mount                        file systems of the test node and of log dirs
command:umount           mount                        takes them away
command:buildah          buildah                      builds the image
command:podman           podman                       runs the image
command:mmdebstrap       mmdebstrap                   base of the image with a shell
file:/bin/busybox        busybox-static               shell of the test node's images
command:prometheus       prometheus                   measures the load and the sizes of brokers in tests
command:kcat             kcat                         the benchmark's rival; writes and reads records in tests
file:/usr/bin/time       time                         the benchmark's peak memory
library:faketime/libfaketimeMT.so.1 libfaketime      jumps of the wall clock in tests
command:kill             procps                       ends what tests start
command:timeout          coreutils                    limits on everything that tests run
command:stty             coreutils                    widths of terminals in tests
command:curl             curl                         asks servers by hand
file:/etc/ssl/certs/ca-certificates.crt ca-certificates  trust in the package registries
LIST
  [ "$recipe" != fuzz ] || echo "command:g++ g++ compiles libFuzzer"
}

go_oldest=24
# Where Debian's Go is older, it can still fetch this one, as a module whose checksum it verifies.
go_toolchain=golang.org/toolchain@v0.0.1-go1.24.4.linux-$(dpkg --print-architecture 2>/dev/null || true)

rustup_by_hand="curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
# As the Makefile's STATIC.
target=$(uname -m)-unknown-linux-musl

main() {
  # Each of them says what it lacks, so that a person can type both commands at once.
  [ "$recipe" = packages ] || rust
  packages
  [ $ok = 1 ] || exit 1
  [ "$SECONDS" -lt 2 ] || echo "== setup: $SECONDS s"
}

refuse() {
  ok=0
  echo "$*" >&2
}

# What rust-toolchain.toml says of a key, as words.
pinned() { sed -n "s/^$1 = //p" rust-toolchain.toml | tr -d '[]",'; }

is_rustups() { type -P rustup >/dev/null; }

# What is missing of Rust, one thing a line.
rust_missing() {
  local sysroot component program
  type -P cargo >/dev/null && type -P rustc >/dev/null || { echo rust; return; }
  # In this folder, that is the toolchain of rust-toolchain.toml, or what RUSTUP_TOOLCHAIN overrides it with.
  if ! sysroot=$(rustc --print sysroot 2>/dev/null); then
    echo toolchain
  else
    is_rustups || is_new_enough || echo version
    for component in $(pinned components); do
      program=${component/#clippy/cargo-clippy}
      # rustup's own programs of these names are there without the component.
      [ -x "$sysroot/bin/$program" ] || { ! is_rustups && type -P "$program" >/dev/null; } || echo "component $component"
    done
    compgen -G "$sysroot/lib/rustlib/$target/lib/libstd-*.rlib" >/dev/null || echo "target $target"
  fi
  [ "$recipe" != fuzz ] || rustup run nightly rustc --version >/dev/null 2>&1 || echo nightly
}

is_new_enough() {
  local version
  version=$(rustc --version | awk '{ print $2 }')
  [ "$(printf '%s\n' "$(pinned channel)" "${version%%-*}" | sort -V | head -n 1)" = "$(pinned channel)" ]
}

# The command that installs a missing thing.
rustup_command() {
  local components
  components=$(pinned components)
  case $1 in
    toolchain)
      echo "rustup toolchain install ${RUSTUP_TOOLCHAIN:-$(pinned channel)} --no-self-update --profile minimal" \
        "--component ${components// /,} --target $target"
      ;;
    nightly) echo "rustup toolchain install nightly --no-self-update --profile minimal" ;;
    component | target) echo "rustup $1 add $2" ;;
  esac
}

rust() {
  local missing line command
  missing=$(rust_missing)
  [ -n "$missing" ] || return 0
  if [ "$missing" = rust ]; then
    if [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]; then
      refuse "Rust is installed, but not in PATH. Type: . ${CARGO_HOME:-$HOME/.cargo}/env"
    else
      refuse "missing: Rust. Type: $rustup_by_hand"
    fi
    return 0
  fi
  if ! is_rustups; then
    refuse "missing of Rust: ${missing//$'\n'/, } ($(type -P rustc) is not rustup's; needed is Rust $(pinned channel) or" \
      "newer with $target). Type: $rustup_by_hand"
    return 0
  fi
  while read -r line; do
    # shellcheck disable=SC2086
    command=$(rustup_command $line)
    echo "setup: $command"
    $command </dev/null || { refuse "rustup failed. When its cause is gone, type: $command"; return 0; }
  done <<<"$missing"
  missing=$(rust_missing)
  [ -z "$missing" ] || refuse "rustup installed it, but $(type -P rustc) still lacks: ${missing//$'\n'/, }." \
    "Put rustup's programs first in PATH, or type: $rustup_by_hand"
}

go_there() {
  local version
  version=$(GOTOOLCHAIN=local go version 2>/dev/null | awk '{ print $3 }') || return 1
  [[ $version =~ ^go1\.([0-9]+) ]] && ((BASH_REMATCH[1] >= go_oldest))
}

java_there() {
  local home
  # Maven looks for it in PATH.
  type -P java >/dev/null || return 1
  for home in "$root"/usr/lib/jvm/java-{17,21}-openjdk-* "${JAVA_HOME:-/nonexistent}"; do
    [ -x "$home/bin/java" ] && grep -qE 'JAVA_VERSION="(17|21)' "$home/release" 2>/dev/null && return 0
  done
  return 1
}

# Debian keeps libraries in a folder of the machine's architecture.
library_there() { compgen -G "$root/usr/lib/*-linux-gnu/$1" >/dev/null; }

# gcc names a file that it does not find as it was asked for.
c_library_there() { [ -e "$(gcc -print-file-name="$1" 2>/dev/null)" ]; }

there() {
  case $1 in
    command:*) type -P "${1#*:}" >/dev/null ;;
    file:*) [ -e "$root${1#*:}" ] ;;
    library:*) library_there "${1#*:}" ;;
    c-library:*) c_library_there "${1#*:}" ;;
    java:*) java_there ;;
    go:*) go_there ;;
  esac
}

missing_packages() {
  local check package purpose
  while read -r check package purpose; do
    there "$check" || printf '%s\t%s\t%s\n' "$check" "$package" "$purpose"
  done <<<"$(needed)"
}

# The version of a package that apt-get would install; empty if none.
candidate() { apt-cache policy "$1" 2>/dev/null | awk '/Candidate:/ && $2 != "(none)" { print $2 }'; }

choose() {
  case $1 in
    java:*) if [ -n "$(candidate "$2")" ]; then echo "$2"; else echo openjdk-21-jdk-headless; fi ;;
    *) echo "$2" ;;
  esac
}

# A newer Go by means of an older one.
fetch_go() {
  local home=$root/usr/local/lib/kafka-toolbox-go scratch
  echo "setup: Debian's Go is older than 1.$go_oldest; fetching ${go_toolchain#*@v0.0.1-}"
  scratch=$(mktemp -d)
  echo 'module scratch' >"$scratch/go.mod"
  (cd "$scratch" && GOFLAGS=-mod=mod GOMODCACHE=$home timeout 300 go mod download "$go_toolchain") ||
    { rm -rf "$scratch"; return 0; }
  rm -rf "$scratch"
  chmod -R u+w,a+rX "$home"
  chmod a+x "$home/$go_toolchain"/bin/* "$home/$go_toolchain"/pkg/tool/*/*
  ln -sf "$home/$go_toolchain/bin/go" "$root/usr/local/bin/go"
  hash -r
}

# Runs a command that installs packages; no service of theirs is started, now or when the machine starts: Prometheus would
# listen on every address.
without_services() {
  local policy=$root/usr/sbin/policy-rc.d ours='' code=0
  if [ -d "${policy%/*}" ] && [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    ours=1
  fi
  env "$@" || code=$?
  [ -z "$ours" ] || rm -f "$policy"
  [[ " $* " != *" prometheus "* ]] || update-rc.d prometheus disable >/dev/null 2>&1 || true
  return "$code"
}

packages() {
  local lines packages=() check package purpose install
  lines=$(missing_packages)
  [ -n "$lines" ] || return 0
  if ! type -P apt-get >/dev/null; then
    echo "missing, and this is neither Debian nor Ubuntu; install by hand what these Debian packages hold:" >&2
    while IFS=$'\t' read -r check package purpose; do refuse "  $package: $purpose"; done <<<"$lines"
    return 0
  fi
  if [ "$(id -u)" = 0 ]; then
    echo "setup: asking for Debian's present versions"
    apt-get -q -q update || echo "setup: apt-get update failed; going on with the versions that it knew before" >&2
  fi
  while IFS=$'\t' read -r check package purpose; do
    package=$(choose "$check" "$package")
    echo "setup: missing $package: $purpose"
    packages+=("$package")
  done <<<"$lines"
  install="apt-get install --no-install-recommends -y ${packages[*]}"
  if [ "$(id -u)" != 0 ]; then
    refuse "only root may install. Type: sudo $install"
    go_there || refuse "Where that Go is older than 1.$go_oldest, type then: sudo $PWD/tests/live/install.sh packages"
    return 0
  fi
  without_services DEBIAN_FRONTEND=noninteractive apt-get -q -q -o DPkg::Lock::Timeout=300 install \
    --no-install-recommends -y "${packages[@]}" >/dev/null ||
    { refuse "apt-get failed. When its cause is gone, type: $install"; return 0; }
  hash -r
  go_there || fetch_go
  lines=$(missing_packages)
  [ -n "$lines" ] || return 0
  echo "still missing after apt-get:" >&2
  while IFS=$'\t' read -r check package purpose; do refuse "  ${check#*:} ($package): $purpose"; done <<<"$lines"
}

main
