//! The decision table, row by row.

use super::*;
use crate::commands::identity::plan::{RetiredDisk, Source};

#[test]
fn an_empty_disk_of_a_free_id_gets_the_id_of_its_ordinal() {
    let decision = assigned(&terms(), &seen());
    assert_eq!((decision.id, decision.source, decision.replaces), (BrokerId(1003), Source::Ordinal, None));
    let entry = &decision.registry.ids[&BrokerId(1003)];
    assert_eq!((entry.pod.as_str(), entry.volume.as_deref(), entry.is_on_disk), ("kafka-2", Some("v2"), false));
    assert_eq!(decision.registry.cluster_id.as_deref(), Some(CLUSTER));
}

#[test]
fn a_disk_whose_id_is_the_pods_keeps_it_and_the_registry_learns_its_folder() {
    let seen = registered(with_disk(1003), &[(1003, Entry { pod_uid: Some("old".into()), ..entry(2) })]);
    let decision = assigned(&terms(), &seen);
    assert_eq!((decision.id, decision.source), (BrokerId(1003), Source::Disk));
    let entry = &decision.registry.ids[&BrokerId(1003)];
    assert_eq!((entry.since, entry.pod_uid.as_deref()), (ago(24), Some("u2")));
    assert_eq!(entry.directory_ids, ["dir-1003"]);
}

#[test]
fn a_disk_without_an_entry_is_registered_where_the_ordinal_expects_it() {
    assert_eq!(assigned(&terms(), &with_disk(1003)).source, Source::Disk);
}

#[test]
fn a_disk_wins_over_a_label_of_its_node() {
    assert_eq!(assigned(&terms(), &node_label(with_disk(1003), "1005")).id, BrokerId(1003));
}

#[test]
fn a_disk_whose_id_another_running_pod_has_is_in_use() {
    let seen = registered(with_disk(1004), &[(1004, entry(3))]);
    assert_eq!(asks(&terms(), &seen), Question::Pod("kafka-3".into()));
    let (code, words) = refused(&terms(), &with_pod(seen.clone(), "kafka-3", PodSeen::Running("u3".into())));
    assert_eq!(code, Code::IdInUse);
    assert!(words.starts_with("E_ID_IN_USE: id 1004 is that of pod kafka-3, which runs."), "{words}");
    let (code, _) = refused(&terms(), &with_pod(seen, "kafka-3", PodSeen::Unreadable("forbidden".into())));
    assert_eq!(code, Code::IdInUse, "what can't be read counts as running");
}

#[test]
fn disks_that_were_exchanged_are_refused_and_never_rewritten() {
    let (code, words) = refused(&terms(), &with_disk(1001));
    assert_eq!(code, Code::DiskMismatch);
    assert!(words.contains("holds id 1001, but by its name or flags the pod has id 1003"), "{words}");
    let gone = with_pod(registered(with_disk(1001), &[(1001, entry(0)), (1003, entry(2))]), "kafka-0", PodSeen::Gone);
    let (code, words) = refused(&terms(), &gone);
    assert_eq!(code, Code::DiskMismatch);
    assert!(words.contains("by the registry the pod has id 1003"), "{words}");
    let runs = with_pod(gone, "kafka-0", PodSeen::Running("u0".into()));
    assert_eq!(
        refused(&terms(), &runs).0,
        Code::DiskMismatch,
        "exchanged, though the other pod runs with the other's disk"
    );
    let terms = Terms { allocation: Allocation::FirstFree, ..terms() };
    let (code, words) = refused(&terms, &with_disk(2001));
    assert_eq!(code, Code::DiskMismatch);
    assert!(words.contains("2001, which is none of map map1 (1001-1006)"), "{words}");
}

#[test]
fn a_retired_disk_does_not_start() {
    let retired = Entry { state: State::Retired, ..entry(2) };
    assert_eq!(refused(&terms(), &registered(with_disk(1003), &[(1003, retired)])).0, Code::RetiredDisk);
    let old = |volume: Option<&str>, node: Option<&str>, directory: Option<&str>| RetiredDisk {
        id: BrokerId(1003),
        volume: volume.map(str::to_owned),
        node: node.map(str::to_owned),
        directory_ids: directory.map(str::to_owned).into_iter().collect(),
        at: ago(24),
    };
    let cases = [
        (old(Some("v2"), Some("n2"), None), true),
        (old(Some("v9"), Some("n2"), None), false),
        (old(Some("v9"), Some("n9"), Some("dir-1003")), true),
        (old(Some("v2"), Some("n2"), Some("another")), false),
        (old(None, Some("n2"), None), false),
    ];
    for (retired, is_refused) in cases {
        let mut seen = registered(with_disk(1003), &[(1003, entry(2))]);
        seen.registry.retired_disks.push(retired.clone());
        let code = decide(&terms(), &seen).err();
        let is_retired = matches!(code, Some(Halt::Refused(refusal)) if refusal.code == Code::RetiredDisk);
        assert_eq!(is_retired, is_refused, "{retired:?}");
    }
}

#[test]
fn a_disk_of_another_cluster_does_not_start() {
    let other = Terms { cluster_id: Some("another".into()), ..terms() };
    let (code, words) = refused(&other, &with_disk(1003));
    assert_eq!(code, Code::WrongCluster);
    assert!(words.contains(CLUSTER) && words.contains("this is cluster another"), "{words}");
    // Without a cluster in toolbox.yaml, the registry knows it from the first disk.
    let silent = Terms { cluster_id: None, ..terms() };
    let mut seen = with_disk(1003);
    assert_eq!(assigned(&silent, &seen).registry.cluster_id.as_deref(), Some(CLUSTER));
    seen.registry.cluster_id = Some("another".into());
    assert_eq!(refused(&silent, &seen).0, Code::WrongCluster);
    let mut seen = super::seen();
    seen.registry.cluster_id = Some("another".into());
    assert_eq!(refused(&terms(), &seen).0, Code::WrongCluster, "the registry is of a cluster that is gone");
}

#[test]
fn log_dirs_that_disagree_stop_the_start_and_an_empty_one_beside_others_does_not() {
    let two = |other: Holds| Seen { folders: vec![folder("/a", Holds::Id(disk(1003))), folder("/b", other)], ..seen() };
    let (code, words) = refused(&terms(), &two(Holds::Id(disk(1004))));
    assert_eq!(code, Code::DiskMismatch);
    assert!(words.contains("/a is a log dir of broker 1003, /b one of broker 1004. Nothing was written."), "{words}");
    let foreign = DiskId { cluster_id: Some("another".into()), ..disk(1003) };
    assert_eq!(refused(&terms(), &two(Holds::Id(foreign))).0, Code::DiskMismatch);
    assert_eq!(assigned(&terms(), &two(Holds::Nothing)).id, BrokerId(1003), "a disk that was added");
    assert_eq!(refused(&terms(), &two(Holds::Data("orders-0".into()))).0, Code::DiskNoId);
    assert_eq!(refused(&terms(), &two(Holds::Unreadable("Input/output error".into()))).0, Code::DiskIo);
}

#[test]
fn a_disk_that_cannot_be_read_is_not_empty() {
    let broken = Seen { folders: vec![folder("/data", Holds::Unreadable("Input/output error".into()))], ..seen() };
    let (code, words) = refused(&terms(), &broken);
    assert_eq!(code, Code::DiskIo);
    assert!(words.contains("/data can't be read (Input/output error), and does not count as empty"), "{words}");
}

#[test]
fn data_without_an_id_are_somebodys() {
    let data = Seen { folders: vec![folder("/data", Holds::Data("orders-0".into()))], ..seen() };
    assert_eq!(refused(&terms(), &data).0, Code::DiskNoId);
}

#[test]
fn labels_that_contradict_the_registry_or_the_ordinal_or_each_other_are_refused() {
    let registered = registered(node_label(seen(), "1005"), &[(1003, entry(2))]);
    let (code, words) = refused(&terms(), &registered);
    assert_eq!(code, Code::LabelConflict);
    assert!(words.contains("label of its node says id 1005, and the registry says 1003"), "{words}");
    assert_eq!(refused(&terms(), &node_label(seen(), "1005")).0, Code::LabelConflict);
    let claim = |id: &str| Some(Claim { name: "c".into(), volume: Some("v2".into()), broker_id: Some(id.into()) });
    let both = Seen { claim: claim("1003"), ..node_label(seen(), "1004") };
    assert_eq!(refused(&terms(), &both).0, Code::LabelConflict);
    for text in ["${ID}", "10 03", "-1", ""] {
        assert_eq!(refused(&terms(), &Seen { claim: claim(text), ..seen() }).0, Code::LabelConflict, "{text}");
    }
    let given = Terms { allocation: Allocation::Given(BrokerId(1004)), ..terms() };
    assert_eq!(refused(&given, &super::registered(seen(), &[(1003, entry(2))])).0, Code::LabelConflict);
    let outside = Terms { allocation: Allocation::Given(BrokerId(7)), ..terms() };
    assert_eq!(refused(&outside, &seen()).0, Code::LabelConflict);
}

#[test]
fn a_label_of_a_node_that_cannot_be_read_is_no_missing_label_for_an_empty_disk() {
    let unread = |seen: Seen| Seen { node: NodeSeen::Unreadable("503".into()), ..seen };
    let (code, words) = refused(&terms(), &unread(seen()));
    assert_eq!(code, Code::LabelUnknown);
    assert!(words.contains("the node can't be read (503)") && words.contains("tries again"), "{words}");
    assert_eq!(
        assigned(&terms(), &unread(with_disk(1003))).id,
        BrokerId(1003),
        "a disk that holds an id needs no label"
    );
    let without = Seen { node: NodeSeen::Unlabelled("forbidden".into()), ..seen() };
    assert_eq!(assigned(&terms(), &without).id, BrokerId(1003));
}

#[test]
fn an_empty_disk_whose_label_and_registry_agree_on_its_id_has_lost_the_former_one() {
    let entry = Entry { volume: Some("v9".into()), node: Some("n9".into()), ..entry(2) };
    let seen = registered(node_label(seen(), "1003"), &[(1003, entry)]);
    assert_eq!(refused(&terms(), &seen).0, Code::DiskLost);
}

#[test]
fn names_without_an_ordinal_and_ordinals_without_an_id_are_refused() {
    let named = |pod: &str| Seen { me: Me { pod: pod.into(), ..Me::default() }, ..seen() };
    for pod in ["kafka-007", "kafka", "kafka-12-canary"] {
        let (code, words) = refused(&terms(), &named(pod));
        assert_eq!(code, Code::BadName, "{pod}");
        assert!(words.contains(pod) && words.contains("--id"), "{words}");
    }
    let (code, words) = refused(&terms(), &named("my-kafka-eu-12"));
    assert_eq!(code, Code::NoId);
    assert!(words.contains("has ordinal 12, but map map1 has 6 ids only (1001-1006)"), "{words}");
    let wide = Terms { ids: (1001..=1020).map(BrokerId).collect(), ..terms() };
    assert_eq!(assigned(&wide, &named("my-kafka-eu-12")).id, BrokerId(1013));
    let given = Terms { allocation: Allocation::Given(BrokerId(1004)), ..terms() };
    assert_eq!(assigned(&given, &named("kafka-12-canary")).id, BrokerId(1004));
}

#[test]
fn the_lowest_free_id_is_the_lowest_that_neither_the_registry_nor_the_cluster_has() {
    let terms = Terms { allocation: Allocation::FirstFree, ..terms() };
    let young = Entry { is_on_disk: false, since: ago(0), ..entry(0) };
    let unasked = Seen { cluster: ClusterSeen::NotAsked, ..registered(seen(), &[(1001, young.clone())]) };
    assert_eq!(asks(&terms, &unasked), Question::Cluster);
    let silent = registered(seen(), &[(1001, young)]);
    assert_eq!(assigned(&terms, &silent).id, BrokerId(1002));
    let listed = replaced::cluster(&[1002, 1003], &[1004]);
    let live = Seen { cluster: ClusterSeen::Known(listed), ..silent };
    assert_eq!(assigned(&terms, &live).id, BrokerId(1005));
    let all: Vec<_> = (0..6).map(|number| (1001 + i32::try_from(number).unwrap(), entry(number + 10))).collect();
    let all = Seen { cluster: ClusterSeen::NotConfigured, ..registered(seen(), &all) };
    let (code, words) = refused(&terms, &all);
    assert_eq!(code, Code::NoId);
    assert!(words.contains("none of the 6 ids of map map1 (1001-1006) is free"), "{words}");
}

#[test]
fn a_second_run_of_the_same_start_finds_nothing_to_do() {
    for allocation in [Allocation::Ordinal, Allocation::FirstFree, Allocation::Given(BrokerId(1004))] {
        let terms = Terms { allocation, ..terms() };
        let first = assigned(&terms, &seen());
        let later = Terms { now: now().checked_add(SignedDuration::from_mins(2)).unwrap(), ..terms };
        let second = assigned(&later, &Seen { registry: first.registry.clone(), ..seen() });
        assert_eq!(first, second);
    }
}

#[test]
fn a_zookeeper_server_asks_no_kafka_cluster() {
    let terms = Terms { kind: Kind::Zookeeper, ids: (1..=255).map(BrokerId).collect(), cluster_id: None, ..terms() };
    let fresh = Seen { cluster: ClusterSeen::NotAsked, ..seen() };
    assert_eq!(assigned(&terms, &fresh).id, BrokerId(3));
    let lost = registered(fresh, &[(3, Entry { volume: Some("v9".into()), ..entry(2) })]);
    assert_eq!(refused(&terms, &lost).0, Code::DiskLost);
    let taken = Terms { replaced: Replaced::SameId, ..terms };
    assert_eq!(assigned(&taken, &lost).replaces, Some(BrokerId(3)));
}
