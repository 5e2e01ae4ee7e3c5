//! What each fuzz target does with one input. They are here, not in `fuzz_targets`, so that they compile without libFuzzer and
//! without nightly Rust: `make check` notices when one of them does not fit the tool's code any more.

mod answers;
mod files;
mod records;
mod sasl;

pub use answers::{answers, certificates, group_bytes, metrics, objects, stores, tokens, zookeeper};
pub use files::{moves, properties, spec, toolbox_file, visible};
pub use records::records;
pub use sasl::sasl;
