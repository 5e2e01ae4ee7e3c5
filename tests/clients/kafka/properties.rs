//! Client properties that can't work, through the real binary: each is refused with its place, before anything is sent.

use std::path::Path;
use std::process::{Command, Output};

/// In the properties of the cases, every secret has this in it.
const SECRET: &str = "hunter2";

#[test]
fn every_bad_file_is_refused_with_its_place_and_shows_no_secret() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/kafka/cases");
    let mut folders: Vec<_> = cases.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|folder| folder.join("client.properties").exists());
    folders.sort();
    let failures: Vec<_> = folders.iter().filter_map(|folder| run(folder).err()).collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    assert!(folders.len() >= 50, "only {} cases", folders.len());
}

#[test]
fn a_file_that_can_not_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("long.properties"), "# filler\n".repeat(120_000)).unwrap();
    let cases = [
        ("nowhere.properties", "failed to read nowhere.properties: No such file or directory"),
        (".", "failed to read .: it is a folder, not a regular file"),
        ("long.properties", "long.properties:1:1: the file has 1048577 bytes; client properties have at most 1048576"),
    ];
    for (file, words) in cases {
        let output = list(folder.path(), file);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(words), "{said}");
    }
}

fn list(folder: &Path, file: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_toolbox"))
        .args(["topics", "list", "--command-config", file, "--log", "error"])
        .current_dir(folder)
        .env_clear()
        .output()
        .unwrap()
}

fn run(folder: &Path) -> Result<(), String> {
    let output = list(folder, "client.properties");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let expected = std::fs::read_to_string(folder.join("expected")).unwrap_or_default();
    let name = folder.file_name().unwrap().to_string_lossy().into_owned();
    if output.status.code() != Some(2) || !output.stdout.is_empty() {
        return Err(format!("{name}: {:?}, {said}", output.status));
    }
    if said != expected {
        return Err(format!("{name}: expected\n{expected}but it said\n{said}"));
    }
    if said.contains(SECRET) || said.contains("MIGH") {
        return Err(format!("{name}: a secret is in {said}"));
    }
    Ok(())
}
