//! Decisions and laws.

mod decisions;
mod histories;
mod laws;
mod told;
mod world;
