//! The one test binary: it links once, and the live clusters are shared.
#![expect(clippy::unwrap_used, reason = "a test that meets a surprise should stop right there")]

/// The house itself: who may import whom, pure files, names, lengths.
mod architecture;
/// Contracts that live clients and their memory twins both keep.
mod clients;
/// What a command is handed: the lock, what was last applied, repeating.
mod context;
/// `toolbox ensemble`, on scripted and real servers.
mod ensemble;
/// `toolbox events`, the outbox, Datadog.
mod events;
/// `--help` of every command.
mod help;
/// Servers, files and people that mean no good: what they send ends a command with a sentence.
mod hostile;
/// `toolbox identity`: files, the API server in trouble, real servers.
mod identity;
/// What real Kafka, ZooKeeper and Kubernetes servers say; starts them by itself.
mod live;
/// What stands in `manifests/`: command lines, rights of containers.
mod manifests;
/// `toolbox mapping`.
mod mapping;
/// `toolbox probe`, on scripted peers and real servers.
mod probe;
/// `toolbox rbac`, and the check of rights.
mod rbac;
/// `toolbox reassign`.
mod reassign;
/// `toolbox rollout`, on memory twins and real servers.
mod rollout;
/// `make setup` on a new machine, and the recipes of the Makefile.
mod setup;
/// What is kept between runs, and what keeps runs apart.
mod state;
/// What several tests need.
mod support;
/// `toolbox throttle`, on memory twins and real servers.
mod throttle;
/// `toolbox topics`.
mod topics;
