//! Who belongs to a ZooKeeper ensemble or to the quorum of KRaft's controllers: decides on at most one change a pass, and refuses
//! whatever would endanger the quorum.

pub mod agent;
pub mod apply;
pub mod command;
pub mod observe;
pub mod plan;
pub mod report;
pub mod spec;
