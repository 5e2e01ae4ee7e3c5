//! Verdicts on brokers, controllers and ZooKeeper servers.

mod brokers;
mod laws;
mod quorums;
pub(in crate::commands::rollout) mod scene;
mod steady;
