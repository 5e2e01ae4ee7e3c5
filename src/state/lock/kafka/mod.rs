//! The lock that lives in the cluster that it protects: a classic consumer group whose leader is the holder.
//!
//! Whoever reaches the cluster is excluded, from whichever place: two pods, two namespaces, a laptop beside a pod. It is a
//! lease, not a fence: Kafka's admin requests carry no token, and heartbeats are not replicated. Therefore the holder
//! counts a renewal from the moment of sending it, by a clock that runs during sleep, and sends no write once the last
//! renewal is older than the session less a margin ([`Freshness`], [`Held::condition`]).
//!
//! [`take()`] asks who holds the lock and joins the group; [`renew`] keeps the membership on a thread of its own.

mod error;
mod held;
mod member;
mod renew;
mod take;
#[cfg(test)]
mod tests;

pub use error::LockError;
pub use held::{Freshness, Held};
pub use member::{Holder, Member};
pub use take::{Claim, OFFSETS_TOPIC, holder, take};
