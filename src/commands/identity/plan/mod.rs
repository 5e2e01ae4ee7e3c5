//! All decisions of `identity`: what is there in, one id or one refusal out. Pure.
//!
//! Sources of truth, strongest first: the disk; the annotation of its claim; the label of its node; the registry; the
//! ordinal (or the lowest free id). What is needed beyond what was read is asked for ([`Question`]); the same call
//! again, with the answer, goes on.

pub mod cluster;
mod decide;
mod disk;
mod evidence;
mod free;
mod lost;
mod rack;
mod range;
mod refusal;
mod registry;
mod silent;
mod steps;
mod terms;

#[cfg(test)]
mod tests;

pub use decide::{Decision, Source, decide};
pub use evidence::{Claim, ClusterSeen, Folder, Holds, Me, NodeSeen, PodSeen, RackWord, Seen, Traces};
pub use rack::{RackFound, RackSource};
pub use refusal::{Code, Halt, Question, Refusal};
pub use registry::{Entry, Registry, RetiredDisk, State};
pub use steps::{
    Act, IdentityBatch, IdentityStep, OutputFile, POD_LABEL, Registration, Wanted, lines, node_label, plan,
};
pub use terms::{Allocation, Kind, RackTerms, Replaced, Terms};
