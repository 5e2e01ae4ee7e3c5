//! Rooms: one folder a subcommand, with the same file names in each (ARCHITECTURE.md has the matrix).

pub mod ensemble;
pub mod events;
pub mod identity;
pub mod mapping;
pub mod probe;
pub mod rbac;
pub mod reassign;
pub mod rollout;
pub mod throttle;
pub mod topics;
