//! Real Kafka and ZooKeeper servers on loopback: [`Cluster`] starts, disturbs and ends them.
//!
//! Jars come from Maven once and are cached outside the tree; a keeper process ends the servers however their owner ends.
#![expect(dead_code, unused_imports, reason = "each of the programs that include it uses a part of it")]

mod ask;
mod cluster;
mod jars;
mod keeper;
mod ports;
mod properties;
pub(crate) mod records;
mod relay;
mod shape;
mod start;
mod wait;

pub(crate) use cluster::{Cluster, Signal};
pub(crate) use jars::cache;
pub(crate) use keeper::{end, runs};
pub(crate) use relay::Relay;
pub(crate) use shape::{Kind, Shape};
