//! Conversions between counts, fractions and wide products, each with the reason why nothing is lost.

pub(super) use crate::cluster::size::{millionths, part_of};

/// An index as it is stored: there are fewer than 2^32 - 1 brokers, partitions and replicas.
#[expect(clippy::cast_possible_truncation, reason = "Kafka's own counts are 32 bits wide")]
pub(super) fn narrow(index: usize) -> u32 {
    index as u32
}

/// A stored index as one of an array.
pub(super) fn wide(index: u32) -> usize {
    index as usize
}

/// One million.
pub(super) const MILLION: u128 = 1_000_000;

/// The nearest amount of 64 bits.
pub(super) fn clamp(amount: u128) -> u64 {
    u64::try_from(amount).unwrap_or(u64::MAX)
}

/// Millionths in per cent, for people.
#[expect(clippy::cast_precision_loss, reason = "it is shown with one digit")]
pub(super) fn percent(millionths: u64) -> f64 {
    millionths as f64 / 1e4
}
