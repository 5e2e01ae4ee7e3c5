//! `--schedule` and signals, as a whole process.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::live::kafka::{Cluster, Kind};
use crate::live::kubernetes::control_plane::ControlPlane;

/// Longest wait for a process to end.
const END_MAX: Duration = Duration::from_secs(10);

fn start(arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_toolbox"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// The exit code, within the limit, and what was said on standard error if nobody has read it yet.
fn end(mut child: Child) -> (Option<i32>, String) {
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > END_MAX {
            child.kill().unwrap();
            panic!("it did not end within {END_MAX:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut said = String::new();
    if let Some(mut rest) = child.stderr.take() {
        rest.read_to_string(&mut said).unwrap();
    }
    (child.wait().unwrap().code(), said)
}

#[test]
fn a_command_is_repeated_until_a_signal_and_then_all_is_well() {
    let mut child = start(&["--schedule", "@every 1s", "man"]);
    let titles = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut titles = titles.filter(|line| line.starts_with(".TH toolbox "));
    assert!(titles.next().is_some() && titles.next().is_some());
    signal(&child, Signal::TERM);
    assert_eq!(end(child), (Some(0), String::new()));
}

#[test]
fn a_run_that_fails_is_said_and_the_next_one_comes_at_its_time() {
    let mut child = start(&["--schedule", "@every 1s", "topics", "validate", "-f", "/proc/nowhere.yaml"]);
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    for _ in 0..2 {
        let line = said.next().unwrap();
        assert!(line.contains("/proc/nowhere.yaml") && line.ends_with("; the next run comes at its time"), "{line}");
    }
    signal(&child, Signal::INT);
    assert_eq!(end(child).0, Some(0));
}

#[test]
fn a_run_that_has_changed_nothing_ends_at_once_when_it_is_asked_to() {
    // A server that takes connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let child = start(&["topics", "list", "--bootstrap-server", &address, "--timeout", "1m"]);
    let _connection = silent.accept().unwrap();
    let begun = Instant::now();
    signal(&child, Signal::TERM);
    let (code, said) = end(child);
    assert_eq!((code, said.as_str()), (Some(1), "toolbox: stopped: asked to stop by SIGTERM; nothing was changed\n"));
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

#[test]
fn a_wrong_schedule_or_zone_is_wrong_usage_with_its_column_and_what_was_meant() {
    for (arguments, expected) in [
        (["--schedule", "*/5 * * * 7"], "column 11: `7` is no day of the week (Sunday is 0 in Kubernetes)"),
        (
            ["--time-zone", "Europe/Berlim"],
            "no IANA time zone such as UTC or Europe/Berlin; did you mean Europe/Berlin?",
        ),
        (["--time-zone", "Local"], "`Local` is no IANA time zone"),
    ] {
        let (code, said) = end(start(&[arguments[0], arguments[1], "man"]));
        assert_eq!(code, Some(2));
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn an_open_question_is_ended_by_ctrl_c() {
    let folder = tempfile::tempdir().unwrap();
    let mut terminal = asked(folder.path(), "--state file");
    terminal.stdin.as_mut().unwrap().write_all(b"\x03").unwrap();
    let (code, rest) = answered(terminal);
    assert!(rest.contains("stopped: asked to stop by SIGINT; nothing was changed"), "{rest}");
    assert_eq!(code, Some(1));
}

#[test]
fn nothing_is_changed_without_a_record_where_the_kubernetes_api_dies_after_the_start() {
    let kubernetes = ControlPlane::start();
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = kubernetes.admin_kubeconfig();
    let mut terminal =
        asked(folder.path(), &format!("--state kubernetes --kubeconfig {} --timeout 3s", kubeconfig.display()));
    kubernetes.stop_api();
    terminal.stdin.as_mut().unwrap().write_all(b"y\n").unwrap();
    let (code, rest) = answered(terminal);
    assert_eq!(code, Some(1), "{rest}");
    for words in [
        "1 failed",
        "nothing is changed without a record in ConfigMap default/toolbox-topics-",
        "could not be released",
    ] {
        assert!(rest.contains(words), "{words}:\n{rest}");
    }
}

/// An apply of one topic in a terminal, which waits for the answer to its question.
fn asked(folder: &Path, flags: &str) -> Child {
    let cluster = Cluster::shared(Kind::Kafka43Kraft);
    let spec = folder.join("topics.yaml");
    let name = folder.file_name().unwrap().to_str().unwrap().trim_start_matches('.');
    std::fs::write(&spec, format!("topics:\n- name: {name}\n  partitions: 1\n  replicationFactor: 2\n")).unwrap();
    // `exec`: a shell that stayed (dash does) would itself die of an interrupt, whatever the run's own exit code.
    let line = format!(
        "exec {} topics apply -f {} --bootstrap-server {} --state-folder {} {flags}",
        env!("CARGO_BIN_EXE_toolbox"),
        spec.display(),
        cluster.bootstrap(),
        folder.display()
    );
    // `script` lends a terminal.
    let mut terminal = Command::new("script")
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut shown, mut byte) = (Vec::new(), [0]);
    let output = terminal.stdout.as_mut().unwrap();
    while !shown.ends_with(b"[y/N] ") {
        assert_eq!(output.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&shown));
        shown.push(byte[0]);
    }
    terminal
}

/// The exit code, and what was shown after the question.
fn answered(mut terminal: Child) -> (Option<i32>, String) {
    let (mut output, mut rest) = (terminal.stdout.take().unwrap(), String::new());
    output.read_to_string(&mut rest).unwrap();
    (end(terminal).0, rest)
}
