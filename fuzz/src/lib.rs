//! The pure floors of the tool, compiled from their places: what reads texts that people write.
#![allow(dead_code, unused_imports, reason = "only the readers are called here")]

#[path = "../../src/cluster/mod.rs"]
pub mod cluster;
#[path = "../../src/formats/mod.rs"]
pub mod formats;

#[path = "../../src/commands/topics/spec/mod.rs"]
pub mod spec_of_topics;

/// The one room whose spec is fuzzed, under its own name.
pub mod commands {
    /// `toolbox topics`.
    pub mod topics {
        pub use crate::spec_of_topics as spec;
    }
}
