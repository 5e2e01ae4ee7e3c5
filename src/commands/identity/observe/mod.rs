//! Reads what the decision needs: disks, claim, node, registry, output files; then whatever the decision asks for.

mod disks;
mod place;

pub use disks::folders;
pub use place::{Places, Reader};
