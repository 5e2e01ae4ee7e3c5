#!/usr/bin/env bash
# Installs what builds and tests need and this machine lacks: with apt-get as root on Debian or Ubuntu, else it names
# what is missing and the command to type. Prints nothing and takes no time when all is there.
set -euo pipefail

# How to see that it is there · Debian's package · what it is for
needed() {
  cat <<'LIST'
command:gcc              gcc                          compiles C in crates
command:make             make                         runs the recipes
command:cmake            cmake                        builds the TLS provider's C
command:musl-gcc         musl-tools                   links the static binary
command:git              git                          names the version that is built
command:openssl          openssl                      makes certificates for tests
command:mvn              maven                        brings Kafka's and ZooKeeper's jars
java:17                  openjdk-17-jdk-headless      runs Kafka and ZooKeeper
go:1.24                  golang-go                    builds Kubernetes for tests
command:containerd       containerd                   runs pods on the test node
command:runc             runc                         runs pods on the test node
file:/usr/lib/cni/loopback containernetworking-plugins  pods' network
command:iptables         iptables                     pods' network
command:ip               iproute2                     pods' network
command:buildah          buildah                      builds the image
command:podman           podman                       runs the image
command:mmdebstrap       mmdebstrap                   base of the image with a shell
file:/bin/busybox        busybox-static               shell of the test node's images
command:kcat             kcat                         the benchmark's rival; writes and reads records in tests
file:/usr/bin/time       time                         the benchmark's peak memory
command:timeout          coreutils                    limits on everything that tests run
command:curl             curl                         asks servers by hand
LIST
}

go_oldest=24
# Where Debian's Go is older, it can still fetch this one, as a module whose checksum it verifies.
go_toolchain=golang.org/toolchain@v0.0.1-go1.24.4.linux-$(dpkg --print-architecture 2>/dev/null || true)

go_there() {
  local version
  version=$(GOTOOLCHAIN=local go version 2>/dev/null | awk '{ print $3 }') || return 1
  [[ $version =~ ^go1\.([0-9]+) ]] && ((BASH_REMATCH[1] >= go_oldest))
}

java_there() {
  local home
  for home in /usr/lib/jvm/java-17-openjdk-* /usr/lib/jvm/java-21-openjdk-* "${JAVA_HOME:-/nonexistent}"; do
    [ -x "$home/bin/java" ] && grep -qE 'JAVA_VERSION="(17|21)' "$home/release" 2>/dev/null && return 0
  done
  return 1
}

there() {
  case $1 in
    command:*) PATH=$PATH:/usr/sbin:/sbin command -v "${1#*:}" >/dev/null ;;
    file:*) [ -e "${1#*:}" ] ;;
    java:*) java_there ;;
    go:*) go_there ;;
  esac
}

missing() {
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
  local home=/usr/local/lib/kafka-toolbox-go scratch
  echo "setup: Debian's Go is older than 1.$go_oldest; fetching ${go_toolchain#*@v0.0.1-}"
  scratch=$(mktemp -d)
  (cd "$scratch" && echo 'module scratch' >go.mod && GOFLAGS=-mod=mod GOMODCACHE=$home timeout 300 go mod download "$go_toolchain")
  rm -rf "$scratch"
  chmod -R u+w,a+rX "$home"
  chmod a+x "$home/$go_toolchain"/bin/* "$home/$go_toolchain"/pkg/tool/*/*
  ln -sf "$home/$go_toolchain/bin/go" /usr/local/bin/go
  hash -r
}

rust() {
  command -v cargo >/dev/null && return
  echo "missing: Rust. Type: curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh" >&2
  exit 1
}

main() {
  local lines packages=() check package purpose
  rust
  lines=$(missing)
  [ -n "$lines" ] || return 0
  if ! command -v apt-get >/dev/null; then
    echo "missing, and this is neither Debian nor Ubuntu; install by hand what these Debian packages hold:" >&2
    while IFS=$'\t' read -r check package purpose; do echo "  $package: $purpose" >&2; done <<<"$lines"
    exit 1
  fi
  if [ "$(id -u)" = 0 ]; then
    echo "setup: asking for Debian's present versions"
    apt-get -q -q update
  fi
  while IFS=$'\t' read -r check package purpose; do
    package=$(choose "$check" "$package")
    echo "setup: missing $package: $purpose"
    packages+=("$package")
  done <<<"$lines"
  if [ "$(id -u)" != 0 ]; then
    echo "only root may install. Type: sudo apt-get install --no-install-recommends -y ${packages[*]}" >&2
    exit 1
  fi
  DEBIAN_FRONTEND=noninteractive apt-get -q -q -o DPkg::Lock::Timeout=300 install --no-install-recommends -y \
    "${packages[@]}" >/dev/null
  go_there || fetch_go
  lines=$(missing)
  if [ -n "$lines" ]; then
    echo "still missing after apt-get:" >&2
    while IFS=$'\t' read -r check package purpose; do echo "  ${check#*:} ($package): $purpose" >&2; done <<<"$lines"
    exit 1
  fi
  echo "setup: done"
}

main
