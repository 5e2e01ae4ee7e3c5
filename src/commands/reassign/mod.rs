//! `toolbox reassign`: carries moves of partitions out, in bounded batches, throttled, with bytes and time left.
//!
//! The way through: `spec` (a plan of `mapping`, or Kafka's own file) → `observe` (assignment, running moves, sizes) →
//! `plan` (may they run at all, which are next, how far are they, how are they taken back) → `agent` (looks, decides,
//! submits and records, again and again) with `apply` → `report`. The state is the cluster and the plan: a run that dies
//! is gone on with by the next.

mod agent;
mod apply;
pub mod command;
mod observe;
pub mod plan;
mod report;
mod spec;
