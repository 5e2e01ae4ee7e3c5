//! What both the live door and its twin do.

use kafka_toolbox::clients::kubernetes::{
    ConfigMap, EventType, Kubernetes, KubernetesError, Lease, NewEvent, ObjectName, Regarding, Resource,
};

fn named(door: &dyn Kubernetes, name: &str) -> ObjectName {
    ObjectName::new(door.identity().namespace.clone(), name)
}

fn config_map(door: &dyn Kubernetes, name: &str, labels: &[(&str, &str)]) -> ConfigMap {
    let mut config_map = ConfigMap::new(named(door, name));
    config_map.labels = labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    config_map.data.insert("topics.yaml".into(), "topics: []\n".into());
    config_map
}

fn lease(door: &dyn Kubernetes, name: &str) -> Lease {
    let mut lease = Lease::new(named(door, name));
    lease.holder = Some("topics-1_run".into());
    lease.duration_seconds = 30;
    lease.acquired = Some("2026-11-22T08:00:00.123456Z".parse().unwrap());
    lease.renewed = Some("2026-11-22T08:00:05Z".parse().unwrap());
    lease
}

fn without_version(config_map: &ConfigMap) -> ConfigMap {
    ConfigMap { resource_version: String::new(), ..config_map.clone() }
}

pub(super) async fn a_configmap_is_read_as_it_was_written(door: &dyn Kubernetes) {
    let mut wanted = config_map(door, "one", &[("app", "orders")]);
    wanted.annotations.insert("note".into(), "für alle".into());
    wanted.data.insert("empty.yaml".into(), String::new());
    wanted.binary_data.insert("packed.gz".into(), vec![0, 1, 254, 255]);
    let created = door.create_config_map(&wanted).await.unwrap();
    assert_eq!(without_version(&created), wanted);
    assert_eq!(door.config_map(&wanted.name).await.unwrap(), Some(created));
}

pub(super) async fn what_is_not_there_is_none_and_no_error(door: &dyn Kubernetes) {
    assert_eq!(door.config_map(&named(door, "none")).await, Ok(None));
    assert_eq!(door.config_map(&ObjectName::new("no-such-namespace", "none")).await, Ok(None));
    assert_eq!(door.lease(&named(door, "none")).await, Ok(None));
    let namespace = &door.identity().namespace;
    assert_eq!(door.config_maps(namespace, "app=nobody").await, Ok(vec![]));
    for resource in [Resource::Pods, Resource::Jobs, Resource::ReplicaSets] {
        assert_eq!(door.owned(resource, &named(door, "none")).await, Ok(None));
    }
    for resource in [Resource::Pods, Resource::Nodes, Resource::Claims] {
        let name = if resource == Resource::Nodes { ObjectName::new("", "none") } else { named(door, "none") };
        assert_eq!(door.facts(resource, &name).await, Ok(None));
    }
    let other = door.facts(Resource::Leases, &named(door, "none")).await;
    assert!(matches!(other, Err(KubernetesError::Settings(_))), "{other:?}");
    let other = door.owned(Resource::Leases, &named(door, "none")).await;
    assert!(matches!(other, Err(KubernetesError::Settings(_))), "{other:?}");
}

pub(super) async fn a_configmap_is_created_once(door: &dyn Kubernetes) {
    let wanted = config_map(door, "once", &[]);
    door.create_config_map(&wanted).await.unwrap();
    let what = format!("ConfigMap {}", wanted.name);
    assert_eq!(door.create_config_map(&wanted).await, Err(KubernetesError::AlreadyExists { what }));
}

pub(super) async fn only_what_was_read_last_can_be_replaced(door: &dyn Kubernetes) {
    let first = door.create_config_map(&config_map(door, "race", &[])).await.unwrap();
    let mut mine = first.clone();
    mine.data.insert("mine".into(), "1".into());
    let second = door.replace_config_map(&mine).await.unwrap();
    assert_ne!(first.resource_version, second.resource_version);
    let what = format!("ConfigMap {}", first.name);
    assert_eq!(door.replace_config_map(&first).await, Err(KubernetesError::Conflict { what: what.clone() }));
    assert_eq!(door.config_map(&first.name).await.unwrap(), Some(second));
    let blind = door.replace_config_map(&without_version(&first)).await.unwrap_err();
    assert!(matches!(blind, KubernetesError::Invalid { .. }), "{blind}");
    let missing = ConfigMap { name: named(door, "gone"), ..first };
    let what = format!("ConfigMap {}", missing.name);
    assert_eq!(door.replace_config_map(&missing).await, Err(KubernetesError::NotFound { what }));
}

pub(super) async fn a_replacement_removes_what_it_lacks(door: &dyn Kubernetes) {
    let first = door.create_config_map(&config_map(door, "less", &[("app", "orders")])).await.unwrap();
    let bare = ConfigMap { resource_version: first.resource_version, ..ConfigMap::new(first.name) };
    let left = door.replace_config_map(&bare).await.unwrap();
    assert!(left.data.is_empty() && left.labels.is_empty(), "{left:?}");
}

pub(super) async fn a_selector_finds_all_pages_in_order(door: &dyn Kubernetes) {
    for number in 0..120 {
        door.create_config_map(&config_map(door, &format!("many-{number}"), &[("set", "many")])).await.unwrap();
    }
    let found = door.config_maps(&door.identity().namespace, "set=many").await.unwrap();
    let names: Vec<_> = found.iter().map(|found| found.name.name.clone()).collect();
    assert_eq!(names.len(), 120);
    assert!(names.is_sorted(), "{names:?}");
}

pub(super) async fn leases_are_found_by_label_in_order(door: &dyn Kubernetes) {
    let namespace = door.identity().namespace.clone();
    for (name, set) in [("lock-b", "found"), ("lock-a", "found"), ("lock-c", "other")] {
        let mut lease = Lease::new(ObjectName::new(namespace.clone(), name));
        lease.labels.insert("locks".into(), set.into());
        lease.duration_seconds = 1;
        door.create_lease(&lease).await.unwrap();
    }
    let found = door.leases(&namespace, "locks=found").await.unwrap();
    let names: Vec<_> = found.iter().map(|found| found.name.name.as_str()).collect();
    assert_eq!(names, ["lock-a", "lock-b"]);
    assert_eq!(door.leases(&namespace, "locks=nobody").await, Ok(vec![]));
    assert!(matches!(door.leases(&namespace, "=").await, Err(KubernetesError::Invalid { .. })));
}

pub(super) async fn every_kind_of_selector_means_the_same(door: &dyn Kubernetes) {
    let sets: [(&str, &[(&str, &str)]); 3] = [
        ("sel-a", &[("set", "sel"), ("app", "a")]),
        ("sel-b", &[("set", "sel"), ("app", "b")]),
        ("sel-c", &[("set", "sel")]),
    ];
    for (name, labels) in sets {
        door.create_config_map(&config_map(door, name, labels)).await.unwrap();
    }
    let cases: [(&str, &[&str]); 8] = [
        ("set=sel,app=a", &["sel-a"]),
        ("set==sel,app!=a", &["sel-b", "sel-c"]),
        ("set=sel,app in (a, b)", &["sel-a", "sel-b"]),
        ("set=sel,app notin (a)", &["sel-b", "sel-c"]),
        ("set=sel,app", &["sel-a", "sel-b"]),
        ("set=sel,!app", &["sel-c"]),
        ("set=sel,app=", &[]),
        ("set=sel,kafka-toolbox/other!=x", &["sel-a", "sel-b", "sel-c"]),
    ];
    for (selector, expected) in cases {
        let found = door.config_maps(&door.identity().namespace, selector).await.unwrap();
        let names: Vec<_> = found.iter().map(|found| found.name.name.as_str()).collect();
        assert_eq!(names, expected, "{selector}");
    }
}

pub(super) async fn what_is_no_selector_is_invalid(door: &dyn Kubernetes) {
    for selector in ["=", "a=b=c", "a in (b", "a=-b", "a,", "a b"] {
        let error = door.config_maps(&door.identity().namespace, selector).await.unwrap_err();
        assert!(matches!(error, KubernetesError::Invalid { .. }), "{selector}: {error}");
    }
}

pub(super) async fn a_namespace_that_is_missing_is_named(door: &dyn Kubernetes) {
    let name = ObjectName::new("no-such-namespace", "x");
    let what = "namespace no-such-namespace".to_owned();
    let config_map = ConfigMap::new(name.clone());
    assert_eq!(door.create_config_map(&config_map).await, Err(KubernetesError::NotFound { what: what.clone() }));
    assert_eq!(door.create_lease(&Lease::new(name)).await, Err(KubernetesError::NotFound { what }));
}

pub(super) async fn a_name_or_a_key_that_is_not_legal_is_invalid(door: &dyn Kubernetes) {
    for name in ["Upper", "under_score", "-dash", "dot."] {
        let error = door.create_config_map(&config_map(door, name, &[])).await.unwrap_err();
        assert!(matches!(error, KubernetesError::Invalid { .. }), "{name}: {error}");
    }
    let mut bad_key = config_map(door, "key", &[]);
    bad_key.data.insert("a/b".into(), String::new());
    let error = door.create_config_map(&bad_key).await.unwrap_err();
    assert!(matches!(&error, KubernetesError::Invalid { message, .. } if message.contains("a/b")), "{error}");
}

pub(super) async fn a_configmap_beyond_its_limit_is_invalid(door: &dyn Kubernetes) {
    let mut large = config_map(door, "large", &[]);
    large.data.clear();
    large.binary_data.insert("x".into(), vec![7; 1 << 20]);
    let kept = door.create_config_map(&large).await.unwrap();
    let larger = ConfigMap { data: [("y".to_owned(), "1".to_owned())].into(), ..kept };
    let error = door.replace_config_map(&larger).await.unwrap_err();
    assert!(matches!(&error, KubernetesError::Invalid { message, .. } if message.contains("1048576")), "{error}");
}

pub(super) async fn a_lease_is_read_as_it_was_written(door: &dyn Kubernetes) {
    let mut wanted = lease(door, "one");
    wanted.labels.insert("app".into(), "orders".into());
    wanted.annotations.insert("note".into(), "x".into());
    let created = door.create_lease(&wanted).await.unwrap();
    assert_eq!(Lease { resource_version: String::new(), ..created.clone() }, wanted);
    assert_eq!(door.lease(&wanted.name).await.unwrap(), Some(created.clone()));
    let freed = door.replace_lease(&Lease { holder: None, duration_seconds: 1, ..created.clone() }).await.unwrap();
    assert_eq!(freed.holder, None);
    assert_eq!(freed.acquired, created.acquired);
}

pub(super) async fn of_two_that_take_a_lease_one_is_told_of_the_conflict(door: &dyn Kubernetes) {
    let free = door.create_lease(&Lease { holder: None, ..lease(door, "race") }).await.unwrap();
    let taken = |holder: &str| Lease { holder: Some(holder.into()), transitions: 1, ..free.clone() };
    let (one, other) = (taken("one"), taken("other"));
    let (one, other) = tokio::join!(door.replace_lease(&one), door.replace_lease(&other));
    let winner = door.lease(&free.name).await.unwrap().unwrap().holder.unwrap();
    let (won, lost) = if winner == "one" { (one, other) } else { (other, one) };
    assert_eq!(won.unwrap().holder, Some(winner));
    assert_eq!(lost, Err(KubernetesError::Conflict { what: format!("Lease {}", free.name) }));
    let again = door.create_lease(&free).await;
    assert_eq!(again, Err(KubernetesError::AlreadyExists { what: format!("Lease {}", free.name) }));
}

pub(super) async fn a_lease_without_a_duration_is_invalid(door: &dyn Kubernetes) {
    let error = door.create_lease(&Lease { duration_seconds: 0, ..lease(door, "zero") }).await.unwrap_err();
    assert!(
        matches!(&error, KubernetesError::Invalid { message, .. } if message.contains("leaseDurationSeconds")),
        "{error}"
    );
}

pub(super) async fn an_event_is_cut_to_the_limits_and_written_once(door: &dyn Kubernetes) {
    let event = NewEvent {
        name: "toolbox.0192".into(),
        regarding: Regarding { api_version: "v1".into(), kind: "Pod".into(), name: named(door, "topics-1"), uid: None },
        reason: "TopicsConfigChanged".repeat(10),
        action: "Apply".into(),
        note: "retention.ms: 1 → 2, ".repeat(100),
        event_type: EventType::Warning,
        time: "2026-11-22T08:00:00.5Z".parse().unwrap(),
    };
    assert_eq!(door.create_event(&event).await, Ok(()));
    assert_eq!(door.create_event(&event).await, Ok(()));
    let elsewhere = Regarding { name: ObjectName::new("no-such-namespace", "x"), ..event.regarding.clone() };
    let error = door.create_event(&NewEvent { regarding: elsewhere, ..event }).await.unwrap_err();
    assert_eq!(error, KubernetesError::NotFound { what: "namespace no-such-namespace".into() });
}
