//! What runs for long: the loop of a roll, and the guard of node drains.

pub mod drain;
pub mod roll;
