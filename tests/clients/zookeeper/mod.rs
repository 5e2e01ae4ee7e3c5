//! The client of ZooKeeper: one contract for real servers and for the fake, servers that freeze and die, peers that mean no
//! good.

mod contract;
mod live;
mod memory;
mod scripted;
