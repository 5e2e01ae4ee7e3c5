//! How many records one request may make a controller write.

/// Most records of one request to a KRaft controller, and so most records that the steps of one batch stand for. A
/// controller refuses more than 10,000 records in one atomic batch (`QuorumController.MAX_RECORDS_PER_USER_OP`). What we
/// count may be short of what it counts (defaults for partitions), so half of it is left as a margin.
pub const RECORDS_MAX: usize = 5_000;
