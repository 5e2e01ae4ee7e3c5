//! The runtime of everything that runs for long: one timer loop, leadership, an inbox for requests, the HTTP port, metrics.
//!
//! A command supplies its ticks as functions:
//!
//! - [`repeat`] gives each run of a command a context of its own (`--schedule`).
//! - [`runtime`] is an agent in one context: it stands by until it leads, does its ticks until it is stopped or loses the
//!   lead, and then stands by again. [`inbox`] brings requests to the leader, [`status`] is what health and metrics say.
//! - [`port`] serves HTTP within limits; a command adds its own routes and [`metrics`].

pub mod inbox;
pub mod metrics;
pub mod port;
pub mod repeat;
pub mod runtime;
pub mod schedule;
pub mod status;
