//! A known id whose disk is lost: the policies, the last replica, retired ids.

use std::collections::BTreeMap;

use super::*;
use crate::cluster::metadata::Metadata;
use crate::cluster::topic::{Partition, Topic, TopicName, TopicPartition};
use crate::commands::identity::plan::cluster::{Last, Listed, listed};

/// A cluster with live brokers, and others that only have replicas.
pub(super) fn cluster(live: &[i32], listed: &[i32]) -> Listed {
    Listed {
        cluster_id: CLUSTER.into(),
        brokers: live.iter().copied().map(BrokerId).collect(),
        replicas: listed.iter().map(|id| (BrokerId(*id), 7)).collect(),
        last: BTreeMap::new(),
    }
}

/// Pod `kafka-2` with an empty disk on another volume and node than its id 1003 had.
fn lost(cluster: ClusterSeen) -> Seen {
    let entry = Entry { volume: Some("v9".into()), node: Some("n9".into()), ..entry(2) };
    Seen { cluster, ..registered(seen(), &[(1003, entry)]) }
}

fn policy(replaced: Replaced) -> Terms {
    Terms { replaced, ..terms() }
}

#[test]
fn a_lost_disk_is_refused_with_what_to_do() {
    assert_eq!(asks(&terms(), &lost(ClusterSeen::NotAsked)), Question::Cluster);
    let (code, words) = refused(&terms(), &lost(ClusterSeen::Known(cluster(&[1001], &[1001, 1003]))));
    assert_eq!(code, Code::DiskLost);
    assert!(words.contains("id 1003 had one before (it was v9 on n9); 7 partitions have a replica there"), "{words}");
    assert!(words.contains("--replaced same-id") && words.contains("--replaced new-id"), "{words}");
    assert_eq!(refused(&terms(), &lost(ClusterSeen::NotConfigured)).0, Code::DiskLost);
}

#[test]
fn a_lost_disk_that_held_nothing_is_no_loss() {
    let decision = assigned(&terms(), &lost(ClusterSeen::Known(cluster(&[1001], &[1001]))));
    assert_eq!((decision.id, decision.replaces), (BrokerId(1003), None));
}

#[test]
fn the_same_id_is_taken_over_where_every_partition_has_another_replica_in_sync() {
    let decision = assigned(&policy(Replaced::SameId), &lost(ClusterSeen::Known(cluster(&[1001], &[1001, 1003]))));
    assert_eq!((decision.id, decision.replaces), (BrokerId(1003), Some(BrokerId(1003))));
    assert_eq!(decision.registry.retired_disks[0].volume.as_deref(), Some("v9"));
    // The old disk comes back: it may not start; the new one goes on.
    let mut back = with_disk(1003);
    back.registry = decision.registry.clone();
    assert_eq!(assigned(&terms(), &back).id, BrokerId(1003));
    back.claim = Some(Claim { name: "c".into(), volume: Some("v9".into()), broker_id: None });
    assert_eq!(refused(&terms(), &back).0, Code::RetiredDisk);
}

#[test]
fn the_same_id_is_refused_where_a_partition_has_its_last_replica_there_or_nobody_answers() {
    let mut known = cluster(&[1001], &[1001, 1003]);
    let orders = TopicPartition { topic: TopicName::new("orders").unwrap(), partition: 3 };
    known.last.insert(BrokerId(1003), Last { count: 12, named: vec![orders] });
    let (code, words) = refused(&policy(Replaced::SameId), &lost(ClusterSeen::Known(known)));
    assert_eq!(code, Code::LastReplica);
    assert!(
        words.contains("12 partitions have their last replica on broker 1003") && words.contains("orders-3, …"),
        "{words}"
    );
    for silent in [ClusterSeen::NotConfigured, ClusterSeen::NoAnswer("no".into())] {
        assert_eq!(refused(&policy(Replaced::SameId), &lost(silent)).0, Code::ClusterUnknown);
    }
}

#[test]
fn a_live_broker_with_the_id_is_in_use_whatever_the_policy() {
    for replaced in [Replaced::Refuse, Replaced::SameId, Replaced::NewId] {
        let seen = lost(ClusterSeen::Known(cluster(&[1003], &[1003])));
        assert_eq!(refused(&policy(replaced), &seen).0, Code::IdInUse);
    }
}

#[test]
fn another_id_retires_the_old_one_and_its_disk() {
    let seen = lost(ClusterSeen::Known(cluster(&[1001, 1002], &[1001, 1002, 1003])));
    let decision = assigned(&policy(Replaced::NewId), &seen);
    assert_eq!((decision.id, decision.replaces), (BrokerId(1004), Some(BrokerId(1003))));
    let old = &decision.registry.ids[&BrokerId(1003)];
    assert_eq!((old.state, old.since), (State::Retired, now()));
    // The next start of the pod keeps the new id, though its ordinal says 1003.
    let next = Seen { registry: decision.registry.clone(), ..super::seen() };
    assert_eq!(assigned(&terms(), &next).id, BrokerId(1004));
    let written = Seen { registry: decision.registry, ..with_disk(1004) };
    assert_eq!(assigned(&terms(), &written).id, BrokerId(1004));
}

#[test]
fn a_retired_id_rests_for_seven_days_and_for_as_long_as_partitions_list_it() {
    let retired = |hours| {
        let entry = Entry { state: State::Retired, since: ago(hours), pod: "kafka-9".into(), ..entry(2) };
        registered(seen(), &[(1003, entry)])
    };
    let at = |hours: i64, cluster: ClusterSeen| Seen { cluster, ..retired(hours) };
    assert_eq!(refused(&terms(), &retired(7 * 24 - 1)).0, Code::IdRetired);
    assert_eq!(asks(&terms(), &at(7 * 24, ClusterSeen::NotAsked)), Question::Cluster);
    assert_eq!(refused(&terms(), &at(200, ClusterSeen::NoAnswer("no".into()))).0, Code::ClusterUnknown);
    assert_eq!(refused(&terms(), &at(200, ClusterSeen::Known(cluster(&[], &[1003])))).0, Code::IdRetired);
    assert_eq!(assigned(&terms(), &at(200, ClusterSeen::Known(cluster(&[], &[])))).id, BrokerId(1003));
}

#[test]
fn an_id_that_a_wrong_clock_retired_in_the_future_rests_from_now_and_not_from_then() {
    let entry = Entry { state: State::Retired, since: ago(-24 * 365), pod: "kafka-9".into(), ..entry(2) };
    let seen = registered(seen(), &[(1003, entry)]);
    let registry = seen.registry.clone().without_future(now());
    assert_eq!(registry.ids[&BrokerId(1003)].since, now());
    let later = Terms { now: now() + SignedDuration::from_hours(7 * 24), ..terms() };
    let known = ClusterSeen::Known(cluster(&[], &[]));
    assert_eq!(refused(&later, &Seen { cluster: known.clone(), ..seen.clone() }).0, Code::IdRetired, "as it stands");
    let corrected = Seen { cluster: known, registry, ..seen };
    assert_eq!(refused(&terms(), &corrected).0, Code::IdRetired);
    assert_eq!(assigned(&later, &corrected).id, BrokerId(1003));
}

#[test]
fn an_id_that_was_given_out_in_the_future_is_no_reason_to_take_an_empty_disk_for_a_new_one() {
    let entry = Entry { is_on_disk: false, since: ago(-2), ..entry(2) };
    let given = registered(seen(), &[(1003, entry)]);
    assert_eq!(given.registry.clone().without_future(now()), given.registry);
    assert_eq!(asks(&terms(), &Seen { cluster: ClusterSeen::NotAsked, ..given.clone() }), Question::Cluster);
    let listed = ClusterSeen::Known(cluster(&[], &[1003]));
    assert_eq!(refused(&terms(), &Seen { cluster: listed, ..given }).0, Code::DiskLost);
}

#[test]
fn an_empty_disk_that_its_broker_never_wrote_to_keeps_its_id() {
    let unwritten = |since: Timestamp, uid: &str, volume: Option<&str>| {
        let entry = Entry {
            is_on_disk: false,
            since,
            pod_uid: Some(uid.into()),
            volume: volume.map(str::to_owned),
            ..entry(2)
        };
        registered(seen(), &[(1003, entry)])
    };
    assert_eq!(assigned(&terms(), &unwritten(ago(0), "u2", Some("v2"))).id, BrokerId(1003));
    assert_eq!(assigned(&terms(), &unwritten(ago(0), "u1", Some("v2"))).id, BrokerId(1003), "the pod was made anew");
    assert_eq!(refused(&terms(), &unwritten(ago(0), "u2", Some("v9"))).0, Code::DiskLost, "another volume");
    // Long after it was given out, the disk may have been cleared since: the cluster is asked.
    assert_eq!(refused(&terms(), &unwritten(ago(2), "u2", Some("v2"))).0, Code::ClusterUnknown);
    let known = |listed: &[i32]| Seen {
        cluster: ClusterSeen::Known(cluster(&[], listed)),
        ..unwritten(ago(2), "u2", Some("v2"))
    };
    assert_eq!(refused(&terms(), &known(&[1003])).0, Code::DiskLost);
    assert_eq!(assigned(&terms(), &known(&[])).id, BrokerId(1003));
}

#[test]
fn a_disk_that_was_seen_and_is_empty_now_is_lost_though_pod_node_and_volume_are_the_same() {
    let seen = registered(seen(), &[(1003, entry(2))]);
    assert_eq!(refused(&terms(), &seen).0, Code::DiskLost);
}

#[test]
fn an_id_without_an_entry_that_the_cluster_lists_had_a_disk_before() {
    let seen = Seen { cluster: ClusterSeen::Known(cluster(&[1001], &[1003])), ..seen() };
    assert_eq!(refused(&terms(), &seen).0, Code::DiskLost);
}

#[test]
fn the_last_replica_is_the_only_one_in_sync_or_the_only_eligible_one() {
    let name = TopicName::new("orders").unwrap();
    let partition = |number: i32, isr: &[i32]| Partition {
        partition: number,
        leader: None,
        replicas: vec![BrokerId(1), BrokerId(2)],
        isr: isr.iter().copied().map(BrokerId).collect(),
        offline: Vec::new(),
    };
    let partitions = vec![partition(0, &[1, 2]), partition(1, &[1]), partition(2, &[]), partition(3, &[])];
    let topic = Topic { name: name.clone(), internal: false, id: None, partitions };
    let metadata =
        Metadata { cluster_id: CLUSTER.into(), topics: [(name.clone(), topic)].into(), ..Metadata::default() };
    let at = |partition: i32| TopicPartition { topic: name.clone(), partition };
    let eligible = BTreeMap::from([(at(2), vec![BrokerId(2)]), (at(3), vec![BrokerId(1), BrokerId(2)])]);
    let found = listed(&metadata, Some(&eligible));
    assert_eq!(found.last[&BrokerId(1)].named, [at(1)]);
    assert_eq!(found.last[&BrokerId(2)].named, [at(2)]);
    assert_eq!(found.replicas[&BrokerId(2)], 4);
    // Where brokers do not tell who is eligible, a partition without anybody in sync is lost with either.
    let unknown = listed(&metadata, None);
    assert_eq!(unknown.last[&BrokerId(1)].count, 3);
    assert_eq!(unknown.last[&BrokerId(2)].count, 2);
}

#[test]
fn a_first_start_that_is_repeated_without_uid_and_volume_is_allowed_where_the_cluster_lists_nothing_and_says_what_to_give_else()
 {
    let entry = Entry { is_on_disk: false, since: ago(0), pod_uid: None, volume: None, node: None, ..entry(2) };
    let again = |cluster: ClusterSeen| {
        let me = Me { pod: "kafka-2".into(), ..Me::default() };
        registered(Seen { me, claim: None, cluster, ..seen() }, &[(1003, entry.clone())])
    };
    assert_eq!(asks(&terms(), &again(ClusterSeen::NotAsked)), Question::Cluster);
    let decision = assigned(&terms(), &again(ClusterSeen::Known(cluster(&[1001], &[1001]))));
    assert_eq!((decision.id, decision.replaces), (BrokerId(1003), None));
    let listed = ClusterSeen::Known(cluster(&[1001], &[1003]));
    for unsafe_to_start in [listed, ClusterSeen::NotConfigured, ClusterSeen::NoAnswer("no".into())] {
        let (code, words) = refused(&terms(), &again(unsafe_to_start));
        assert_eq!(code, Code::DiskLost);
        assert!(words.contains("POD_UID") && words.contains("--claim"), "{words}");
    }
    // One that wrote to its disk is lost, whatever else is known.
    let written = registered(again(ClusterSeen::NotConfigured), &[(1003, Entry { is_on_disk: true, ..entry.clone() })]);
    assert!(refused(&terms(), &written).1.contains("had one before"));
}
