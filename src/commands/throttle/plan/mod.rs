//! The control law: (time, settings, what is there, what was decided before) → the throttles that should hold, and why.
//!
//! Kafka's quota counts in-sync traffic of throttled partitions, too, though it holds back only replicas that are out of
//! sync. So a throttle that is meant for the copying must make room for the writing: the [`floor`], below which a move
//! never ends. Above it, [`law`] gives the copying what clients leave of the network ([`foreground`] says for how long
//! clients that are gone still count), [`flows`] shares it out so that a source which waits for its destination gets no
//! rate that it would misuse later, and [`pace`] writes rarely and rises slowly.
//!
//! `reassign execute --throttle auto` comes through here as well.

pub mod copied;
pub mod floor;
pub mod flows;
pub mod foreground;
pub mod health;
pub mod law;
pub mod limits;
pub mod look;
pub mod outlook;
pub mod pace;
pub mod snapshot;
pub mod state;

#[cfg(test)]
mod tests;
