//! Contracts that live clients and their memory twins both keep.

pub(crate) mod kafka;
pub(crate) mod kubernetes;
mod zookeeper;
