//! How replication throttles are changed, whoever changes them: pure.
//!
//! [`decide::decide`] compares what is desired with what is there and with what is ours, and answers with the steps
//! and with the record that must be kept before the first of them. `context/throttles.rs` reads, keeps and writes.
//!
//! The rules, each of which has a law or a case in [`decide`]'s tests:
//! - Rates are set with the previous value recorded, and that value is restored when ours is not needed any more.
//! - Lists get exact `partition:broker` entries; only entries of ours are taken out, and a list that we emptied is unset.
//! - `*` of others, values from a broker's file and cluster-wide defaults are never touched.
//! - A list that is longer than Kafka takes becomes `*`, and what others had in it is restored afterwards.
//! - A value that somebody changed after us is theirs: when we leave, it stays, or comes back where ours replaced it.
//! - What can't be reached now stays in the record and is cleaned when it is back.

pub mod decide;
pub mod list;
pub mod step;

#[cfg(test)]
mod tests;
