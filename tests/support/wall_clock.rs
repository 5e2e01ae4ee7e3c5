//! A wall clock that a test sets for the programs that it starts, by libfaketime: they see it jump while they run. What they ask of
//! the clocks that nobody sets is true.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use jiff::Timestamp;
use tempfile::TempDir;

use crate::support::toolbox::{Ran, finish};

/// A wall clock.
pub(crate) struct WallClock {
    folder: TempDir,
}

impl WallClock {
    /// One that is right.
    pub(crate) fn right() -> Self {
        let clock = Self { folder: tempfile::tempdir().unwrap() };
        clock.is_ahead_by(0);
        clock
    }

    /// Sets it so many seconds ahead of the true time, or behind it.
    pub(crate) fn is_ahead_by(&self, seconds: i64) {
        // Renamed, so that nobody reads half of it.
        let next = self.folder.path().join("next");
        std::fs::write(&next, format!("{seconds:+}\n")).unwrap();
        std::fs::rename(next, self.file()).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("offset")
    }

    /// Lets a command that is not started yet have this clock.
    pub(crate) fn rules(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", library())
            .env("FAKETIME_TIMESTAMP_FILE", self.file())
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            // Times of files come from the kernel, whose clock is right.
            .env("NO_FAKE_STAT", "1")
            .env("FAKE_UTIME", "0");
    }

    /// Runs a command to its end by this clock, which is right at first and jumps by so many seconds a while after the start.
    pub(crate) fn run_and_jump(&self, command: &mut Command, (after, seconds): (Duration, i64)) -> Ran {
        self.is_ahead_by(0);
        self.rules(command);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(after);
                self.is_ahead_by(seconds);
            });
            finish(command)
        })
    }
}

/// The library, which Debian keeps in the folder of its architecture.
fn library() -> PathBuf {
    let path = format!("/usr/lib/{}-linux-gnu/faketime/libfaketimeMT.so.1", std::env::consts::ARCH);
    assert!(Path::new(&path).exists(), "{path} is not there: tests/live/install.sh installs libfaketime");
    path.into()
}

/// How many seconds a time that was just read from a clock is ahead of the true one.
pub(crate) fn seconds_ahead(time: Timestamp) -> i64 {
    time.duration_since(Timestamp::now()).as_secs()
}
