//! The Makefile: each recipe sets up what it needs, each phase says how long it took, and CI runs what the README says.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::machine::Needed;

/// A target of the Makefile with its prerequisites and the lines of its recipe.
type Recipe = (String, Vec<String>, Vec<String>);

/// Each of them. A line that makes other targets is replaced by the lines of their recipes.
fn recipes() -> Vec<Recipe> {
    let written = written();
    let lines_of = |target: &str| written.iter().find(|(name, ..)| name == target).map(|(.., lines)| lines.clone());
    let whole = |line: &String| match line.split_once("$(MAKE)") {
        None => vec![line.clone()],
        Some((_, words)) => {
            let words = words.split(|at: char| !is_target(&at.to_string()));
            let made: Vec<String> = words.filter_map(lines_of).flatten().collect();
            assert!(!made.is_empty(), "{line} makes nothing");
            made
        }
    };
    let whole = |(name, needs, lines): &Recipe| (name.clone(), needs.clone(), lines.iter().flat_map(whole).collect());
    written.iter().map(whole).collect()
}

fn written() -> Vec<Recipe> {
    let mut recipes: Vec<Recipe> = Vec::new();
    for line in fs::read_to_string("Makefile").unwrap().lines() {
        if let Some(step) = line.strip_prefix('\t') {
            recipes.last_mut().unwrap().2.push(step.to_owned());
        } else if let Some((name, rest)) = line.split_once(": ").filter(|(name, _)| is_target(name)) {
            let needs = rest.split("##").next().unwrap().split_whitespace().map(str::to_owned).collect();
            recipes.push((name.to_owned(), needs, Vec::new()));
        } else if let Some(name) = line.strip_suffix(':').filter(|name| is_target(name)) {
            recipes.push((name.to_owned(), Vec::new(), Vec::new()));
        }
    }
    recipes
}

fn is_target(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-')
}

#[test]
fn each_recipe_that_builds_sets_up_what_it_needs_first() {
    let recipes = recipes();
    for wanted in ["check", "test", "acceptance", "fuzz", "snap", "servers", "servers-stop", "image", "bench", "demo"] {
        let (_, needs, steps) = recipes.iter().find(|(name, ..)| name == wanted).unwrap();
        assert!(steps.iter().any(|step| step.contains("$(CARGO)")), "{wanted} builds nothing");
        assert!(
            needs.iter().any(|need| need == "setup" || need == "setup-fuzz"),
            "{wanted} does not set up what it needs"
        );
    }
    let written = written();
    let building = written.iter().filter(|(.., steps)| steps.iter().any(|step| step.contains("$(CARGO)")));
    for (name, needs, _) in building {
        assert!(needs.iter().any(|need| need.starts_with("setup")), "{name} does not set up what it needs");
    }
    let (_, needs, _) = recipes.iter().find(|(name, ..)| name == "fuzz").unwrap();
    assert_eq!(needs, &["setup-fuzz"]);
}

#[test]
fn each_step_of_check_and_test_says_how_long_it_took() {
    for (name, _, steps) in recipes().iter().filter(|(name, ..)| name == "check" || name == "test") {
        for step in steps.iter().filter(|step| !step.starts_with("@#")) {
            assert!(step.contains("$(PHASE) "), "make {name}: {step}");
        }
    }
}

fn phase(arguments: &[&str]) -> Output {
    Command::new("tests/phase.sh").args(arguments).output().unwrap()
}

#[test]
fn a_phase_says_its_time_and_a_failed_one_its_name_and_exit_code() {
    let output = phase(&["clippy", "echo", "two words"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    assert!(said.starts_with("two words\n== clippy: ") && said.ends_with(" s\n"), "{said}");
    let output = phase(&["clippy", "bash", "-c", "exit 7"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(7));
    assert!(said.starts_with("== clippy: failed after ") && said.ends_with(" s (exit code 7)\n"), "{said}");
}

#[test]
fn ci_runs_the_readmes_own_commands() {
    let readme = fs::read_to_string("README.md").unwrap();
    let script = fs::read_to_string(".ci/run").unwrap();
    let commands: Vec<_> = script.lines().filter(|line| line.starts_with("make ")).collect();
    assert_eq!(commands, ["make check", "make test"]);
    for command in commands {
        assert!(readme.contains(command), "README.md does not say `{command}`");
    }
}

/// What Debian has without being asked for it (essential packages), and shells.
const ESSENTIAL: &[&str] = &["bash", "ldd", "script", "stat", "tar"];

/// Packages whose program has another name: (program, package).
const BROUGHT: &[(&str, &str)] = &[("java", "openjdk-17-jdk-headless")];

#[test]
fn each_program_that_tests_start_is_one_that_setup_installs() {
    let needed = Needed::list();
    let installed: BTreeSet<_> = needed.iter().filter_map(|needed| needed.check.strip_prefix("command:")).collect();
    for path in rust_files(Path::new("tests")).into_iter().chain(rust_files(Path::new("benches"))) {
        let text = fs::read_to_string(&path).unwrap();
        for program in text.split("Command::new(\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            let is_ours = program.contains('/') || path.ends_with("tests/setup/recipes.rs");
            let is_brought = BROUGHT
                .iter()
                .any(|(name, package)| *name == program && needed.iter().any(|needed| needed.package == *package));
            let is_there = is_ours || is_brought || ESSENTIAL.contains(&program) || installed.contains(program);
            assert!(is_there, "{} starts `{program}`, which install.sh does not know", path.display());
        }
    }
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { rust_files(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}
