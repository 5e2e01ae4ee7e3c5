//! What stands in `manifests/` is what this program understands: every command line parses.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use kafka_toolbox::cli::Cli;
use kafka_toolbox::state::identity::{ClusterRef, Identity, Purpose};
use serde_json::Value;

/// A container of a manifest that runs the toolbox.
struct Container {
    manifest: PathBuf,
    arguments: Vec<String>,
}

#[test]
fn every_command_line_parses() {
    let containers = containers();
    assert!(!containers.is_empty());
    for Container { manifest, arguments } in containers {
        let line = ["toolbox".to_owned()].into_iter().chain(arguments);
        if let Err(error) = Cli::try_parse_from(line) {
            panic!("{}: {error}", manifest.display());
        }
    }
}

#[test]
fn no_container_may_do_more_than_it_must() {
    for (path, manifest) in manifests() {
        for pod in find(&manifest, "containers") {
            for container in pod.as_array().unwrap() {
                let security = &container["securityContext"];
                let place = path.display();
                assert_eq!(security["readOnlyRootFilesystem"], true, "{place}");
                assert_eq!(security["allowPrivilegeEscalation"], false, "{place}");
                assert_eq!(security["capabilities"]["drop"], serde_json::json!(["ALL"]), "{place}");
                assert!(container["resources"]["limits"]["memory"].is_string(), "{place}");
            }
        }
        for pod in find(&manifest, "serviceAccountName") {
            assert!(pod.is_string(), "{}", path.display());
        }
    }
}

/// Names that roles may give rights on: what the workloads keep for cluster and owner `main`, and their locks.
fn state_names() -> BTreeSet<String> {
    use Purpose::{Control, Handover, Moves, Overrides, Throttle, Topics};
    let name = |purpose: Purpose| {
        let cluster = ClusterRef { id: String::new(), name: Some("main".into()) };
        let owner = (purpose == Topics).then(|| "main".to_owned());
        Identity { purpose, cluster, owner }.object_name()
    };
    [Topics, Moves, Control, Throttle, Overrides, Handover].map(name).into()
}

#[test]
fn roles_name_the_state_that_the_jobs_keep() {
    let (known, mut named) = (state_names(), BTreeSet::new());
    for (path, manifest) in manifests().into_iter().filter(|(_, manifest)| manifest["kind"] == "Role") {
        for name in find(&manifest, "resourceNames").into_iter().flat_map(|names| names.as_array().unwrap()) {
            let name = name.as_str().unwrap().to_owned();
            assert!(known.contains(&name), "{}: nothing is kept as {name}; there are {known:?}", path.display());
            named.insert(name);
        }
    }
    assert_eq!(named, known);
}

#[test]
fn no_secret_stands_in_a_manifest() {
    for (path, manifest) in manifests() {
        assert_ne!(manifest["kind"], "Secret", "{}: secrets are made by hand or by a vault", path.display());
    }
}

/// The containers whose command is the image's own, which is the toolbox.
fn containers() -> Vec<Container> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut found = Vec::new();
    for (path, manifest) in manifests() {
        let containers = ["containers", "initContainers"].into_iter().flat_map(|key| find(&manifest, key));
        for container in containers.flat_map(|list| list.as_array().unwrap()) {
            let words = |key: &str| container[key].as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
            let (command, arguments) = (words("command"), words("args"));
            let arguments = match command.first().map(String::as_str) {
                None => arguments,
                Some("toolbox" | "/bin/toolbox") => [&command[1..], &arguments[..]].concat(),
                Some(_) => continue,
            };
            found.push(Container { manifest: path.clone(), arguments });
        }
    }
    found
}

/// Every manifest with its path.
fn manifests() -> Vec<(PathBuf, Value)> {
    let mut found = Vec::new();
    for folder in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests")).unwrap() {
        let folder = folder.unwrap().path();
        for file in folder.is_dir().then(|| fs::read_dir(&folder).unwrap()).into_iter().flatten() {
            let path = file.unwrap().path();
            let manifest: Value = serde_saphyr::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            if manifest["kind"].is_string() {
                found.push((path, manifest));
            }
        }
    }
    found
}

/// Every value of this key, however deep.
fn find<'a>(value: &'a Value, key: &str) -> Vec<&'a Value> {
    match value {
        Value::Object(fields) => {
            let own = fields.get(key).into_iter();
            own.chain(fields.values().flat_map(|inner| find(inner, key))).collect()
        }
        Value::Array(items) => items.iter().flat_map(|inner| find(inner, key)).collect(),
        _ => Vec::new(),
    }
}
