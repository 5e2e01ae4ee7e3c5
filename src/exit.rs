//! Exit codes: an interface for scripts and CronJobs. Change them like one.

use std::process::ExitCode;

/// How a run of `toolbox` ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything is as desired, or now is.
    Done = 0,
    /// Something was tried and failed.
    Failed = 1,
    /// Wrong usage or bad input; nothing was changed.
    Usage = 2,
    /// `diff` or a dry run found changes.
    Changes = 3,
    /// Refused: a guard, `--max-risk`, or the answer "no".
    Refused = 4,
    /// A probe or check found the subject unhealthy.
    Unhealthy = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error that knows its exit code: wrong input ([`Exit::Usage`]) or a refusal ([`Exit::Refused`]).
///
/// Any other error ends a run with [`Exit::Failed`]. `main` finds this one anywhere in an `anyhow` chain.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Stop {
    /// The code that the process ends with.
    pub exit: Exit,
    /// What is wrong, and what to do next.
    pub message: String,
    /// Who holds the lock, where a run is refused because another one works; in words.
    pub holder: Option<String>,
}

impl Stop {
    /// Bad input: the process ends with code 2 and nothing has been changed.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into(), holder: None }
    }

    /// A refusal: the process ends with code 4 and nothing has been changed.
    pub fn refused(message: impl Into<String>) -> Self {
        Self { exit: Exit::Refused, message: message.into(), holder: None }
    }

    /// The same, because somebody holds the lock.
    #[must_use]
    pub fn held_by(self, holder: impl Into<String>) -> Self {
        Self { holder: Some(holder.into()), ..self }
    }
}
