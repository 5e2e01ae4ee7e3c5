//! Keeps the house in order: who may import whom, which files do no I/O, names and lengths; ARCHITECTURE.md says the same.
//!
//! The check itself is tested with planted faults, at the end of this file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::product_code::{product_code, test_modules};

/// Each folder (or file) under `src`, and what it may import.
const FLOORS: &[(&str, &[&str])] = &[
    ("cluster", &[]),
    ("formats", &["cluster"]),
    ("change", &["cluster", "formats"]),
    ("clients", &["cluster", "formats"]),
    ("recorders", &["change", "clients", "cluster", "formats"]),
    ("state", &["clients", "cluster", "exit", "formats"]),
    ("exit", &[]),
    ("telemetry", &["cluster"]),
    ("output", &["change", "cluster", "exit", "formats"]),
    ("context", &["change", "clients", "cluster", "exit", "formats", "output", "recorders", "state", "telemetry"]),
    (
        "agent",
        &["change", "clients", "cluster", "context", "exit", "formats", "output", "recorders", "state", "telemetry"],
    ),
    ("commands", &["agent", "change", "clients", "cluster", "context", "exit", "formats", "output", "state"]),
    ("manual", &["exit", "output"]),
    ("cli", &["agent", "commands", "context", "exit", "manual"]),
];

/// One command may import another's pure files only through a door: (importer, imported).
const DOORS: &[(&str, &str)] = &[
    ("topics", "mapping"),
    ("reassign", "mapping"),
    ("reassign", "throttle"),
    ("rollout", "ensemble"),
    ("ensemble", "identity"),
    ("rollout", "identity"),
];

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
    let files = sources(Path::new("src"));
    let tests = test_files(&files);
    for (path, text) in &files {
        faults.extend(check(path, text, is_below(path, &tests)));
    }
    for path in ["tests", "crates"].into_iter().flat_map(|folder| rust_files(Path::new(folder))) {
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

/// `is_test`: the file holds tests alone; they may read a clock to prove that hostile input ends.
fn check(path: &Path, text: &str, is_test: bool) -> Vec<String> {
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
    let pure = !is_test && (PURE_FLOORS.contains(floor) || room.get(1).is_some_and(|name| PURE.contains(name)));
    let is_root = place.len() == 1 || (place.len() == 2 && place[1] == "mod");
    for (line, code) in (1..).zip(product_code(text).lines()) {
        for what in faults_of_line(code, floor, room, pure) {
            fault(line, what);
        }
        if is_root && code.contains("super::") {
            fault(line, "reaches out of its floor by `super::`; write `crate::` instead".into());
        }
        for (target, inner) in imports(code) {
            if let Some(what) = fault_of_import(floor, room, allowed, pure, (&target, inner.as_deref())) {
                fault(line, what);
            }
        }
    }
    faults
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
    if pure && ["agent", "clients", "context", "output", "recorders", "state"].contains(&target) {
        return Some(format!("imports `{target}` in a file that must be pure"));
    }
    let (from, to) = (room.first()?, inner?);
    let foreign = target == "commands" && *from != to && !DOORS.contains(&(from, to));
    foreign.then(|| format!("there is no door from `{from}` to `{to}`"))
}

/// Each file with its text.
fn sources(folder: &Path) -> BTreeMap<PathBuf, String> {
    rust_files(folder).into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// Files and folders behind a `#[cfg(test)] mod name;`.
fn test_files(files: &BTreeMap<PathBuf, String>) -> Vec<PathBuf> {
    let folder = |path: &Path| if path.ends_with("mod.rs") { path.with_file_name("") } else { path.with_extension("") };
    let modules = |(path, text): (&PathBuf, &String)| {
        let folder = folder(path);
        test_modules(text).into_iter().map(move |name| folder.join(name)).collect::<Vec<_>>()
    };
    files.iter().flat_map(modules).collect()
}

fn is_below(path: &Path, folders: &[PathBuf]) -> bool {
    folders.iter().any(|folder| path.starts_with(folder) || path.with_extension("") == *folder)
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { rust_files(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

#[test]
fn every_floor_on_disk_is_known() {
    let on_disk: BTreeSet<_> = fs::read_dir("src")
        .unwrap()
        .map(|entry| entry.unwrap().path().with_extension("").file_name().unwrap().to_str().unwrap().to_owned())
        .filter(|name| name != "lib" && name != "main")
        .collect();
    let known: BTreeSet<_> = FLOORS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert!(on_disk.is_subset(&known), "{:?}", on_disk.difference(&known));
}

/// What stands between backticks.
fn names(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(|name| name.trim_end_matches("/x").to_owned()).collect()
}

/// The table "Who may import whom": each floor, and what it may import.
fn documented_floors(document: &str) -> BTreeMap<String, BTreeSet<String>> {
    let section = document.split("\n## Who may import whom\n").nth(1).unwrap_or_default();
    let rows = section.split("\n## ").next().unwrap_or_default().lines().filter(|line| line.starts_with("| `"));
    rows.flat_map(|row| {
        let cells: Vec<_> = row.split('|').collect();
        let allowed: BTreeSet<_> = names(cells[2]).into_iter().collect();
        names(cells[1]).into_iter().map(move |floor| (floor, allowed.clone()))
    })
    .collect()
}

/// The sentence "Between commands: a → b, …".
fn documented_doors(document: &str) -> BTreeSet<(String, String)> {
    let sentence =
        document.split("Between commands: ").nth(1).unwrap_or_default().split('.').next().unwrap_or_default();
    let word = |text: &str| text.split_whitespace().next().unwrap_or_default().to_owned();
    sentence.split(", ").filter_map(|door| door.split_once(" → ")).map(|(from, to)| (word(from), word(to))).collect()
}

#[test]
fn the_document_says_what_this_test_checks() {
    let document = fs::read_to_string("ARCHITECTURE.md").unwrap();
    let floors = |(name, allowed): &(&str, &[&str])| {
        ((*name).to_owned(), allowed.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>())
    };
    let checked: BTreeMap<_, _> = FLOORS.iter().map(floors).collect();
    assert_eq!(documented_floors(&document), checked, "the table \"Who may import whom\" of ARCHITECTURE.md");
    let doors: BTreeSet<_> = DOORS.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
    assert_eq!(documented_doors(&document), doors, "the sentence \"Between commands\" of ARCHITECTURE.md");
}

#[test]
fn a_drifting_document_is_found() {
    let document = "# A\n\n## Who may import whom\n\n| folder | may import | never |\n|---|---|---|\n\
        | `exit`, `telemetry` | std | |\n| `commands/x` | `exit`, `state` | `commands/y` |\n\n## B\n\n| `attic` | | |\n\n\
        Between commands: a → b (its plan), c → d. The rest → nobody.\n";
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let floors = [("exit", set(&[])), ("telemetry", set(&[])), ("commands", set(&["exit", "state"]))];
    assert_eq!(documented_floors(document), floors.map(|(name, allowed)| (name.to_owned(), allowed)).into());
    let doors = [("a", "b"), ("c", "d")].map(|(from, to)| (from.to_owned(), to.to_owned()));
    assert_eq!(documented_doors(document), doors.into());
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
        assert_eq!(check(path.strip_prefix(root).unwrap(), &text, false), Vec::<String>::new());
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
        ("src/clients/x.rs", "use crate::state::lock::Lock;", "`clients` may not import `state`"),
        ("src/recorders/x.rs", "use crate::state::lock::Lock;", "`recorders` may not import `state`"),
        ("src/state/x.rs", "use crate::change::event::Event;", "`state` may not import `change`"),
        ("src/state/x.rs", "use crate::context::Context;", "`state` may not import `context`"),
        ("src/state/x.rs", "use crate::recorders::X;", "`state` may not import `recorders`"),
        ("src/state/x.rs", "use kafka_protocol::messages::X;", "only `clients` may"),
        ("src/context/x.rs", "use crate::agent::X;", "`context` may not import `agent`"),
        ("src/agent/x.rs", "use crate::commands::throttle::plan::X;", "`agent` may not import `commands`"),
        ("src/commands/topics/plan.rs", "use crate::state::lock::Lock;", "in a file that must be pure"),
        ("src/commands/topics/plan.rs", "use crate::agent::X;", "in a file that must be pure"),
        ("src/cluster/mod.rs", "use super::clients::X;", "reaches out of its floor"),
        ("src/exit.rs", "use super::clients::X;", "reaches out of its floor"),
        ("src/attic/x.rs", "", "`attic` is not a floor"),
        ("src/clients/util.rs", "", "a name that says nothing"),
    ];
    for (path, code, expected) in cases {
        let faults = check(Path::new(path), &format!("//! Header.\n{code}\n"), false);
        assert!(faults.iter().any(|fault| fault.contains(expected)), "{path}: {code}: {faults:?}");
    }
    assert!(check(Path::new("src/cluster/x.rs"), "struct X;", false)[0].contains("does not open with"));
    let long = format!("//! Header.\n{}", "\n".repeat(LINES_MAX));
    assert!(check(Path::new("src/cluster/x.rs"), &long, false)[0].contains("longer than"));
    let clean = "//! Header.\nuse crate::cluster::topic::TopicName;\n";
    assert_eq!(check(Path::new("src/commands/topics/plan.rs"), clean, false), Vec::<String>::new());
}

#[test]
fn faults_behind_test_items_are_found() {
    let behind = [
        "#[cfg(test)]\nmod tests;\n@",
        "#[cfg(test)]\nuse crate::clients::{a::A, b::B};\n@",
        "#[cfg(test)]\nmod tests {\n    fn a() { let x = std::fs::read(y); }\n}\n@",
        "mod inner {\n    #[cfg(test)]\n    mod tests {\n        use crate::clients::X;\n    }\n    @\n}\n",
        "mod inner {\n    #[cfg(test)]\n    use crate::clients::X;\n    @\n}\n",
        "mod inner {\n    #![cfg(test)]\n    use crate::clients::X;\n}\n@",
        "impl X {\n    #[cfg(test)]\n    pub(crate) fn a<A, B>(x: [u8; 3]) -> Y\n    where A: B, {\n        std::env::var(x)\n    }\n    @\n}\n",
        "struct X {\n    #[cfg(test)]\n    clock: tokio::time::Instant,\n    b: B,\n}\n@",
        "#[cfg(test)]\n#[derive(Debug)]\nconst X: Y = Y { a: std::env::var(1) };\n@",
        "#[cfg(all(test, unix))]\nmod tests {\n    use std::fs;\n    const BRACE: char = '}';\n    const QUOTE: char = '\"';\n}\n@",
        "#[cfg(test)]\nmod tests { const A: &str = \"} \\\" {{\"; /* { /* { */ */ // {\n const B: &str = r#\"{\"}{\"#; use std::fs; }\n@",
        "// #[cfg(test)]\nconst A: &str = \"#[cfg(test)]\";\nfn a<'a>(x: &'a str, y: char) -> bool { y == '{' }\n@",
    ];
    for text in behind {
        for planted in ["use crate::clients::kafka::Kafka;", "fn f() { std::fs::read(y); }"] {
            let path = Path::new("src/commands/topics/plan.rs");
            let text = format!("//! Header.\n{}\n", text.replace('@', planted));
            let faults = check(path, &text, false);
            let line = 1 + text.lines().position(|line| line.contains(planted)).unwrap();
            let place = format!("plan.rs:{line}: ");
            assert!(!faults.is_empty(), "{text}");
            assert!(faults.iter().all(|fault| fault.contains(&place)), "{text}\n{faults:#?}");
        }
    }
    // What is the product's, too, is no test.
    for attribute in ["#[cfg(not(test))]", "#[cfg(any(test, unix))]", "#[cfg_attr(test, derive(Debug))]"] {
        let text = format!("//! Header.\n{attribute}\nuse crate::clients::X;\n");
        assert!(!check(Path::new("src/commands/topics/plan.rs"), &text, false).is_empty(), "{attribute}");
    }
}

#[test]
fn files_behind_a_test_module_may_read_a_clock_and_others_may_not() {
    let clock = "//! Header.\nfn a() { let x = Instant::now(); }\n";
    let files: BTreeMap<PathBuf, String> = [
        ("src/formats/yaml/mod.rs", "//! Header.\n#[cfg(test)]\nmod laws;\nmod tests;\n"),
        ("src/formats/maps.rs", "//! Header.\n#[cfg(test)]\nmod cases;\n"),
        ("src/formats/yaml/laws.rs", clock),
        ("src/formats/yaml/tests.rs", clock),
        ("src/formats/maps/cases/mod.rs", clock),
        ("src/formats/cases.rs", clock),
    ]
    .map(|(path, text)| (path.into(), text.into()))
    .into();
    let tests = test_files(&files);
    let faults: Vec<_> = files.iter().flat_map(|(path, text)| check(path, text, is_below(path, &tests))).collect();
    assert_eq!(faults.len(), 2, "{faults:#?}");
    assert!(
        faults[0].starts_with("src/formats/cases.rs:2: ") && faults[1].starts_with("src/formats/yaml/tests.rs:2: ")
    );
}
