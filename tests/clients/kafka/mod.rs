//! The contract of `clients::kafka::Kafka`, on real brokers and in memory; what happens when brokers misbehave, and when
//! properties are wrong.

pub(crate) mod contract;
mod limits;
pub(crate) mod live;
mod lock_groups;
mod memory;
mod properties;
mod proxy;
mod quorum;
mod scripted;
mod trouble;
mod unreachable;
