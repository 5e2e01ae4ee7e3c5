//! Other people's tools, from the registries where they are published. What can't be had is left out, and said.

use std::path::PathBuf;
use std::process::Command;

use crate::kafka::cache;

/// Rivals as Go modules, by version: the name of the binary, its package, its version.
const GO: [(&str, &str, &str); 2] =
    [("kcl", "github.com/twmb/kcl", "v0.17.1"), ("topicctl", "github.com/segmentio/topicctl/cmd/topicctl", "v1.19.2")];

/// Longest build of one of them, in seconds.
const BUILD_LIMIT: &str = "600";

/// What is there to compete with.
#[derive(Default)]
pub(crate) struct Rivals {
    pub(crate) kcat: Option<PathBuf>,
    pub(crate) kcl: Option<PathBuf>,
    pub(crate) topicctl: Option<PathBuf>,
    /// Who is missing, and why.
    pub(crate) missing: Vec<String>,
}

/// Finds rivals, and builds those that can be built.
pub(crate) fn find() -> anyhow::Result<Rivals> {
    let mut rivals = Rivals::default();
    let kcat = PathBuf::from("/usr/bin/kcat");
    if kcat.exists() {
        rivals.kcat = Some(kcat);
    } else {
        rivals.missing.push("kcat: `make setup` installs it".to_owned());
    }
    for (name, package, version) in GO {
        let built = build(name, package, version)?;
        match (name, built) {
            ("kcl", Ok(path)) => rivals.kcl = Some(path),
            (_, Ok(path)) => rivals.topicctl = Some(path),
            (_, Err(reason)) => rivals.missing.push(format!("{name}: {reason}")),
        }
    }
    Ok(rivals)
}

fn build(name: &str, package: &str, version: &str) -> anyhow::Result<Result<PathBuf, String>> {
    let folder = cache()?.join("rivals").join(format!("{name}-{version}"));
    let path = folder.join(name);
    if path.exists() {
        return Ok(Ok(path));
    }
    let output = Command::new("timeout")
        .args([BUILD_LIMIT, "go", "install", &format!("{package}@{version}")])
        .env("GOBIN", &folder)
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = said.lines().last().unwrap_or("it said nothing").trim().to_owned();
    Ok(if output.status.success() { Ok(path) } else { Err(format!("go install failed: {last}")) })
}
