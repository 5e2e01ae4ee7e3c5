//! Real Kafka and ZooKeeper servers on loopback: [`Cluster`] starts, disturbs and ends them.
//!
//! Jars come from Maven once and are cached outside the tree; a keeper process ends the servers however their owner ends.
#![expect(dead_code, unused_imports, reason = "each of the programs that include it uses a part of it")]

pub(crate) mod ask;
mod cluster;
pub(crate) mod jars;
pub(crate) mod keeper;
pub(crate) mod ports;
mod properties;
mod quorum;
pub(crate) mod records;
mod relay;
mod shape;
pub(crate) mod start;
pub(crate) mod throttle;
pub(crate) mod wait;

pub(crate) use cluster::{Cluster, Signal};
pub(crate) use jars::cache;
pub(crate) use keeper::{end, runs};
pub(crate) use quorum::{Quorum, QuorumShape, Voters};
pub(crate) use relay::Relay;
pub(crate) use shape::{Kind, Shape};
