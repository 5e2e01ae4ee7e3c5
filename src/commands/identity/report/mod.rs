//! What `identity` writes and shows: the files for the broker's container, the evidence, the registry. Pure.

mod evidence;
mod files;
mod show;

pub use evidence::Evidence;
pub use files::files;
pub use show::{Page, Table, tables};
