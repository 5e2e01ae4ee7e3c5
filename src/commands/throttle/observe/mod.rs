//! Reads what the control law needs: the moves, the replicas' sizes, offsets, and the brokers' load.

pub mod load;
pub mod moves;
