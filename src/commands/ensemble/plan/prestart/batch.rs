//! The kinds of steps of a start.

use std::fmt;

/// What steps do, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StartBatch {
    /// The document is written.
    Record,
    /// Files are written.
    Write,
    /// A controller's disk is formatted.
    Format,
}

impl fmt::Display for StartBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Record => "record",
            Self::Write => "write",
            Self::Format => "format",
        })
    }
}
