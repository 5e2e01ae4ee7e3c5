//! Saved observations through the real binary, without a cluster: what is planned, what is said, how it ends.
//!
//! A case is a folder whose name says what is right, and often what another tool once got wrong. In it: `observed.json`
//! (a saved observation), `args` (one argument a line, the verb first), where needed files that the arguments name, and
//! `expected`: the exit code, all that is printed, and the plan. `INSTA_UPDATE=always` writes `expected` anew.
//!
//! Whatever a case is about, its plan must also keep the laws that hold for each: see [`check_laws`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use kafka_toolbox::cluster::assignment::MovePlan;
use kafka_toolbox::formats::reassignment_json;
use kafka_toolbox::formats::source::Source;
use serde_json::Value;

#[test]
fn every_case_ends_as_expected() {
    let cases = folders();
    assert!(cases.len() >= 40, "only {} cases", cases.len());
    let mut wrong = String::new();
    for case in &cases {
        let name = case.file_name().unwrap().to_str().unwrap();
        let out = tempfile::tempdir().unwrap();
        let found = run(case, out.path(), &read(&case.join("observed.json")));
        let expected = fs::read_to_string(case.join("expected")).unwrap_or_default();
        if std::env::var("INSTA_UPDATE").as_deref() == Ok("always") {
            fs::write(case.join("expected"), &found).unwrap();
        } else if found != expected {
            writeln!(wrong, "--- {name}\nexpected:\n{expected}\nfound:\n{found}").unwrap();
        }
        check_laws(name, case, out.path(), &mut wrong);
        let again = run(case, tempfile::tempdir().unwrap().path(), &reversed(&read(&case.join("observed.json"))));
        if again != found {
            writeln!(wrong, "--- {name}: another order of the input makes another plan:\n{again}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// What holds for every plan: nothing in it stays as it is; as many replicas as before or as asked for, none twice, all on live brokers, a rollback
/// that leads back, and Kafka's file and the plan say the same.
fn check_laws(name: &str, case: &Path, out: &Path, wrong: &mut String) {
    let Some(plan) = plan(out) else { return };
    let mut fault = |words: String| writeln!(wrong, "--- {name}: {words}").unwrap();
    let observed: Value = serde_json::from_slice(&read(&case.join("observed.json"))).unwrap();
    let observed = &observed["observed"];
    let live: BTreeSet<_> = (observed["brokers"].as_object().unwrap().iter())
        .filter(|(_, broker)| broker["live"] == true)
        .map(|(id, _)| id.parse::<i32>().unwrap())
        .collect();
    let args = fs::read_to_string(case.join("args")).unwrap();
    let wanted = args.lines().skip_while(|line| *line != "--replication").nth(1).map(|count| count.parse().unwrap());
    for one in &plan.moves {
        let at = &one.partition;
        let now = &observed["topics"][at.topic.as_str()]["partitions"][usize::try_from(at.partition).unwrap()];
        let now: Vec<i32> = serde_json::from_value(now["replicas"].clone()).unwrap();
        if one.from.iter().map(|id| id.0).collect::<Vec<_>>() != now {
            fault(format!("{at} does not start from {now:?}"));
        }
        if one.is_malformed() || one.to.len() != wanted.unwrap_or(now.len()) {
            fault(format!("{at} has the replicas {:?}", one.to));
        }
        if one.from == one.to {
            fault(format!("{at} is in the plan and does not change"));
        }
        if let Some(gone) = one.adding().find(|id| !live.contains(&id.0)) {
            fault(format!("{at} is put on broker {gone}, which is not live"));
        }
    }
    let kafka = |file: &str| -> BTreeMap<_, _> {
        let text = fs::read_to_string(out.join(file)).unwrap();
        let empty = text.contains("\"partitions\":[]");
        if empty {
            BTreeMap::new()
        } else {
            reassignment_json::read(&Source::new(file, text)).unwrap().into_iter().collect()
        }
    };
    let forward: BTreeMap<_, _> = plan.moves.iter().map(|one| (one.partition.clone(), one.to.clone())).collect();
    let back: BTreeMap<_, _> = plan.moves.iter().map(|one| (one.partition.clone(), one.from.clone())).collect();
    if kafka("reassignment.json") != forward || kafka("rollback.json") != back {
        fault("reassignment.json or rollback.json say something else than plan.json".into());
    }
}

/// The index says which case shows what; it would mislead if it named what is not there.
#[test]
fn the_index_names_cases_and_tests_that_are_there() {
    let index = fs::read_to_string("tests/mapping/cases/README.md").unwrap();
    let mut tests = String::new();
    for folder in ["tests", "src"] {
        append_code(Path::new(folder), &mut tests);
    }
    let quoted = regex::Regex::new(r"`([a-z0-9]+(?:_[a-z0-9]+)+)`").unwrap();
    let names: Vec<_> = quoted.captures_iter(&index).map(|found| found[1].to_owned()).collect();
    assert!(names.len() > 60, "only {} names", names.len());
    let is_there =
        |name: &&String| Path::new("tests/mapping/cases").join(name).is_dir() || tests.contains(&format!("fn {name}("));
    let missing: Vec<_> = names.iter().filter(|name| !is_there(name)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
    let forgotten: Vec<_> =
        folders().into_iter().filter(|case| !index.contains(case.file_name().unwrap().to_str().unwrap())).collect();
    assert!(forgotten.is_empty(), "not in the index: {forgotten:#?}");
}

fn append_code(folder: &Path, code: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            append_code(&path, code);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            code.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

fn plan(out: &Path) -> Option<MovePlan> {
    let text = fs::read(out.join("plan.json")).ok()?;
    Some(reassignment_json::read_plan(&Source::new("plan.json", text)).unwrap())
}

fn folders() -> Vec<PathBuf> {
    let entries = fs::read_dir("tests/mapping/cases").unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<_> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap()
}

/// The same observation with the fields of all objects, brokers and topics among them, and lists that are sets in the
/// other order.
fn reversed(observed: &[u8]) -> Vec<u8> {
    let mut document: Value = serde_json::from_slice(observed).unwrap();
    reverse(&mut document);
    serde_json::to_vec(&document).unwrap()
}

fn reverse(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            *fields = std::mem::take(fields).into_iter().rev().collect();
            if let Some(Value::Array(ids)) = fields.get_mut("out_of_sync") {
                ids.reverse();
            }
            fields.values_mut().for_each(reverse);
        }
        Value::Array(values) => values.iter_mut().for_each(reverse),
        _ => {}
    }
}

/// Runs the binary in the case's folder, with nothing of this process's environment.
fn run(case: &Path, out: &Path, observed: &[u8]) -> String {
    let state = tempfile::tempdir().unwrap();
    let file = state.path().join("observed.json");
    fs::write(&file, observed).unwrap();
    let args = fs::read_to_string(case.join("args")).unwrap();
    let mut toolbox = Command::new(env!("CARGO_BIN_EXE_toolbox"));
    toolbox.env_clear().env("TOOLBOX_STATE_FOLDER", state.path()).env("HOME", state.path()).current_dir(case);
    toolbox.arg("mapping").args(args.lines()).arg("--observed").arg(&file);
    let plans = !args.starts_with("show") && !args.lines().any(|arg| arg == "--dry-run" || arg == "--choices");
    if plans {
        toolbox.arg("--out").arg(out);
    }
    let output = toolbox.output().unwrap();
    assert!(!state.path().join("audit.jsonl").exists(), "{}: planning has no side effects", case.display());
    let code = output.status.code().unwrap_or(-1);
    let (printed, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    let said = said.replace(out.to_str().unwrap(), "OUT").replace(file.to_str().unwrap(), "observed.json");
    let age = regex::Regex::new(r", read \d+ (s|min|h|d) ago| \(\d+ (s|min|h|d) old when it was read\)").unwrap();
    let mut found = format!("exit {code}\n{}{said}", age.replace_all(&printed, ""));
    for one in plan(out).iter().flat_map(|plan| &plan.moves) {
        let ids = |ids: &[kafka_toolbox::cluster::broker::BrokerId]| {
            ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
        };
        writeln!(found, "{}: {} -> {}", one.partition, ids(&one.from), ids(&one.to)).unwrap();
    }
    found
}
