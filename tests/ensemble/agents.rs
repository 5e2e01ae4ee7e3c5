//! `ensemble watch`, as a process that runs beside a test.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::toolbox::Toolbox;
use crate::support::wall_clock::WallClock;

/// Longest wait for what an agent is to say.
const PATIENCE: Duration = Duration::from_mins(1);

/// The time between the passes of an agent.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);

const WATCH: [&str; 4] = ["ensemble", "watch", "--interval", "1s"];

/// What it says before the address of its port.
const PORT: &str = "serving metrics and health on http://";

/// An agent, which ends with the test whatever happens.
pub(super) struct Agent {
    child: Child,
    log: PathBuf,
}

impl Agent {
    /// Starts one that does a pass each second; what it says is kept under this name.
    pub(super) fn start(toolbox: &Toolbox, name: &str) -> Self {
        Self::start_with(toolbox, name, toolbox.command(&WATCH))
    }

    /// The same by this wall clock, with a port.
    pub(super) fn start_by(clock: &WallClock, toolbox: &Toolbox, name: &str) -> Self {
        let mut command = toolbox.command(&[&WATCH[..], &["--listen", "127.0.0.1:0"]].concat());
        clock.rules(&mut command);
        let agent = Self::start_with(toolbox, name, command);
        agent.until_says(PORT);
        agent
    }

    fn start_with(toolbox: &Toolbox, name: &str, mut command: Command) -> Self {
        let log = PathBuf::from(toolbox.file(&format!("{name}.log"), ""));
        let append = || File::options().append(true).open(&log).unwrap();
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

    /// What its port answers for a path: the status and the text.
    pub(super) fn get(&self, path: &str) -> (u16, String) {
        let said = self.said();
        let address = said.split_once(PORT).unwrap().1.lines().next().unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    /// A number that it shows Prometheus; none where it does not show it.
    pub(super) fn shows(&self, name: &str) -> Option<f64> {
        let (_, text) = self.get("/metrics");
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
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
