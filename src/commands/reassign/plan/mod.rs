//! All decisions of a reassignment: may it run, what is next, how far is it, what takes it back. Pure.

pub mod auto;
pub mod disks;
pub mod elect;
pub mod lost;
pub mod next;
pub mod pace;
pub mod paced;
pub mod preflight;
pub mod progress;
pub mod seen;
pub mod stalls;
pub mod step;
#[cfg(test)]
mod tests;
pub mod tick;
pub mod undo;
pub mod unthrottled;
