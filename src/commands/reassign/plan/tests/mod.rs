//! Decisions and laws.

mod decisions;
mod laws;
mod world;
