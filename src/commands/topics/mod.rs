//! `toolbox topics`: declared topics (ConfigMaps, files) against the cluster.
//!
//! The way through: `spec` (text → checked declarations) → `observe` (what the cluster has) → `plan` (the difference, with
//! every guard) → shown, asked, carried out by `apply`, recorded.

pub mod apply;
pub mod command;
pub mod observe;
pub mod plan;
pub mod report;
pub mod spec;
