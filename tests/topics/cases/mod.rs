//! Bad specs, through the real binary without a cluster: each gets a clear message with its place, exit code 2, and
//! nothing is changed.
//!
//! A case is a folder whose name says what is wrong. In it: `spec.yaml` or a folder `spec`, where needed `observed.json`
//! (a saved observation) and `args` (one more argument a line), and `expected`: the exit code, then all that is printed.
//! `INSTA_UPDATE=always` writes `expected` anew.

mod examples;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Reading a spec, however hostile, takes no longer than this on a busy machine.
const TIME_MAX: Duration = Duration::from_secs(20);

#[test]
fn every_bad_spec_gets_a_clear_message_and_changes_nothing() {
    let cases = folders();
    assert!(cases.len() >= 60, "only {} cases", cases.len());
    let mut wrong = String::new();
    for case in &cases {
        let name = case.file_name().unwrap().to_str().unwrap();
        let before = files(case);
        let found = run(case, &["topics", "validate"]);
        let expected = fs::read_to_string(case.join("expected")).unwrap_or_default();
        if std::env::var("INSTA_UPDATE").as_deref() == Ok("always") {
            fs::write(case.join("expected"), &found).unwrap();
        } else if found != expected {
            writeln!(wrong, "--- {name}\nexpected:\n{expected}\nfound:\n{found}").unwrap();
        }
        // The same words stop an apply, before any broker is asked: none listens at that address.
        let applied = run(case, &["topics", "apply", "--yes", "--bootstrap-server", "127.0.0.1:1"]);
        let stopped = applied.starts_with("exit 2\n") && lines_of_faults(&applied) == lines_of_faults(&found);
        if !stopped {
            writeln!(wrong, "--- {name}: apply says something else:\n{applied}").unwrap();
        }
        if files(case).iter().any(|(path, bytes)| !path.ends_with("expected") && before.get(path) != Some(bytes)) {
            writeln!(wrong, "--- {name}: files have changed").unwrap();
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn every_message_has_a_place_and_fits_a_screen() {
    for case in folders() {
        let expected = fs::read_to_string(case.join("expected")).unwrap();
        let mut lines = expected.lines();
        assert_eq!(lines.next(), Some("exit 2"), "{}", case.display());
        let headed = lines.next().is_some_and(|line| line.starts_with("toolbox: ") || line.starts_with("note: "));
        assert!(headed, "{}", case.display());
        for line in expected.lines().filter(|line| line.starts_with("spec")) {
            let place = line.split(": ").next().unwrap();
            assert!(place.rsplit(':').take(2).all(|number| number.parse::<u64>().is_ok()), "{line}");
            assert!(line.chars().count() <= 420, "{line}");
            assert!(!line.contains('\u{1b}'), "{line:?}");
        }
    }
}

fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<_> = fs::read_dir("tests/topics/cases")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders
}

/// Runs the binary in the case's folder, with nothing of this process's environment.
fn run(case: &Path, command: &[&str]) -> String {
    let state = tempfile::tempdir().unwrap();
    let mut toolbox = Command::new(env!("CARGO_BIN_EXE_toolbox"));
    toolbox.env_clear().env("TOOLBOX_STATE_FOLDER", state.path()).env("HOME", state.path()).current_dir(case);
    toolbox.args(command);
    let args = fs::read_to_string(case.join("args")).unwrap_or_default();
    toolbox.args(args.lines());
    match () {
        () if args.lines().any(|arg| arg == "-f") => {}
        () if case.join("spec").is_dir() => drop(toolbox.args(["-f", "spec"])),
        () => drop(toolbox.args(["-f", "spec.yaml"])),
    }
    if case.join("observed.json").exists() {
        toolbox.args(["--observed", "observed.json"]);
    }
    let start = Instant::now();
    let output = toolbox.output().unwrap();
    assert!(start.elapsed() < TIME_MAX, "{} took {:?}", case.display(), start.elapsed());
    // An apply that ends early says so in the audit log; that a topic was touched may never stand there.
    let audit = fs::read_to_string(state.path().join("audit.jsonl")).unwrap_or_default();
    assert!(!audit.contains("\"topic."), "{}: {audit}", case.display());
    let code = output.status.code().unwrap_or(-1);
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    format!("exit {code}\n{out}{err}")
}

fn lines_of_faults(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.starts_with("spec") || line.starts_with("toolbox: ")).collect()
}

fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.insert(path.clone(), fs::read(path).unwrap());
        }
    }
    files
}
