//! `toolbox reassign`: on a cluster in memory, and on real ones.

pub(crate) mod acceptance;
pub(crate) mod bench;
mod cancelling;
mod electing;
mod eta;
mod executing;
mod faults;
mod in_kubernetes;
mod jbod;
pub(crate) mod live;
mod others;
mod others_live;
pub(crate) mod stalled_live;
mod terminal;
