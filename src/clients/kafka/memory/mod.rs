//! The twin in memory: a small cluster that says what a real one says, codes and words included.
//!
//! Tests of whole commands run on it; the contract suite runs on it and on real clusters, so that the two agree. It is
//! built by adding what a test needs, and can be told to fail, to lose answers, or to go away:
//!
//! ```
//! use kafka_toolbox::clients::kafka::memory::{Call, Memory};
//!
//! let kafka = Memory::kraft(3)
//!     .topic("orders", &[&[1, 2], &[2, 3]])
//!     .config("orders", "retention.ms", "1000")
//!     .group("billing", &["orders"])
//!     .losing_the_answer(Call::CreateTopics, 1);
//! assert_eq!(kafka.look(|cluster| cluster.topics.len()), 1);
//! ```

mod build;
mod configs;
mod door;
mod faults;
mod keys;
mod lock_group;
mod model;
mod moves;
mod quorum;
mod shown;
mod topics;

pub use door::Memory;
pub use faults::Call;
pub use lock_group::Coordinators;
pub use model::{Model, ModelDir, ModelPartition, ModelTopic};
