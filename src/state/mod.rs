//! What is kept between runs, and who may change it: documents with compare-and-set, and locks.
//!
//! The identity of both is the cluster's id (and the owner, where several people declare things), however the cluster was
//! addressed. Documents are ConfigMaps or files; locks are consumer groups of the cluster itself, Leases, or files.

pub mod clock;
pub mod document;
pub mod documents;
pub mod identity;
pub mod lock;
pub mod patience;
pub mod place;
