//! `toolbox identity`: which id a broker (or a ZooKeeper server) has, for the init container of its pod.
//!
//! The way through: `observe` (disks, claim, node, registry; then whatever `plan` asks for: another pod, the cluster) →
//! `plan` (the decision table: one id, or a refusal under its `E_…` name) → `apply` (registry by compare-and-set, then
//! the output files, then labels). Nothing is ever written over an id that a disk holds.

pub mod apply;
pub mod command;
pub mod observe;
pub mod plan;
pub mod report;
pub mod spec;
