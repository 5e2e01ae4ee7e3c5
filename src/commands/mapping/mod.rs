//! `toolbox mapping`: plans which brokers hold which partitions; writes Kafka's own reassignment JSON.
//!
//! The way through: `spec` (arguments, maps → a checked [`spec::goal::Goal`]) → `observe` (assignment, racks, sizes) →
//! `plan` (moves and findings) → `report` (tables, chart, page) → files that `reassign` carries out. It changes nothing.

pub mod command;
pub mod observe;
pub mod plan;
pub mod report;
pub mod spec;
