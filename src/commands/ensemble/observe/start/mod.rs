//! What the start of one server needs to know: its folders, and every other server that may be live.

mod controller;
mod disk;
mod live;

pub use controller::look_at_controller_disk;
pub use disk::look_at_disk;
pub use live::{How, Live, look_at_live, resolves};
