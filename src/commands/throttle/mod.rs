//! `toolbox throttle`: paces replication to the headroom that really is there, so that moves end and clients do not
//! notice.
//!
//! The way through, at every tick of `throttle run`: `observe` (moves, sizes, load) → `plan` (the control law: rates of
//! brokers) → `change/throttle` (what of it is to be written) → `context/throttles` (record, write, look, event).

pub mod agent;
pub mod command;
pub mod observe;
pub mod plan;
pub mod report;
pub mod spec;
