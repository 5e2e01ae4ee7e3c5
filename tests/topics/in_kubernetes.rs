//! `topics apply` where the lock and what was last applied are in Kubernetes.

use std::sync::Arc;

use kafka_toolbox::change::event::Outcome;
use kafka_toolbox::clients::kafka::memory::{Call, Memory};
use kafka_toolbox::clients::kubernetes;
use kafka_toolbox::clients::kubernetes::{ConfigMap, Identity, Kubernetes, ObjectName, Resource, Verb};
use kafka_toolbox::exit::Exit;

use super::applying::partitions;
use crate::support::desk::Desk;
use crate::support::toolbox::audited;

const ORDERS: &str = "{name: orders, partitions: 1, replicationFactor: 2, config: {retention.ms: 1000000}}";

fn server() -> Arc<kubernetes::Memory> {
    Arc::new(kubernetes::Memory::new(Identity {
        namespace: "kafka".into(),
        pod: None,
        service_account: None,
        source: "a test".into(),
        server: "https://127.0.0.1".into(),
    }))
}

fn kubernetes_name(name: &str) -> ObjectName {
    ObjectName::new("kafka", name)
}

#[tokio::test(start_paused = true)]
async fn nothing_is_changed_without_a_record_when_the_api_server_goes_away_after_the_start() {
    let server = server();
    let down = Arc::clone(&server);
    let kafka = Memory::kraft(3).before(Call::CreateTopics, 1, move |_| down.set_down(true));
    let desk = Desk::new(kafka).in_kubernetes(server.clone());
    desk.declare(&[ORDERS]);
    let stopped = desk.apply(&[]).await.ends_with(Exit::Failed);
    assert!(stopped.out.contains("nothing is changed without a record in ConfigMap kafka/"), "{stopped:#?}");
    assert_eq!(partitions(&desk, "orders"), 0);

    server.set_down(false);
    // The Lease that could not be given back runs out.
    tokio::time::advance(std::time::Duration::from_mins(5)).await;
    desk.apply(&[]).await.ends_with(Exit::Done);
    assert_eq!(partitions(&desk, "orders"), 1);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_not_there_at_the_start_stops_the_run() {
    let server = server();
    server.set_down(true);
    let desk = Desk::new(Memory::kraft(3)).in_kubernetes(server);
    desk.declare(&[ORDERS]);
    let stopped = desk.apply(&[]).await.ends_with(Exit::Failed);
    assert!(stopped.err.contains("failed to make sure that no other run is working"), "{stopped:#?}");
    assert_eq!(desk.kafka.calls(), [Call::Metadata]);
}

#[tokio::test(start_paused = true)]
async fn what_was_last_applied_is_remembered_in_a_configmap() {
    let desk = Desk::new(Memory::kraft(3)).in_kubernetes(server());
    desk.declare(&[ORDERS]);
    desk.apply(&[]).await.ends_with(Exit::Done);
    desk.declare(&["{name: orders}"]);
    let unset = desk.apply(&[]).await.ends_with(Exit::Done);
    assert_eq!(unset.lines()[0], "~ topic orders: retention.ms 1000000 -> default (no longer declared)");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_lacks_rights_prints_complete_rules_at_its_start_and_changes_nothing() {
    let server = server();
    server.forbid(Verb::Create, Resource::Leases);
    server.forbid(Verb::Update, Resource::ConfigMaps);
    server.forbid(Verb::Create, Resource::Events);
    let desk = Desk::new(Memory::kraft(3)).in_kubernetes(server.clone());
    desk.declare(&[ORDERS]);
    let stopped = desk.apply(&["--cluster", "main", "--toolbox-file", &desk.toolbox_file()]).await;
    let stopped = stopped.ends_with(Exit::Refused);
    let rules = [
        "lacks rights in namespace kafka that `toolbox topics apply` needs. Nothing was changed.",
        "`toolbox rbac topics` prints the whole Role",
        "- apiGroups: [\"\"]\n  resources: [configmaps]\n  resourceNames: [toolbox-topics-",
        "]\n  verbs: [get, update]\n",
        "- apiGroups: [coordination.k8s.io]\n  resources: [leases]\n  verbs: [create]\n",
        "- apiGroups: [events.k8s.io]\n  resources: [events]\n  verbs: [create]",
    ];
    for rule in rules {
        assert!(stopped.err.contains(rule), "{rule}\nis not in\n{}", stopped.err);
    }
    assert_eq!(desk.kafka.calls(), [Call::Metadata]);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_may_only_not_write_events_goes_on() {
    let server = server();
    server.forbid(Verb::Create, Resource::Events);
    let desk = Desk::new(Memory::kraft(3)).in_kubernetes(server);
    desk.declare(&[ORDERS]);
    desk.apply(&[]).await.ends_with(Exit::Done);
}

#[tokio::test(start_paused = true)]
async fn a_faulty_configmap_blocks_no_other_and_its_topics_stay_as_they_are() {
    let server = server();
    let desk = Desk::new(Memory::kraft(3)).in_kubernetes(server.clone());
    let declare = async |name: &str, keys: &[(&str, &str)]| {
        let name = kubernetes_name(name);
        let there = server.config_map(&name).await.unwrap();
        let mut config_map = there.clone().unwrap_or_else(|| ConfigMap::new(name));
        config_map.labels = [("toolbox/topics".to_owned(), "true".to_owned())].into();
        config_map.data = keys.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
        match there {
            Some(_) => server.replace_config_map(&config_map).await.unwrap(),
            None => server.create_config_map(&config_map).await.unwrap(),
        };
    };
    let topic = |name: &str, rest: &str| format!("topics:\n  - {{name: {name}, replicationFactor: 2{rest}}}\n");
    declare("team-a", &[("a.yaml", &topic("a", ", config: {retention.ms: 1000000}"))]).await;
    declare("team-b", &[("b.yaml", &topic("b", ""))]).await;
    let apply = ["topics", "apply", "--yes", "--selector", "toolbox/topics=true"];
    desk.run(&apply).await.ends_with(Exit::Done);

    // Team a breaks one of two keys. Team b has a new topic, and one that team a declared before.
    declare("team-a", &[("a.yaml", "topics:\n  - {name: a, partitons: 1}\n"), ("c.yaml", &topic("c", ""))]).await;
    let more = format!("{}  - {{name: d, partitions: 1}}\n  - {{name: a}}\n", topic("b", ""));
    declare("team-b", &[("b.yaml", &more)]).await;
    let stopped = desk.run(&apply).await.ends_with(Exit::Usage);
    assert!(!desk.has("d"), "{stopped:#?}");
    let going = desk.run(&[&apply[..], &["--keep-going"]].concat()).await.ends_with(Exit::Usage);
    let said = "left out whole because of faults: configmap kafka/team-a\nconfigmap kafka/team-a, key a.yaml:2:";
    assert!(going.err.contains(said), "{going:#?}");
    assert!(going.err.contains("`a` was last applied from configmap kafka/team-a, which is left out"), "{going:#?}");
    assert!(desk.has("d") && !desk.has("c"), "{going:#?}");
    assert!(!going.out.contains("retention.ms"), "nothing of a is unset: {going:#?}");

    // Mended, the record of a is still there.
    declare("team-b", &[("b.yaml", &topic("b", ""))]).await;
    declare("team-a", &[("a.yaml", &topic("a", ""))]).await;
    let unset = desk.run(&apply).await.ends_with(Exit::Done);
    assert!(unset.out.contains("~ topic a: retention.ms 1000000 -> default (no longer declared)"), "{unset:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_recorded_once_though_each_pod_of_a_cron_job_has_an_empty_state_folder() {
    let kafka = Memory::kraft(3).topic("old", &[&[1, 2]]);
    let desk = Desk::new(kafka).in_kubernetes(server());
    let state = desk.folder().join("state");
    let mut recorded = Vec::new();
    let (absent, present) = ("{name: old, state: absent}", "{name: old}");
    for old in [absent, absent, present, absent] {
        desk.declare(&[old, ORDERS]);
        desk.apply(&[]).await;
        let refused = audited(&state).into_iter().filter(|event| event.outcome == Outcome::Refused);
        recorded.push(refused.filter(|event| event.subject == "topic:old").count());
        // A run that records nothing makes no folder.
        drop(std::fs::remove_dir_all(&state));
    }
    assert_eq!(recorded, [1, 0, 0, 1], "and again once it was away");
}
