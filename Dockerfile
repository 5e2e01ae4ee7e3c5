# Two images around one static binary:
#   toolbox  (the last stage)  the binary, CA certificates, nothing else: for jobs, agents, probes and init containers
#   shell    (--target shell)  the same with bash, busybox and completion: for the pod that people `kubectl exec` into
#
# `docker build .` compiles the binary. `--build-arg BINARY=given` takes the one that
# `cargo build --release --locked --target MACHINE-unknown-linux-musl` made before: `make image` does that.
ARG BINARY=built
# Base images: `--build-arg DEBIAN=docker.io/library/debian@sha256:…`, and RUST alike, takes one by its digest, so that two
# builds begin with the same bytes. The version of Rust is that of rust-toolchain.toml.
ARG RUST=docker.io/library/rust:1.95.0-trixie
ARG DEBIAN=docker.io/library/debian:trixie-slim

FROM ${RUST} AS built
RUN { command -v musl-gcc && command -v cmake; } >/dev/null || { apt-get update && apt-get install --yes --no-install-recommends cmake musl-tools; }
WORKDIR /source
COPY rust-toolchain.toml Cargo.toml Cargo.lock build.rs ./
COPY .cargo .cargo
RUN rustup target add "$(uname -m)-unknown-linux-musl"
COPY crates crates
COPY src src
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/source/target \
    cargo build --release --locked --target "$(uname -m)-unknown-linux-musl" && \
    cp "target/$(uname -m)-unknown-linux-musl/release/toolbox" /toolbox

FROM scratch AS given
ARG MACHINE=x86_64
COPY target/${MACHINE}-unknown-linux-musl/release/toolbox /toolbox

FROM ${BINARY} AS binary

FROM ${DEBIAN} AS parts
RUN set -eu; \
    if ! [ -x /bin/bash-static ] || ! command -v busybox >/dev/null || ! [ -s /etc/ssl/certs/ca-certificates.crt ]; then \
      apt-get update; \
      apt-get install --yes --no-install-recommends bash-static busybox-static ca-certificates ncurses-base; \
    fi; \
    mkdir -p /parts/base/etc/ssl/certs /parts/base/var/lib /parts/state /parts/shell/bin /parts/shell/etc /parts/shell/lib/terminfo; \
    mkdir -m 1777 /parts/base/tmp; \
    cp /etc/ssl/certs/ca-certificates.crt /parts/base/etc/ssl/certs/; \
    echo 'toolbox:x:65532:65532:toolbox:/tmp:/bin/bash' >/parts/base/etc/passwd; \
    echo 'toolbox:x:65532:' >/parts/base/etc/group; \
    cp /bin/bash-static /parts/shell/bin/bash; \
    cp "$(command -v busybox)" /parts/shell/bin/busybox; \
    for applet in $(busybox --list); do \
      [ -e "/parts/shell/bin/$applet" ] || ln -s busybox "/parts/shell/bin/$applet"; \
    done; \
    for terminal in d/dumb l/linux s/screen s/screen-256color t/tmux t/tmux-256color v/vt100 x/xterm x/xterm-256color; do \
      mkdir -p "/parts/shell/lib/terminfo/${terminal%/*}"; \
      cp "/usr/share/terminfo/$terminal" "/parts/shell/lib/terminfo/$terminal" 2>/dev/null || \
        cp "/lib/terminfo/$terminal" "/parts/shell/lib/terminfo/$terminal" 2>/dev/null || true; \
    done; \
    printf '%s\n' 'PS1="toolbox:\w\\$ "' 'source <(COMPLETE=bash toolbox)' >/parts/shell/etc/bash.bashrc

FROM scratch AS shell
COPY --from=parts /parts/base/ /parts/shell/ /
COPY --from=parts --chown=65532:65532 /parts/state/ /var/lib/kafka-toolbox/
COPY --from=binary --chmod=755 /toolbox /bin/toolbox
ENV PATH=/bin TOOLBOX_STATE_FOLDER=/var/lib/kafka-toolbox
USER 65532:65532
WORKDIR /tmp
ENTRYPOINT ["/bin/toolbox"]

FROM scratch AS toolbox
COPY --from=parts /parts/base/ /
COPY --from=parts --chown=65532:65532 /parts/state/ /var/lib/kafka-toolbox/
COPY --from=binary --chmod=755 /toolbox /bin/toolbox
ENV PATH=/bin TOOLBOX_STATE_FOLDER=/var/lib/kafka-toolbox
USER 65532:65532
WORKDIR /tmp
ENTRYPOINT ["/bin/toolbox"]
