//! Specs from public bug reports, through the real binary with a saved observation: what each must say, and how it ends.
//! The inputs are in the folder of this name.

use std::process::Command;

/// The exit code, and what is printed on both streams.
fn toolbox(arguments: &[&str]) -> (i32, String) {
    let state = tempfile::tempdir().unwrap();
    let mut toolbox = Command::new(env!("CARGO_BIN_EXE_toolbox"));
    toolbox.env_clear().env("TOOLBOX_STATE_FOLDER", state.path()).env("HOME", state.path());
    let output = toolbox.current_dir("tests/topics/field").args(arguments).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8(text).unwrap())
}

fn apply(spec: &str, observed: &str, more: &[&str]) -> (i32, String) {
    toolbox(&[&["topics", "apply", "--yes", "-f", spec, "--observed", observed], more].concat())
}

#[test]
fn internal_topics_in_a_list_of_kafka_topics_stay_as_they_are() {
    let (code, said) = apply("offs.yaml", "offsets.json", &[]);
    assert!(code == 0 && said.contains("nothing to do"), "{said}");
    assert!(!said.contains("compression.type producer -> default"), "{said}");
    let (code, said) = apply("offs2.yaml", "offsets.json", &[]);
    assert!(code == 4 && said.contains("nothing to do; 1 refused"), "{said}");
    assert!(said.contains("partitions 50 -> 60, cleanup.policy compact -> delete"), "{said}");
    assert!(said.contains("--internal-topic __consumer_offsets lets it be changed"), "{said}");
    let (code, said) = apply("offs2.yaml", "offsets.json", &["--internal-topic", "__consumer_offsets"]);
    assert!(code == 4 && said.contains("loses-data"), "named, its risk still stops it: {said}");
    let (code, said) = toolbox(&["topics", "validate", "-f", "list.yaml"]);
    assert!(code == 0, "{said}");
    assert!(said.contains("Kafka keeps its own data in topic `__consumer_offsets`"), "{said}");
    assert!(said.contains("Strimzi keeps its own data in topic `__strimzi_store_topic`"), "{said}");
}

#[test]
fn a_change_that_loses_records_is_refused_unless_it_is_let_through() {
    for (spec, observed, words) in [
        ("cut.yaml", "r.json", "retention.ms 2592000000 -> 60000 (loses-data: records older than 1 min are deleted"),
        ("pol.yaml", "c.json", "cleanup.policy compact -> delete (loses-data: records older than 1 s are deleted"),
        ("pol2.yaml", "r.json", "cleanup.policy default -> compact (loses-data: all but the newest value of each key"),
        ("unset.yaml", "r.json", "retention.ms 2592000000 -> default (strict: not declared) (loses-data: the default"),
    ] {
        let (code, said) = apply(spec, observed, &[]);
        assert!(
            code == 4 && said.contains("its risk is loses-data; --max-risk reversible refuses it"),
            "{spec}: {said}"
        );
        let (code, said) = apply(spec, observed, &["--max-risk", "loses-data"]);
        assert!(code == 3 && said.contains(words) && said.contains("risk loses-data"), "{spec}: {said}");
    }
}

#[test]
fn a_document_of_another_cluster_than_the_one_named_is_refused() {
    let (code, said) =
        toolbox(&["topics", "validate", "-f", "list.yaml", "--toolbox-file", "clusters.yaml", "--cluster", "west"]);
    assert!(code == 4 && said.contains("is meant for cluster `east`, and --cluster is `west`"), "{said}");
    let (code, said) = apply("offs.yaml", "offsets.json", &["--toolbox-file", "clusters.yaml", "--cluster", "west"]);
    assert!(code == 4 && said.contains("is meant for cluster `east`, and --cluster is `west`"), "{said}");
}

#[test]
fn a_config_key_that_kafka_does_not_have_is_a_fault_unless_it_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("spec.yaml");
    std::fs::write(&file, "topics: [{name: a, config: {confluent.value.schema.validation: true}}]").unwrap();
    let file = file.to_str().unwrap();
    let (code, said) = toolbox(&["topics", "validate", "-f", file]);
    assert!(code == 2 && said.contains("is no topic config key of Kafka 2.4 to"), "{said}");
    let (code, said) = toolbox(&["topics", "validate", "-f", file, "--allow-unknown-keys"]);
    assert!(code == 0 && said.contains("note: "), "{said}");
}

#[test]
fn defaults_are_no_overrides_and_values_are_compared_as_kafka_keeps_them() {
    for (spec, observed) in [("strict.yaml", "defaults.json"), ("formats.yaml", "formats.json")] {
        let (code, said) = apply(spec, observed, &[]);
        assert!(code == 0 && said.contains("nothing to do"), "{spec}: {said}");
        assert!(!said.contains("does not name are left alone"), "strict leaves nothing alone: {said}");
    }
}

#[test]
fn a_flag_that_names_a_topic_which_is_not_declared_is_an_error() {
    for flag in ["--delete", "--internal-topic"] {
        let (code, said) = apply("cut.yaml", "r.json", &[flag, "shop.other"]);
        assert!(code == 2 && said.contains(&format!("{flag} shop.other: what was given does not declare")), "{said}");
    }
    let (code, said) = apply("cut.yaml", "r.json", &["--delete", "shop.orders"]);
    assert!(code == 2 && said.contains("with `state: absent`"), "declared as present: {said}");
    let (code, said) = apply("cut.yaml", "r.json", &["--min-idle", "0s"]);
    assert!(code == 2 && said.contains("it must be at least 1 ms"), "{said}");
}

#[test]
fn a_fault_beside_a_refusal_ends_as_the_fault() {
    let folder = tempfile::tempdir().unwrap();
    let copy = |name: &str| std::fs::copy(format!("tests/topics/field/{name}"), folder.path().join(name)).unwrap();
    copy("offs2.yaml");
    std::fs::write(folder.path().join("wrong.yaml"), "topics: [{name: a, partitions: many}]").unwrap();
    let (code, said) = apply(folder.path().to_str().unwrap(), "offsets.json", &["--keep-going"]);
    assert!(code == 2 && said.contains("1 refused"), "{said}");
}
