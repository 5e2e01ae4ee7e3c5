#!/bin/bash
# image.sh: builds the Dockerfile's two images around the static binary that cargo made, with the names and the version that
# manifests/ has, runs them, checks size and user, and leaves target/image/kafka-toolbox.tar and kafka-toolbox-shell.tar
# there, which docker, podman and containerd load.
# Needs root, buildah, podman and runc. Where Docker Hub can't be reached, Debian's packages stand in for its image.
#   BINARY=built  compiles inside the Dockerfile as `docker build .` does
#   DEBIAN=docker.io/library/debian@sha256:…  the base image by its digest; nothing stands in for that one
set -euo pipefail
cd "$(dirname "$0")/../../../.."
PATH=$PATH:/usr/sbin:/sbin
binary=${BINARY:-given}
out=$PWD/target/image
store=${XDG_CACHE_HOME:-$HOME/.cache}/kafka-toolbox/images
debian=${DEBIAN:-docker.io/library/debian:trixie-slim}
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
# What a manifest means by `kafka-toolbox:VERSION`.
toolbox=docker.io/library/kafka-toolbox:$version
shell=docker.io/library/kafka-toolbox-shell:$version

for program in buildah podman runc; do
  command -v "$program" >/dev/null || { echo "$program is not installed: \`make setup\` installs it" >&2; exit 1; }
done
mkdir -p "$out" "$store"
# One at a time: the store is shared by all trees of this user.
exec 9>"$store/lock"
flock -w 1800 9

# An overlay can't be laid over an overlay: inside a container, layers are copied.
driver=overlay
[ "$(stat -f -c %T "$store")" != overlayfs ] || driver=vfs
storage=(--root "$store/root" --runroot "$store/run" --storage-driver "$driver")
podman() { command podman "${storage[@]}" --cgroup-manager=cgroupfs "$@"; }
buildah() { command buildah "${storage[@]}" "$@"; }

# Debian's base image, or what its packages make of it.
stand_in() {
  [[ $debian != *@* ]] || { echo "$debian can't be pulled, and an image that is named by its digest has no stand-in" >&2; exit 1; }
  command -v mmdebstrap >/dev/null || { echo "mmdebstrap is not installed: \`make setup\` installs it" >&2; exit 1; }
  local root=$out/debian.tar
  mmdebstrap --quiet --variant=minbase --include=bash-static,busybox-static,ca-certificates,ncurses-base trixie "$root"
  podman import --quiet "$root" "$debian" >/dev/null
  rm -f "$root"
}
podman image exists "$debian" || timeout 60 buildah pull --quiet "$debian" >/dev/null 2>&1 || stand_in

build() { # build STAGE NAME
  buildah bud --quiet --isolation=chroot --network=host --pull-never --layers --timestamp 0 \
    --build-arg BINARY="$binary" --build-arg DEBIAN="$debian" --build-arg MACHINE="$(uname -m)" --target "$1" --tag "$2" . >/dev/null
}
build toolbox "$toolbox"
build shell "$shell"

run() { # run NAME ARGUMENT...: as Kubernetes would, with nothing but what the image has
  podman run --rm --runtime="$(command -v runc)" --network=host --read-only --cap-drop=ALL --pull=never \
    --ulimit nofile=1024:1024 --ulimit nproc=4096:4096 "$@"
}
fail() { echo "image: $*" >&2; exit 1; }
help=$(run "$toolbox" --help)
[[ $help == *"Usage: toolbox"* ]] || fail "--help says: $help"
who=$(run --entrypoint /bin/sh "$shell" -c 'id -u; toolbox --version; touch /new 2>&1; true')
[[ $who == 65532$'\n'toolbox\ *"Read-only file system"* ]] || fail "the shell image says: $who"
completes=$(run --entrypoint /bin/bash "$shell" -ic 'complete -p toolbox' 2>/dev/null)
[[ $completes == complete*toolbox* ]] || fail "bash completes nothing: $completes"
[ "$(podman image inspect --format '{{.Config.User}}' "$toolbox")" = 65532:65532 ] || fail "runs as root"
bytes=$(podman image inspect --format '{{.Size}}' "$toolbox")
[ "$bytes" -lt "${BYTES_MAX:-30000000}" ] || fail "is $bytes bytes; ${BYTES_MAX:-30000000} is the limit"
echo "kafka-toolbox:$version: $bytes bytes, kafka-toolbox-shell:$version: $(podman image inspect --format '{{.Size}}' "$shell") bytes"

for name in kafka-toolbox kafka-toolbox-shell; do
  rm -f "$out/$name.tar.new"
  podman save --quiet --format docker-archive --output "$out/$name.tar.new" "docker.io/library/$name:$version"
  mv "$out/$name.tar.new" "$out/$name.tar"
done
# Layers of earlier binaries are of no more use.
podman image prune --force >/dev/null
cat <<HOW
Archives: target/image/kafka-toolbox.tar, target/image/kafka-toolbox-shell.tar. To push them to a registry that your nodes read:
  for name in kafka-toolbox kafka-toolbox-shell; do
    podman load --input target/image/\$name.tar
    podman push \$name:$version REGISTRY/\$name:$version    # or: docker load, docker tag, docker push
  done
Then name REGISTRY in the \`images\` of your overlay, as in manifests/examples/prod.
HOW
