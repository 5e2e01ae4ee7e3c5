//! What is asked of the planner: arguments and maps, checked.

pub mod goal;
