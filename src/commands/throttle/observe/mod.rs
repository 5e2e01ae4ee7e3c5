//! Reads what the control law needs: the moves, the replicas' sizes, and offsets.

pub mod moves;
