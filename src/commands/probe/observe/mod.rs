//! What a probe sees: how a port reacts ([`port`]), what a ZooKeeper server, a broker or a controller says, and what was kept
//! from the look before ([`latch`]). Every function ends at its deadline.

pub mod controller;
pub mod kafka;
pub mod latch;
pub mod port;
pub mod zookeeper;
