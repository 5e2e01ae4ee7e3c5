//! What a ZooKeeper pod may start from: id and place in the document, the decision, the files, the steps.

mod batch;
mod decide;
mod files;
mod reserve;
mod steps;

pub use batch::StartBatch;
pub use decide::{Decision, Disk, DiskFile, Live, Marker, OwnId, Start, decide};
pub use files::{FoundFiles, Layout, Wanted, wanted};
pub use reserve::{Halt, Me, Reservation, my_id, reserve, waits_to_begin};
pub use steps::{Act, Ground, Outcome, PrestartStep, Terms, plan};
