//! Mutual exclusion of runs: leadership of a consumer group of the cluster that is changed, a Lease, or a locked file.
//!
//! A lock that has to be renewed is a lease, not a fence: admin requests carry no token that a broker could refuse. So
//! whoever holds it must not write unless the last renewal is young enough.

pub mod file;
pub mod kafka;
pub mod lease;
pub mod renewal;
