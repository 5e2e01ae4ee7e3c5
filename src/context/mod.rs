//! What a command is handed: how to reach the clusters, the mode of the run, the clock, the recorder, the output.

mod flags;

pub use flags::Flags;

/// Everything that a command needs from outside its room.
#[derive(Debug)]
pub struct Context {
    /// The global flags.
    pub flags: Flags,
}

impl Context {
    /// A context for one run.
    pub fn new(flags: Flags) -> Self {
        Self { flags }
    }
}
