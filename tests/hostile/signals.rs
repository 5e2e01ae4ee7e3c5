//! Inputs that never come: a signal ends the command nonetheless.

use std::fmt;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use kafka_toolbox::change::brake::Brake;
use kafka_toolbox::change::carry_out::Ended;
use kafka_toolbox::change::plan::{Plan, Risk, Step};
use kafka_toolbox::cli::Cli;
use kafka_toolbox::context::Context;
use kafka_toolbox::exit::Exit;
use kafka_toolbox::output;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::toolbox::Toolbox;

/// Far beyond the second after which a read is given up.
const LIMIT: Duration = Duration::from_secs(20);

/// The code that a command ends with at a signal while it waits for input.
fn code_at(command: &mut Command, signal: Signal) -> Option<i32> {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    let status = loop {
        // Again and again: the first one may come before it is heard, and then it ends the process by itself.
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(begun.elapsed() < LIMIT, "the signal is ignored");
        if is_reading(child.id()) {
            let _ = kill_process(Pid::from_child(&child), signal);
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    status.code()
}

/// Whether a process hears signals by itself and waits in a system call.
fn is_reading(id: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or_default();
    let caught = u64::from_str_radix(caught.trim(), 16).unwrap_or_default();
    // Signal 15 is bit 14.
    caught & (1 << 14) != 0 && status.contains("State:\tS")
}

#[test]
fn a_silent_pipe_ends_on_sigterm_and_on_ctrl_c() {
    let toolbox = Toolbox::alone();
    for signal in [Signal::TERM, Signal::INT] {
        let mut command = toolbox.command(&["topics", "validate", "-f", "-"]);
        assert_eq!(code_at(command.stdin(Stdio::piped()), signal), Some(1), "{signal:?}");
    }
}

#[test]
fn a_scheduled_command_that_waits_for_its_input_ends_on_sigterm() {
    let toolbox = Toolbox::alone();
    let mut command = toolbox.command(&["--schedule", "@every 1s", "topics", "validate", "-f", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"topics:\n").unwrap();
    let begun = Instant::now();
    // Between two runs a signal is heard anyway: this one comes once the run has begun to read.
    while rustix::io::ioctl_fionread(&input).unwrap() > 0 {
        assert!(begun.elapsed() < LIMIT, "no run has begun");
        std::thread::sleep(Duration::from_millis(10));
    }
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    while child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < LIMIT, "the signal is ignored");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn a_fifo_that_nobody_writes_to_is_refused_at_once() {
    let toolbox = Toolbox::alone();
    let fifo = toolbox.state().join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600), 0)
        .unwrap();
    let fifo = fifo.to_str().unwrap();
    let lines: [&[&str]; 2] = [
        &["topics", "validate", "-f", fifo],
        &["topics", "list", "--bootstrap-server", "a:1", "--command-config", fifo],
    ];
    for line in lines {
        let ran = toolbox.run(line).ends_with(2);
        assert!(ran.err.contains("it is a named pipe, not a regular file"), "{line:?}: {ran:?}");
    }
}

/// A change that nothing depends on; each is a batch of its own.
#[derive(Debug, Clone, serde::Serialize)]
struct Change(&'static str);

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "~ thing {}", self.0)
    }
}

impl Step for Change {
    type Batch = &'static str;

    fn subject(&self) -> String {
        format!("thing:{}", self.0)
    }

    fn risk(&self) -> Risk {
        Risk::Reversible
    }

    fn kind(&self) -> &'static str {
        "topics.config_changed"
    }

    fn batch(&self) -> &'static str {
        self.0
    }
}

#[tokio::test]
async fn a_run_that_a_signal_stops_between_two_batches_has_failed_so_that_a_job_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let line = ["toolbox", "--yes", "--state", "file", "--state-folder", folder.path().to_str().unwrap(), "man"];
    let brake = Brake::default();
    let flags = Cli::try_parse_from(line).unwrap().flags().clone();
    let mut context = Context::new(flags).with_brake(brake.clone());
    let apply = async |batch: &[Change]| {
        brake.pull("asked to stop by SIGTERM");
        batch.iter().map(|_| Ended::done()).collect::<Vec<_>>()
    };
    let plan = Plan { steps: vec![Change("one"), Change("two")], ..Plan::default() };
    let (settled, heard) = output::listen(None, context.settle(plan, apply)).await;
    assert_eq!(settled.unwrap().exit, Exit::Failed, "{heard:#?}");
    assert!(heard.err.contains("1 of 2 steps were not begun"), "{heard:#?}");
}
