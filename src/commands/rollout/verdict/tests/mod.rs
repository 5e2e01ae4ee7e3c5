//! Verdicts on brokers, controllers and ZooKeeper servers.

mod brokers;
mod laws;
mod quorums;
mod scene;
mod steady;
