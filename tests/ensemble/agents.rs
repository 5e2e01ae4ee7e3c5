//! `ensemble watch`, as a process that runs beside a test.

use std::fs::File;
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::toolbox::Toolbox;

/// Longest wait for what an agent is to say.
const PATIENCE: Duration = Duration::from_mins(1);

/// An agent, which ends with the test whatever happens.
pub(super) struct Agent {
    child: Child,
    log: PathBuf,
}

impl Agent {
    /// Starts one that does a pass each second; what it says is kept under this name.
    pub(super) fn start(toolbox: &Toolbox, name: &str) -> Self {
        let log = PathBuf::from(toolbox.file(&format!("{name}.log"), ""));
        let append = || File::options().append(true).open(&log).unwrap();
        let mut command = toolbox.command(&["ensemble", "watch", "--interval", "1s"]);
        let child = command.stdout(append()).stderr(append()).spawn().unwrap();
        Self { child, log }
    }

    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All that it has said.
    pub(super) fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until it has said this.
    #[track_caller]
    pub(super) fn until_says(&self, words: &str) {
        let begun = Instant::now();
        while !self.said().contains(words) {
            assert!(begun.elapsed() < PATIENCE, "no `{words}` in:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends it as a power cut would.
    pub(super) fn is_killed(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end, and waits until it does; its exit code.
    pub(super) fn ends(&mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
