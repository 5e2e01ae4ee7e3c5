//! What runs for long: the loop of a roll.

pub mod roll;
