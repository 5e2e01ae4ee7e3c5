//! `tests/deny.sh` where the advisory database can't be reached: CI fails, a developer is told in one line.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/deny.sh");

/// Runs the script with a cargo-deny that answers so; the exit code and everything that was said.
fn run(online: &str, offline: &str, ci: &[(&str, &str)]) -> (Option<i32>, String) {
    let script = fs::read_to_string(SCRIPT).unwrap();
    let version = script.lines().find_map(|line| line.strip_prefix("version=")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let bin = folder.path().join(format!("kafka-toolbox/cargo-deny-{version}/bin"));
    fs::create_dir_all(&bin).unwrap();
    let fake =
        format!("#!/bin/sh\ncase \"$*\" in\n*bans*) exit 0 ;;\n*--offline*) {offline} ;;\n*) {online} ;;\nesac\n");
    fs::write(bin.join("cargo-deny"), fake).unwrap();
    fs::set_permissions(bin.join("cargo-deny"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(SCRIPT);
    command.env("XDG_CACHE_HOME", folder.path()).env_remove("CI").env_remove("ADVISORIES");
    let output = command.envs(ci.iter().copied()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

const UNREACHABLE: &str = "echo 'failed to fetch advisory database' >&2; exit 1";
const NO_COPY: &str = "echo 'failed to open advisory database' >&2; exit 1";
const FOUND: &str = "echo 'error[vulnerability]: a stale network' >&2; exit 1";

#[test]
fn advisories_that_cannot_be_checked_fail_where_ci_is_set_and_are_said_in_one_line_elsewhere() {
    let (code, said) = run(UNREACHABLE, NO_COPY, &[]);
    assert_eq!((code, said.lines().count()), (Some(0), 1), "{said}");
    assert!(said.contains("advisories NOT checked"), "{said}");
    let (code, said) = run(UNREACHABLE, NO_COPY, &[("CI", "true")]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("advisories not checked, and CI is set"), "{said}");
    assert_eq!(run(UNREACHABLE, NO_COPY, &[("CI", "true"), ("ADVISORIES", "optional")]).0, Some(0));
}

#[test]
fn an_advisory_fails_everywhere_and_the_copy_of_an_earlier_fetch_counts() {
    for ci in [&[][..], &[("CI", "true")]] {
        assert_eq!(run(FOUND, "exit 0", ci).0, Some(1));
        assert_eq!(run(UNREACHABLE, FOUND, ci).0, Some(1));
        let (code, said) = run(UNREACHABLE, "exit 0", ci);
        assert!(code == Some(0) && said.contains("by the copy of an earlier fetch"), "{said}");
        assert_eq!(run("exit 0", "exit 1", ci).0, Some(0));
    }
}
