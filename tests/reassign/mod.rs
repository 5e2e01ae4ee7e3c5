//! `toolbox reassign`: on a cluster in memory, and on real ones.

pub(crate) mod acceptance;
mod bench;
mod cancelling;
mod executing;
mod faults;
mod in_kubernetes;
mod live;
