//! Keeps the house in order: who may import whom, which files do no I/O, names and lengths.
//!
//! The check itself is tested with planted faults, at the end of this file.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each folder (or file) under `src`, and what it may import.
const FLOORS: &[(&str, &[&str])] = &[
    ("cluster", &[]),
    ("formats", &["cluster"]),
    ("change", &["cluster", "formats"]),
    ("clients", &["cluster", "formats"]),
    ("recorders", &["change", "clients", "cluster", "formats"]),
    ("state", &["clients", "cluster", "formats"]),
    ("exit", &[]),
    ("telemetry", &[]),
    ("output", &["change", "cluster", "exit", "formats"]),
    ("context", &["change", "clients", "cluster", "exit", "formats", "output", "recorders", "state", "telemetry"]),
    ("commands", &["change", "clients", "cluster", "context", "exit", "formats", "output"]),
    ("manual", &["exit", "output"]),
    ("cli", &["commands", "context", "exit", "manual"]),
];

/// One command may import another's pure files only through a door: (importer, imported).
const DOORS: &[(&str, &str)] = &[("topics", "mapping"), ("reassign", "mapping"), ("reassign", "throttle")];

/// Every name that a file or folder in a command's folder may have.
const ROOM: &[&str] = &["mod", "command", "spec", "observe", "plan", "apply", "agent", "verdict", "report"];

/// Of these, the ones that do no I/O.
const PURE: &[&str] = &["spec", "plan", "verdict", "report"];

/// Floors that do no I/O at all.
const PURE_FLOORS: &[&str] = &["cluster", "formats"];

/// Names that say nothing.
const NAMELESS: &[&str] = &["util", "utils", "common", "helper", "helpers", "misc", "manager", "imp"];

/// Libraries of outside systems: only the doors may name them.
const OUTSIDE: &[&str] = &["kafka_protocol", "kube::", "k8s_openapi", "reqwest", "rsasl", "rustls", "tokio_rustls"];

/// Words that betray I/O, a clock or an environment.
const IMPURE: &[&str] =
    &["async ", "std::fs", "std::net", "std::env", "tokio::", "Timestamp::now", "SystemTime::now", "Instant::now"];

const LINES_MAX: usize = 500;

#[test]
fn the_house_is_in_order() {
    let mut faults = Vec::new();
    for path in rust_files(Path::new("src")) {
        let text = fs::read_to_string(&path).unwrap();
        faults.extend(check(&path, &text));
    }
    for path in rust_files(Path::new("tests")) {
        let text = fs::read_to_string(&path).unwrap();
        faults.extend(check_shape(&path, &text));
    }
    assert!(faults.is_empty(), "\n{}\nSee ARCHITECTURE.md, \"Who may import whom\".", faults.join("\n"));
}

/// Length, header and name: they hold for tests, too.
fn check_shape(path: &Path, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut fault = |line: usize, what: &str| faults.push(format!("{}:{line}: {what}", path.display()));
    if text.lines().count() > LINES_MAX {
        fault(LINES_MAX, &format!("is longer than {LINES_MAX} lines"));
    }
    if !text.starts_with("//!") {
        fault(1, "does not open with `//!`: what it is for, what goes in, what comes out");
    }
    let names = path.iter().filter_map(|part| part.to_str());
    if names.map(|part| part.trim_end_matches(".rs")).any(|part| NAMELESS.contains(&part)) {
        fault(1, "has a name that says nothing");
    }
    faults
}

fn check(path: &Path, text: &str) -> Vec<String> {
    let mut faults = check_shape(path, text);
    let place = path.with_extension("");
    let place: Vec<_> = place.iter().skip(1).map(|part| part.to_str().unwrap()).collect();
    let [floor, rest @ ..] = &place[..] else { return faults };
    if ["lib", "main"].contains(floor) {
        return faults;
    }
    let room = if *floor == "commands" { rest } else { &[] };
    let mut fault = |line: usize, what: String| faults.push(format!("{}:{line}: {what}", path.display()));
    let Some((_, allowed)) = FLOORS.iter().find(|(name, _)| name == floor) else {
        fault(1, format!("`{floor}` is not a floor of this house"));
        return faults;
    };
    if room.len() >= 2 && !ROOM.contains(&room[1]) {
        fault(1, format!("`{}` is not a name for a file in a command's folder", room[1]));
    }
    // `tests.rs` beside a pure file holds its tests: they may read a clock to prove that hostile input ends.
    let is_test = place.last() == Some(&"tests");
    let pure = !is_test && (PURE_FLOORS.contains(floor) || room.get(1).is_some_and(|name| PURE.contains(name)));
    for (line, code) in code_lines(text) {
        for what in faults_of_line(code, floor, room, pure) {
            fault(line, what);
        }
        for (target, inner) in imports(code) {
            if let Some(what) = fault_of_import(floor, room, allowed, pure, (&target, inner.as_deref())) {
                fault(line, what);
            }
        }
    }
    faults
}

/// Numbered lines of code before the tests, comments left out.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..)
        .zip(text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn faults_of_line(code: &str, floor: &str, room: &[&str], pure: bool) -> Vec<String> {
    let mut faults = Vec::new();
    if pure && IMPURE.iter().any(|word| code.contains(word)) {
        faults.push("does I/O, or reads a clock or the environment, in a file that must be pure".into());
    }
    if code.contains("super::super") {
        faults.push("reaches up two folders; write `crate::` instead".into());
    }
    if code.contains("use crate::{") {
        faults.push("groups imports of several floors; write one `use crate::…` a line".into());
    }
    let door = floor == "clients" || floor == "recorders";
    if !door && OUTSIDE.iter().any(|name| code.contains(name)) && !(room.is_empty() && floor == "telemetry") {
        faults.push("names a library of an outside system; only `clients` may".into());
    }
    faults
}

/// Each `crate::a::b` of a line as (a, b).
fn imports(code: &str) -> Vec<(String, Option<String>)> {
    code.split("crate::")
        .skip(1)
        .map(|import| {
            let mut names = import.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|name| !name.is_empty());
            (names.next().unwrap_or_default().to_owned(), names.next().map(str::to_owned))
        })
        .collect()
}

fn fault_of_import(
    floor: &str,
    room: &[&str],
    allowed: &[&str],
    pure: bool,
    (target, inner): (&str, Option<&str>),
) -> Option<String> {
    if target != floor && !allowed.contains(&target) {
        return Some(format!("`{floor}` may not import `{target}`"));
    }
    if pure && ["clients", "context", "output", "recorders"].contains(&target) {
        return Some(format!("imports `{target}` in a file that must be pure"));
    }
    let (from, to) = (room.first()?, inner?);
    let foreign = target == "commands" && *from != to && !DOORS.contains(&(from, to));
    foreign.then(|| format!("there is no door from `{from}` to `{to}`"))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { rust_files(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

#[test]
fn every_floor_on_disk_is_known_and_every_known_floor_is_on_disk() {
    let on_disk: BTreeSet<_> = fs::read_dir("src")
        .unwrap()
        .map(|entry| entry.unwrap().path().with_extension("").file_name().unwrap().to_str().unwrap().to_owned())
        .filter(|name| name != "lib" && name != "main")
        .collect();
    let known: BTreeSet<_> = FLOORS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(on_disk, known);
}

#[test]
fn only_cli_names_commands() {
    for path in rust_files(Path::new("src")) {
        let text = fs::read_to_string(&path).unwrap();
        let names = text.contains("commands::") && !path.starts_with("src/commands") && path != Path::new("src/cli.rs");
        assert!(!names, "{} names a command; only cli.rs may", path.display());
    }
}

#[test]
fn a_new_room_keeps_the_rules_of_the_house() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for part in ["src/commands", "tests"] {
        fs::create_dir_all(root.join(part)).unwrap();
    }
    for file in ["src/commands/mod.rs", "src/cli.rs", "tests/suite.rs"] {
        fs::copy(file, root.join(file)).unwrap();
    }
    let script = || std::process::Command::new("tests/new-room.sh");
    assert!(script().arg("quotas").arg(root).status().unwrap().success());
    for path in rust_files(&root.join("src/commands/quotas")) {
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(check(path.strip_prefix(root).unwrap(), &text), Vec::<String>::new());
    }
    let cli = fs::read_to_string(root.join("src/cli.rs")).unwrap();
    assert!(cli.contains("Quotas(crate::commands::quotas::command::Args)"));
    assert!(cli.contains("Command::Quotas(args) => crate::commands::quotas::command::run"));
    assert!(fs::read_to_string(root.join("tests/suite.rs")).unwrap().contains("mod quotas;"));
    assert!(!script().arg("quotas").arg(root).status().unwrap().success(), "a room that exists is not overwritten");
    assert!(!script().arg("Two Words").arg(root).status().unwrap().success());
}

#[test]
fn planted_faults_are_found() {
    let cases: &[(&str, &str, &str)] = &[
        ("src/cluster/x.rs", "use crate::clients::kafka::Kafka;", "`cluster` may not import `clients`"),
        ("src/change/x.rs", "use crate::clients::kafka::Kafka;", "`change` may not import `clients`"),
        ("src/commands/topics/plan.rs", "use crate::clients::kafka::Kafka;", "in a file that must be pure"),
        ("src/commands/topics/plan/x.rs", "let x = std::fs::read(y);", "must be pure"),
        ("src/commands/topics/spec.rs", "pub async fn x() {}", "must be pure"),
        ("src/formats/x.rs", "let now = Timestamp::now();", "must be pure"),
        ("src/commands/topics/extra.rs", "", "`extra` is not a name for a file"),
        (
            "src/commands/topics/command.rs",
            "use crate::commands::events::plan::X;",
            "no door from `topics` to `events`",
        ),
        ("src/commands/topics/command.rs", "use crate::recorders::X;", "`commands` may not import `recorders`"),
        ("src/commands/topics/command.rs", "use crate::{change, clients};", "one `use crate::…` a line"),
        ("src/commands/topics/command.rs", "use super::super::x;", "reaches up two folders"),
        ("src/commands/topics/apply.rs", "use kafka_protocol::messages::X;", "only `clients` may"),
        ("src/clients/x.rs", "use crate::change::event::Event;", "`clients` may not import `change`"),
        ("src/attic/x.rs", "", "`attic` is not a floor"),
        ("src/clients/util.rs", "", "a name that says nothing"),
    ];
    for (path, code, expected) in cases {
        let faults = check(Path::new(path), &format!("//! Header.\n{code}\n"));
        assert!(faults.iter().any(|fault| fault.contains(expected)), "{path}: {code}: {faults:?}");
    }
    assert!(check(Path::new("src/cluster/x.rs"), "struct X;")[0].contains("does not open with"));
    let long = format!("//! Header.\n{}", "\n".repeat(LINES_MAX));
    assert!(check(Path::new("src/cluster/x.rs"), &long)[0].contains("longer than"));
    let clean = "//! Header.\nuse crate::cluster::topic::TopicName;\n";
    assert_eq!(check(Path::new("src/commands/topics/plan.rs"), clean), Vec::<String>::new());
}
