//! `toolbox rollout`: whether a broker, a controller or a ZooKeeper server may stop now, waiting for that, and rolling
//! restarts that keep to it.

pub mod agent;
pub mod apply;
pub mod command;
pub mod observe;
pub mod plan;
pub mod report;
pub mod spec;
pub mod verdict;
