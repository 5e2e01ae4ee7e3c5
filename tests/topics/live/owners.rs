//! Who declares a topic: the record of an owner survives what happens to the file, and two owners never fight over one
//! topic.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::live::kafka::{Cluster, Kind};
use crate::support::toolbox::Toolbox;

/// Puts a text into a folder as the kubelet mounts a ConfigMap: each update is a new folder, and `..data` leads to it.
fn mount(folder: &Path, update: u32, text: &str) {
    let name = format!("..2026_11_2{update}");
    fs::create_dir_all(folder.join(&name)).unwrap();
    fs::write(folder.join(&name).join("topics.yaml"), text).unwrap();
    let (data, next) = (folder.join("..data"), folder.join("..data_tmp"));
    symlink(&name, &next).unwrap();
    fs::rename(&next, &data).unwrap();
    if update == 1 {
        symlink("..data/topics.yaml", folder.join("topics.yaml")).unwrap();
    } else {
        fs::remove_dir_all(folder.join(format!("..2026_11_2{}", update - 1))).unwrap();
    }
}

#[test]
fn a_mounted_config_map_that_is_updated_three_times_keeps_its_record() {
    let toolbox = Toolbox::new(&Cluster::shared(Kind::Kafka43Kraft).bootstrap());
    let folder = toolbox.state().with_file_name("mounted");
    let file = folder.join("topics.yaml");
    let file = file.to_str().unwrap();
    let topic =
        |config: &str| format!("topics:\n- {{name: owners-mounted, partitions: 1, replicationFactor: 1{config}}}\n");
    let configs = [", config: {retention.ms: 1000000}", ", config: {retention.ms: 2000000}", ""];
    let mut last = None;
    for (update, config) in (1..).zip(configs) {
        mount(&folder, update, &topic(config));
        let ran = toolbox.run(&["topics", "apply", "-f", file, "--yes", "--max-risk", "loses-data"]).ends_with(0);
        assert!(!ran.out.contains("there is no record"), "update {update}: {ran:#?}");
        last = Some(ran);
    }
    let last = last.unwrap();
    assert!(last.out.contains("retention.ms 2000000 -> default (no longer declared)"), "{last:#?}");
    let described = toolbox.run(&["topics", "describe", "owners-mounted"]).ends_with(0);
    assert!(!described.out.contains("2000000"), "{described:#?}");
}

#[test]
fn two_owners_that_declare_one_topic_are_refused_by_name_and_one_may_take_it_over() {
    let toolbox = Toolbox::new(&Cluster::shared(Kind::Kafka43Kraft).bootstrap());
    let spec = |name: &str, retention: u32| {
        let text = format!(
            "topics:\n- {{name: owners-shared, partitions: 1, replicationFactor: 1, config: {{retention.ms: {retention}}}}}\n"
        );
        toolbox.file(name, &text)
    };
    let (shop, web) = (spec("shop.yaml", 1_000_000), spec("web.yaml", 2_000_000));
    let apply = |owner: &str, file: &str, more: &[&str]| {
        toolbox.run(&[&["topics", "apply", "-f", file, "--owner", owner, "--yes"][..], more].concat())
    };
    apply("shop", &shop, &[]).ends_with(0);
    let refused = apply("web", &web, &[]).ends_with(4);
    for words in ["two owners declare it: `shop`", "`web`", "shop.yaml", "web.yaml", "--take-ownership"] {
        assert!(refused.out.contains(words), "{words}: {refused:#?}");
    }
    apply("shop", &shop, &[]).ends_with(0);
    apply("web", &web, &["--take-ownership", "--max-risk", "loses-data"]).ends_with(0);
    apply("web", &web, &[]).ends_with(0);
    let refused = apply("shop", &shop, &[]).ends_with(4);
    assert!(refused.out.contains("two owners declare it: `web`"), "{refused:#?}");
}

/// The path of an owner's record, and what it holds.
fn record(toolbox: &Toolbox, owner: &str) -> (std::path::PathBuf, String) {
    let records = fs::read_dir(toolbox.state().join("records")).unwrap();
    let ending = format!("-{owner}.json");
    let mut paths = records.map(|entry| entry.unwrap().path());
    let path = paths.find(|path| path.to_str().unwrap().ends_with(&ending)).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    (path, text)
}

#[test]
fn of_two_owners_that_begin_at_one_moment_the_second_to_claim_is_refused_and_nothing_of_it_is_applied() {
    let toolbox = Toolbox::new(&Cluster::shared(Kind::Kafka43Kraft).bootstrap());
    let topic = |retention: u32| {
        format!(
            "topics:\n- {{name: owners-race, partitions: 1, replicationFactor: 1, config: {{retention.ms: {retention}}}}}\n"
        )
    };
    let (one, two) = (toolbox.file("one.yaml", &topic(1_000_000)), toolbox.file("two.yaml", &topic(2_000_000)));
    let line = |owner: &'static str, file: &str| {
        ["topics", "apply", "-f", file, "--owner", owner, "--yes"].map(str::to_owned).to_vec()
    };
    let (first, second) = (line("one", &one), line("two", &two));
    let words = |line: &[String]| line.iter().map(String::clone).collect::<Vec<_>>();
    let first = words(&first);
    let first: Vec<_> = first.iter().map(String::as_str).collect();
    let late = toolbox.run_and_meanwhile("intents:1", &first, |_| {
        let second: Vec<_> = second.iter().map(String::as_str).collect();
        toolbox.run(&second).ends_with(0);
    });
    let late = late.ends_with(4);
    assert!(late.out.contains("owner `two` declares topic owners-race, too"), "{late:#?}");
    let described = toolbox.run(&["topics", "describe", "owners-race"]).ends_with(0);
    assert!(described.out.contains("2000000"), "{described:#?}");
    assert!(!record(&toolbox, "one").1.contains("owners-race"), "its claim is withdrawn");
    toolbox.run(&second.iter().map(String::as_str).collect::<Vec<_>>()).ends_with(0);
}

#[test]
fn a_take_over_takes_from_every_other_owner_and_a_record_that_names_another_cluster_is_refused() {
    let toolbox = Toolbox::new(&Cluster::shared(Kind::Kafka43Kraft).bootstrap());
    let text = "topics:\n- {name: owners-many, partitions: 1, replicationFactor: 1}\n";
    let file = toolbox.file("many.yaml", text);
    let apply = |owner: &str, more: &[&str]| {
        toolbox.run(&[&["topics", "apply", "-f", &file, "--owner", owner, "--yes"][..], more].concat())
    };
    apply("ann", &[]).ends_with(0);
    let (path, held) = record(&toolbox, "ann");
    let other = path.with_file_name(path.file_name().unwrap().to_str().unwrap().replace("-ann.", "-ben."));
    fs::write(&other, held.replace("\"owner\": \"ann\"", "\"owner\": \"ben\"")).unwrap();
    let taken = apply("carl", &["--take-ownership"]).ends_with(0);
    assert!(taken.out.contains("is taken over from owner `ann`, `ben` by `carl`"), "{taken:#?}");
    apply("carl", &[]).ends_with(0);
    fs::write(&other, held.replace("\"cluster_id\": \"", "\"cluster_id\": \"x")).unwrap();
    let refused = apply("carl", &[]).ends_with(4);
    assert!(refused.err.contains("is named as a record of this cluster"), "{refused:#?}");
}
