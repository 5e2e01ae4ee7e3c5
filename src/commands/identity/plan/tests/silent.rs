//! A cluster that does not answer, and one whose ids are counted from another number than the map's.

use super::*;

/// What a first start of this pod sees after others: entries of the last hour, whose disks were never seen.
fn young(number: usize) -> Entry {
    Entry { is_on_disk: false, since: ago(0), ..entry(number) }
}

fn first_free() -> Terms {
    Terms { allocation: Allocation::FirstFree, ..terms() }
}

#[test]
fn brokers_of_a_new_cluster_get_their_ids_though_nobody_answers() {
    assert_eq!(assigned(&terms(), &seen()).id, BrokerId(1003));
    let others = registered(seen(), &[(1001, young(0)), (1002, young(1))]);
    assert_eq!(assigned(&terms(), &others).id, BrokerId(1003), "all start at once");
    assert_eq!(assigned(&first_free(), &others).id, BrokerId(1003));
}

#[test]
fn an_id_without_an_entry_is_not_given_out_while_a_cluster_that_ran_before_is_silent() {
    let retired = Entry { state: State::Retired, ..entry(0) };
    let old = Entry { since: ago(2), ..young(0) };
    let future = Entry { since: ago(-2), ..young(0) };
    for (entry, why) in [
        (entry(0), "pod kafka-0 has a disk with id 1001"),
        (retired, "id 1001 was retired"),
        (old, "pod kafka-0 has had id 1001 since 2026-11-29T10:00:00Z"),
        (future, "pod kafka-0 has had id 1001 since"),
    ] {
        let seen = registered(seen(), &[(1001, entry)]);
        for terms in [terms(), first_free()] {
            let (code, words) = refused(&terms, &seen);
            assert_eq!(code, Code::ClusterUnknown);
            assert!(words.contains(why) && words.contains("(connection refused)"), "{words}");
            assert!(words.contains("Start the other brokers first") && words.contains("--new-cluster"), "{words}");
            let told = Terms { is_new_cluster: true, ..terms };
            assert!(decide(&told, &seen).is_ok(), "a person says that there are no data: {why}");
        }
        let unconfigured = Seen { cluster: ClusterSeen::NotConfigured, ..seen.clone() };
        assert!(decide(&terms(), &unconfigured).is_ok(), "nobody wants the cluster to be asked: {why}");
        let answers = Seen { cluster: ClusterSeen::Known(replaced::cluster(&[1001], &[1001])), ..seen };
        assert_eq!(assigned(&terms(), &answers).id, BrokerId(1003));
    }
    let mut disks = seen();
    disks.registry.ids.insert(BrokerId(1001), young(0));
    disks.registry.retire_disk(
        BrokerId(1001),
        now(),
        &crate::commands::identity::plan::registry::Place { volume: None, node: None },
    );
    assert_eq!(refused(&terms(), &disks).0, Code::ClusterUnknown);
}

#[test]
fn a_pod_that_runs_without_an_entry_shows_that_the_registry_was_lost() {
    let empty = Seen { traces: Traces::NotLookedFor, ..seen() };
    assert_eq!(asks(&terms(), &empty), Question::Traces);
    let unasked = Seen { cluster: ClusterSeen::NotAsked, ..empty };
    assert_eq!(asks(&terms(), &unasked), Question::Traces, "before the cluster, which takes long not to answer");
    assert_eq!(asks(&terms(), &Seen { traces: Traces::Nothing, ..unasked }), Question::Cluster);
    let lost = |cluster: ClusterSeen| Seen { traces: Traces::Found("pod kafka-0 runs".into()), cluster, ..seen() };
    for silent in [ClusterSeen::NoAnswer("no".into()), ClusterSeen::NotConfigured] {
        let (code, words) = refused(&terms(), &lost(silent));
        assert_eq!(code, Code::ClusterUnknown);
        assert!(words.contains("it ran before: pod kafka-0 runs"), "{words}");
    }
    let answers = lost(ClusterSeen::Known(replaced::cluster(&[1001], &[1001])));
    assert_eq!(assigned(&terms(), &answers).id, BrokerId(1003));
}

#[test]
fn a_new_cluster_is_asked_all_the_same_where_it_answers() {
    let told = Terms { is_new_cluster: true, ..terms() };
    let unasked = Seen { cluster: ClusterSeen::NotAsked, traces: Traces::NotLookedFor, ..seen() };
    assert_eq!(asks(&told, &unasked), Question::Cluster);
    let listed = Seen { cluster: ClusterSeen::Known(replaced::cluster(&[1001], &[1003])), ..seen() };
    assert_eq!(refused(&told, &listed).0, Code::DiskLost);
    let own = registered(seen(), &[(1003, Entry { since: ago(5), ..young(2) })]);
    assert_eq!(refused(&terms(), &own).0, Code::ClusterUnknown);
    assert_eq!(assigned(&told, &own).id, BrokerId(1003));
}

#[test]
fn a_range_that_is_counted_from_another_number_than_the_brokers_of_the_cluster_gives_out_no_id() {
    let pools = |ids: std::ops::RangeInclusive<i32>| Terms {
        ids: ids.clone().map(BrokerId).collect(),
        mapped: Some(ids.chain(101..=103).map(BrokerId).collect()),
        ..terms()
    };
    let at =
        |live: &[i32], listed: &[i32]| Seen { cluster: ClusterSeen::Known(replaced::cluster(live, listed)), ..seen() };
    let is_refused = |ids: std::ops::RangeInclusive<i32>, listed: &[i32]| {
        let both = [Allocation::Ordinal, Allocation::FirstFree].map(|allocation| {
            let terms = Terms { allocation, ..pools(ids.clone()) };
            let decided = decide(&terms, &at(listed, listed));
            matches!(decided, Err(Halt::Refused(refusal)) if refusal.code == Code::IdRange)
        });
        assert_eq!(both[0], both[1], "{ids:?} and {listed:?}");
        both[0]
    };
    assert!(is_refused(1..=3, &[0, 1, 2]), "from 0, and not from 1");
    assert!(is_refused(0..=2, &[1, 3]), "from 1, and not from 0");
    assert!(is_refused(1001..=1003, &[1, 2, 3]), "without an offset");
    assert!(!is_refused(1..=3, &[1, 2]));
    assert!(!is_refused(1..=3, &[1, 2, 101]), "that of another map");
    assert!(!is_refused(1..=3, &[1, 2, 2001]), "far away");
    assert!(!is_refused(1..=3, &[]));
    let (_, words) = refused(&pools(1..=3), &at(&[0, 1, 2], &[]));
    assert!(
        words.starts_with("E_ID_RANGE: the cluster has brokers 0, which no map has, and map map1 gives out 1-3"),
        "{words}"
    );
    let given = Terms { allocation: Allocation::Given(BrokerId(3)), ..pools(1..=3) };
    assert_eq!(assigned(&given, &at(&[0, 1, 2], &[])).id, BrokerId(3), "an id that was named is believed");
    let unknown = Terms { mapped: None, ..pools(1..=3) };
    assert_eq!(assigned(&unknown, &at(&[0, 1, 2], &[])).id, BrokerId(3), "with --ids nobody knows the other maps");
}
