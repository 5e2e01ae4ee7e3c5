//! Decisions and laws.

mod decisions;
mod histories;
mod laws;
mod world;
