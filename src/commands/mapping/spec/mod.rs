//! What is asked of the planner: arguments and maps, checked.

pub mod amounts;
pub mod goal;
pub mod goals;
pub mod select;
