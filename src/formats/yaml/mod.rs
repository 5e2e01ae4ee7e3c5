//! YAML (and JSON, which is YAML too) as people write it: text in, values with their places or all faults out.
//!
//! - [`documents`] reads every document of a text into [`Node`]s. Scalars stay as they were written: `010`, `0.50`, `yes`
//!   and `1e3` are never taken for numbers or truth values unless somebody asks for one.
//! - [`Reader`] takes a tree apart and collects all faults; [`read`] reads one document into a serde type and stops at
//!   the first fault.
//!
//! Refused, each with its place: a key that is written twice in one mapping, keys that are no text, tags other than
//! `!!str`, `!!map` and `!!seq`, aliases without an anchor, tabs as indentation, text that is not UTF-8, and whatever
//! exceeds a limit below. Anchors, aliases and merge keys (`<<`) are read; what a mapping says itself wins.

mod compose;
mod emit;
mod node;
mod reader;
mod syntax;
mod typed;

pub use compose::documents;
pub use emit::{quoted_text, verbatim_text};
pub use node::{Entry, Node, Origin, Scalar, Style, Value, short};
pub use reader::{Fields, Reader};
pub use syntax::decode;
pub use typed::read;

/// Longest text that is read, in bytes.
pub const BYTES_MAX: usize = 16 << 20;

/// Most values, keys counted too, that one text may hold after its aliases are filled in.
pub const NODES_MAX: usize = 1_000_000;

/// Most values, keys counted too, that anchors and aliases may copy in one text, beside one for each byte of it: a short
/// text may not cost what a long one costs.
pub const COPIED_NODES_MAX: usize = 100_000;

/// Most levels of lists and mappings inside each other.
pub const DEPTH_MAX: usize = 64;

/// Most bytes that aliases may copy in one text.
pub const COPIED_BYTES_MAX: usize = 16 << 20;

/// Most faults that are listed for one text.
pub const FAULTS_MAX: usize = 100;

#[cfg(test)]
mod tests;
