//! The control law: cases, laws, and two moves simulated to their end.

mod cases;
mod laws;
mod looks;
mod simulation;
