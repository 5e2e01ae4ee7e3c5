//! Contracts that live clients and their memory twins both keep.

pub(crate) mod kafka;
mod kubernetes;
mod zookeeper;
