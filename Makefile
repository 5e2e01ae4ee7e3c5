# Everything that a developer or CI runs. Bare `make` lists it.

SHELL := /bin/bash
.DEFAULT_GOAL := list
CARGO ?= cargo
# The static binary, of this machine's kind.
STATIC := $(shell uname -m)-unknown-linux-musl
# Tests wait for servers for a good part of their time: one more than there are CPUs keeps these busy.
export RUST_TEST_THREADS ?= $(shell expr $$(nproc) + 1)
# Runs a command, and says in one line how long it took.
PHASE := tests/phase.sh

.PHONY: list
list: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{ printf "  make %-22s %s\n", $$1, $$2 }'

.PHONY: setup
setup: ## install what builds and tests need (as root on Debian or Ubuntu), or say what to type
	@tests/live/install.sh

.PHONY: check
check: setup ## formatting, lints, docs, licences: all that is not a test
	@$(PHASE) format $(CARGO) fmt --all --check
	@$(PHASE) clippy $(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	@RUSTDOCFLAGS="-D warnings" $(PHASE) docs $(CARGO) doc --locked --workspace --no-deps --document-private-items --quiet
	@$(PHASE) licences tests/deny.sh

.PHONY: test
test: setup ## every test, against real servers that the tests start themselves; ROOM=topics for one room
	@# The images of the tests hold the static binary; built here, it keeps no test waiting. Either build is on one core for
	@# most of its time.
	@$(MAKE) --no-print-directory -j2 $(if $(ROOM),,static) test-build
	@$(PHASE) tests $(CARGO) test --locked --workspace $(if $(ROOM),--test suite $(ROOM)::)

.PHONY: static
static: setup
	@$(PHASE) "static binary" $(CARGO) build --release --locked --target $(STATIC) --target-dir target

.PHONY: test-build
test-build: setup
	@$(PHASE) "build of the tests" $(CARGO) test --locked --workspace --no-run $(if $(ROOM),--test suite)

ACCEPTANCE_BYTES ?= 1GB
ACCEPTANCE_KILLS ?= 20
ACCEPTANCE_SECONDS ?= 600
ACCEPTANCE_WRITERS ?= 40
ACCEPTANCE_ROUNDS ?= 60
ACCEPTANCE_IDENTITY_ROUNDS ?= 200
ACCEPTANCE_MOVES := reassign::acceptance:: reassign::eta:: reassign::faults:: a_move_ends_beside_a_producer throttle::outages:: throttle::lists::six_thousand
ACCEPTANCE_RECORDS := state::kafka_lock topics::live::behind:: topics::live::settled:: events::killed::
# Every fault of membership, the quick ones too. `ensemble::controller`: their quorums, kills and answers.
ACCEPTANCE_MEMBERSHIP := ensemble::membership:: ensemble::faults:: ensemble::rivals:: ensemble::late:: ensemble::clocks:: ensemble::kills:: ensemble::ensembles:: \
  ensemble::controller ensemble::quorum:: ensemble::prestart:: ensemble::trouble:: identity::racing:: identity::kafka:: probe::ensemble:: probe::live:: \
  probe::storm:: rollout::live:: rollout::acceptance::
# Filters of tests, as `cargo test` takes them.
ACCEPTANCE_TESTS ?= $(ACCEPTANCE_RECORDS) $(ACCEPTANCE_MOVES) $(ACCEPTANCE_MEMBERSHIP)

.PHONY: acceptance
acceptance: setup ## the whole story of moves with a gigabyte on each kind of cluster, what a producer feels of a move, sinks that fail for ten minutes, 40 writers killed 60 times, all faults of membership
	@$(PHASE) "build of the tests" $(CARGO) test --locked --no-run --test suite
	@TOOLBOX_TEST_BYTES=$(ACCEPTANCE_BYTES) TOOLBOX_TEST_KILLS=$(ACCEPTANCE_KILLS) TOOLBOX_TEST_FROZEN_SECONDS=90 \
	  TOOLBOX_TEST_WRITERS=$(ACCEPTANCE_WRITERS) TOOLBOX_TEST_ROUNDS=$(ACCEPTANCE_ROUNDS) TOOLBOX_TEST_SECONDS=$(ACCEPTANCE_SECONDS) \
	  TOOLBOX_TEST_IDENTITY_ROUNDS=$(ACCEPTANCE_IDENTITY_ROUNDS) TOOLBOX_TEST_MEMBERSHIP=1 \
	  $(PHASE) acceptance $(CARGO) test --locked --test suite -- --test-threads=1 --nocapture $(ACCEPTANCE_TESTS)

.PHONY: acceptance-membership
acceptance-membership: ## the part of it that is about ensemble, identity, probe and rollout
	@$(MAKE) --no-print-directory acceptance ACCEPTANCE_TESTS="$(ACCEPTANCE_MEMBERSHIP)"

.PHONY: rooms
rooms: ## which command's folder has which file
	@for room in src/commands/*/; do printf '%-12s' "$$(basename $$room)"; \
	  for name in command spec observe plan apply agent verdict report; do \
	    if [ -e $$room$$name.rs ] || [ -d $$room$$name ]; then printf ' %-8s' $$name; else printf ' %-8s' .; fi; done; echo; done

.PHONY: new
new: ## make the folder of a new command: make new ROOM=quotas
	@tests/new-room.sh $(ROOM)

.PHONY: keys
keys: ## generate the table of Kafka's topic config keys anew, from Kafka's jars
	@tests/topics/keys/generate.sh

FUZZ_SECONDS ?= 600
# Each target allows an input a second of CPU time (fuzz/src/lib.rs). This is for one that never ends, on the wall: a loaded
# machine must not reach it.
FUZZ_TIMEOUT ?= 60
FUZZ_ALL := spec properties moves toolbox_file sasl group_bytes answers metrics tokens records visible objects stores certificates zookeeper
FUZZ_TARGETS ?= $(FUZZ_ALL)
FUZZ_VERSION := 0.13.1
FUZZ_HOME := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/kafka-toolbox/cargo-fuzz

.PHONY: setup-fuzz
setup-fuzz:
	@tests/live/install.sh fuzz

.PHONY: fuzz
fuzz: setup-fuzz ## any bytes into the readers of files and of what peers send, FUZZ_SECONDS=600 each; needs nightly Rust
	@test -x $(FUZZ_HOME)/bin/cargo-fuzz || $(PHASE) "cargo-fuzz (once)" $(CARGO) install cargo-fuzz --version $(FUZZ_VERSION) --locked --root $(FUZZ_HOME)
	@mkdir -p $(addprefix fuzz/corpus/,$(FUZZ_ALL))
	@for case in tests/topics/cases/*/; do ! test -f $$case/spec.yaml || cp $$case/spec.yaml fuzz/corpus/spec/$$(basename $$case); done
	@for case in tests/mapping/cases/*/; do ! test -f $$case/toolbox.yaml || cp $$case/toolbox.yaml fuzz/corpus/toolbox_file/$$(basename $$case); done
	@cp configmaps/*/*.yaml fuzz/corpus/spec/
	@for seeds in fuzz/seeds/*/; do cp $$seeds* fuzz/corpus/$$(basename $$seeds)/; done
	@for target in $(FUZZ_TARGETS); do \
	  PATH="$(FUZZ_HOME)/bin:$$PATH" ASAN_OPTIONS=quarantine_size_mb=8 $(PHASE) $$target $(CARGO) +nightly fuzz run $$target -- \
	    -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=256 -timeout=$(FUZZ_TIMEOUT) -max_len=65536 || exit 1; done

.PHONY: snap
snap: setup ## write what people read (help pages, tables, plans) anew, and show what changed
	INSTA_UPDATE=always $(CARGO) test --locked --test suite -- help:: topics::cases::
	@git diff --stat -- '*.snap'

.PHONY: servers
servers: setup ## leave one cluster of each kind running for hands, named in toolbox.yaml
	@$(CARGO) run --quiet --locked --example servers -- start

.PHONY: servers-stop
servers-stop: setup ## stop what `make servers` started, and remove all of it
	@$(CARGO) run --quiet --locked --example servers -- stop

.PHONY: image
image: setup ## build both container images, run them, leave archives in target/image; BINARY=built compiles in the Dockerfile
	@[ "$(BINARY)" = built ] || $(MAKE) --no-print-directory static
	@$(PHASE) images tests/live/kubernetes/image/image.sh

.PHONY: bench
bench: setup ## measure the release binary beside its rivals, and an older binary (FORMER=FILE), on real clusters (about 25 minutes)
	@$(MAKE) --no-print-directory static
	@$(PHASE) bench $(CARGO) run --quiet --locked --example bench -- --toolbox target/$(STATIC)/release/toolbox $(if $(FORMER),--former "$(FORMER)")

.PHONY: demo
demo: setup ## the main job on a real four-broker cluster, as a story; leaves nothing running
	@$(PHASE) build $(CARGO) build --quiet --locked --bin toolbox --example servers --target-dir target
	@$(PHASE) demo $(CARGO) run --quiet --locked --example servers --target-dir target -- run --brokers 4 -- tests/live/demo.sh target/debug/toolbox
