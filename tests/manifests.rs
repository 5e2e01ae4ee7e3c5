//! What stands in `manifests/` is what this program understands: every command line parses.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use kafka_toolbox::cli::Cli;
use kafka_toolbox::context::rights::{LockKind, Setup, Workload, rules};
use kafka_toolbox::state::identity::ClusterRef;
use serde_json::{Value, json};

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
        for pod in ["containers", "initContainers"].into_iter().flat_map(|key| find(&manifest, key)) {
            // One without an image is somebody else's, and patched.
            for container in pod.as_array().unwrap().iter().filter(|container| container["image"].is_string()) {
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

#[test]
fn each_role_is_what_the_table_of_rights_says() {
    let cluster = ClusterRef { id: String::new(), name: Some("main".into()) };
    let owner = "main".to_owned();
    let setup = Setup { cluster, owner, lock: LockKind::Kafka, reads_config_maps: true, maps: Vec::new() };
    for workload in Workload::ALL {
        let path = folder().join(workload.name()).join("role.yaml");
        let role: Value = serde_saphyr::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let has_maps = matches!(workload, Workload::Identity | Workload::DrainGuard);
        let maps = if has_maps { vec!["map1".to_owned()] } else { Vec::new() };
        let expected = serde_json::to_value(rules(workload, &Setup { maps, ..setup.clone() })).unwrap();
        let hint = format!("`toolbox rbac {} --cluster main` prints it", workload.name());
        assert_eq!(role["rules"], expected, "{}: {hint}", path.display());
        assert_eq!(role["metadata"]["name"], workload.name());
    }
}

#[test]
fn images_have_the_version_of_this_program() {
    let version = env!("CARGO_PKG_VERSION");
    let mut found = 0;
    for (path, manifest) in manifests() {
        let (images, tags) = (find(&manifest, "image"), find(&manifest, "newTag"));
        for image in images {
            let known = ["kafka-toolbox", "kafka-toolbox-shell"].map(|name| format!("{name}:{version}"));
            if is_servers_own(image) {
                continue;
            }
            assert!(known.contains(&image.as_str().unwrap().to_owned()), "{}: {image}", path.display());
            found += 1;
        }
        assert!(tags.iter().all(|tag| *tag == version), "{}: {tags:?}", path.display());
    }
    assert_eq!(found, 15);
}

/// Whether an image is that of a Kafka or ZooKeeper server, not of this program.
fn is_servers_own(image: &Value) -> bool {
    image.as_str().is_some_and(|image| image.starts_with("apache/") || image.starts_with("zookeeper:"))
}

#[test]
fn every_probe_that_a_kubelet_runs_parses() {
    let mut found = 0;
    for (path, manifest) in manifests() {
        let variable = |name: &str| {
            let mut all = find(&manifest, "env").into_iter().flat_map(|list| list.as_array().unwrap());
            all.any(|variable| variable["name"] == name)
        };
        for exec in find(&manifest, "exec") {
            let words: Vec<_> = exec["command"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
            assert_eq!(words[0], "/toolbox/toolbox", "{}", path.display());
            // What comes from the environment of the container.
            let given = [("TOOLBOX_PROBE_LOG_DIR", "--log-dir=/x"), ("TOOLBOX_PROBE_LATCH", "--latch=/y")];
            let given = given
                .into_iter()
                .filter(|(name, _)| variable(name) && ["ready", "controller"].contains(words.last().unwrap()));
            let line = words.iter().copied().chain(given.map(|(_, flag)| flag));
            if let Err(error) = Cli::try_parse_from(line) {
                panic!("{}: {words:?}: {error}", path.display());
            }
            found += 1;
        }
    }
    assert_eq!(found, 9);
}

#[test]
fn no_base_brings_topics_into_a_cluster() {
    for (path, manifest) in manifests() {
        let labels = find(&manifest, "labels");
        assert!(labels.iter().all(|labels| labels.get("toolbox/topics").is_none()), "{}", path.display());
        let text = fs::read_to_string(&path).unwrap();
        let resources = text.lines().filter(|line| line.trim_start().starts_with("- "));
        assert!(resources.clone().all(|line| !line.contains("configmaps/")), "{}", path.display());
    }
}

#[test]
fn a_job_is_not_failed_by_a_drain_and_not_tried_again_after_bad_input() {
    for (path, manifest) in manifests().into_iter().filter(|(_, manifest)| manifest["kind"] == "CronJob") {
        let rules = &manifest["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"];
        assert_eq!(rules[0]["action"], "Ignore", "{}", path.display());
        assert_eq!(rules[0]["onPodConditions"][0]["type"], "DisruptionTarget", "{}", path.display());
        assert_eq!(rules[1]["action"], "FailJob", "{}", path.display());
        assert_eq!(rules[1]["onExitCodes"]["values"], json!([2, 4]), "{}", path.display());
    }
}

#[test]
fn the_template_of_moves_leaves_pacing_to_the_agent_and_does_not_wait_for_a_missing_plan() {
    let job =
        containers().into_iter().find(|container| container.manifest.ends_with("reassign/cron-job.yaml")).unwrap();
    assert!(!job.arguments.iter().any(|argument| argument.starts_with("--throttle")), "{:?}", job.arguments);
    let text = fs::read_to_string(&job.manifest).unwrap();
    assert!(text.contains("configMap: {name: reassign-plan, optional: true}"));
}

#[test]
fn the_clusters_name_has_one_place_and_no_object_is_named_in_a_variable() {
    let mut named = 0;
    for (path, manifest) in manifests() {
        let all = find(&manifest, "containers").into_iter().flat_map(|list| list.as_array().unwrap());
        // A probe asks the server beside it, whatever its cluster is called.
        let is_ours = |one: &&Value| one["image"].is_string() && !is_servers_own(&one["image"]);
        for container in all.filter(is_ours).filter(|one| one["args"][0] != "probe") {
            let variables: Vec<_> =
                find(container, "env").into_iter().flat_map(|list| list.as_array().unwrap()).collect();
            let variable = |name: &str| variables.iter().find(|variable| variable["name"] == name);
            let place = json!({"configMapKeyRef": {"name": "toolbox", "key": "cluster"}});
            assert_eq!(variable("TOOLBOX_CLUSTER").unwrap()["valueFrom"], place, "{}", path.display());
            assert!(variable("TOOLBOX_EVENTS_REGARDING").is_none(), "{}: nameSuffix breaks it", path.display());
            named += 1;
        }
    }
    assert_eq!(named, 8);
    assert!(containers().iter().flat_map(|container| &container.arguments).all(|one| !one.starts_with("--cluster")));
}

#[test]
fn what_belongs_to_no_namespace_begins_with_the_word_for_which_overlays_put_theirs() {
    let kinds = ["ClusterRole", "ClusterRoleBinding", "ValidatingWebhookConfiguration"];
    let mut found = 0;
    for (path, manifest) in manifests().into_iter().filter(|(_, it)| kinds.iter().any(|kind| it["kind"] == *kind)) {
        let place = path.display();
        let names = [&manifest["metadata"]["name"], &manifest["roleRef"]["name"]].into_iter().filter_map(Value::as_str);
        assert!(names.clone().all(|name| name.starts_with("kafka-")), "{place}: {:?}", names.collect::<Vec<_>>());
        // Without the label, `replacements` do not find it.
        assert_eq!(manifest["metadata"]["labels"]["app.kubernetes.io/part-of"], "kafka-toolbox", "{place}");
        found += 1;
    }
    assert_eq!(found, 7);
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
        let containers = containers.flat_map(|list| list.as_array().unwrap());
        for container in containers.filter(|container| container["image"].is_string()) {
            let words = |key: &str| container[key].as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
            let (command, arguments) = (words("command"), words("args"));
            let arguments = match command.first().map(String::as_str) {
                None => arguments,
                Some("toolbox" | "/bin/toolbox" | "/toolbox/toolbox") => [&command[1..], &arguments[..]].concat(),
                Some(_) => continue,
            };
            found.push(Container { manifest: path.clone(), arguments });
        }
    }
    found
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests")
}

/// Every manifest with its path.
fn manifests() -> Vec<(PathBuf, Value)> {
    let (mut found, mut folders) = (Vec::new(), vec![folder()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "yaml") {
                continue;
            }
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
