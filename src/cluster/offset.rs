//! Offsets of partitions.

use serde::{Deserialize, Serialize};

/// Which offset ListOffsets asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetQuery {
    /// The first offset that is still there.
    Earliest,
    /// The offset after the last record.
    Latest,
    /// The first offset whose record's timestamp is at or after this: milliseconds since 1970.
    AtOrAfter(i64),
}

/// An answer of ListOffsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundOffset {
    /// The offset.
    pub offset: i64,
    /// Its record's timestamp in milliseconds since 1970, where the query was by time.
    pub timestamp: Option<i64>,
}
