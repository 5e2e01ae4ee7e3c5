//! What holds for every cluster.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::cluster::broker::BrokerId;
use crate::cluster::in_sync::minimum_in_sync;
use crate::cluster::topic::Partition;
use crate::commands::rollout::verdict::broker::may_stop;
use crate::commands::rollout::verdict::seen::Sample;
use crate::commands::rollout::verdict::tests::scene::{ME, name, partition, sample};
use crate::commands::rollout::verdict::{Answer, Terms, Why};

fn any_partition() -> impl Strategy<Value = Partition> {
    let some = || proptest::collection::btree_set(1_i32..5, 1..5);
    (some(), some(), some(), 0_usize..4, any::<bool>()).prop_map(|(replicas, isr, offline, leads, is_led)| {
        let within = |set: &BTreeSet<i32>| set.intersection(&replicas).copied().collect::<Vec<_>>();
        let (isr, offline) = (within(&isr), within(&offline));
        let leader = isr.get(leads % isr.len().max(1)).copied().filter(|_| is_led).unwrap_or(-1);
        let replicas: Vec<_> = replicas.iter().copied().collect();
        let offline: Vec<_> = offline.into_iter().filter(|id| *id != leader && *id > 2).map(BrokerId).collect();
        Partition { offline, ..partition(leader, &replicas, &isr) }
    })
}

fn any_sample() -> impl Strategy<Value = (Sample, usize)> {
    let live = proptest::collection::btree_set(1_i32..5, 1..5);
    (live, 1_usize..4, proptest::collection::vec(any_partition(), 0..12)).prop_map(|(live, min_isr, partitions)| {
        (sample(&live.into_iter().collect::<Vec<_>>(), min_isr, partitions), min_isr)
    })
}

/// How many replicas are in sync and live.
fn in_sync(sample: &Sample, partition: &Partition, without: Option<BrokerId>) -> usize {
    let counts = |id: &&BrokerId| {
        sample.view.brokers.contains_key(id) && !partition.offline.contains(id) && without != Some(**id)
    };
    partition.isr.iter().filter(counts).count()
}

proptest! {
    /// Whatever may stop leaves each partition at its minimum, but those that are named as unavoidable.
    #[test]
    fn no_partition_falls_below_its_minimum_that_was_not_and_is_not_named((sample, min_isr) in any_sample()) {
        let terms = Terms { accepts_unavailable: true, ..Terms::default() };
        let verdict = may_stop(ME, &sample, &terms);
        prop_assume!(verdict.may_stop());
        for partition in &sample.view.topics[&name("t")].partitions {
            let minimum = minimum_in_sync(min_isr, partition.replicas.len());
            let named = verdict.unavoidable.iter().any(|it| it.partition == partition.partition);
            let falls = in_sync(&sample, partition, None) >= minimum && in_sync(&sample, partition, Some(ME)) < minimum;
            prop_assert!(named || !falls, "{:?}", partition);
            prop_assert!(named || partition.leader.is_some(), "{:?}", partition);
        }
    }

    /// Only where there is no further replica a partition is called unavoidable: waiting would not help.
    #[test]
    fn what_is_unavoidable_is_so_however_long_one_waits((sample, min_isr) in any_sample()) {
        let verdict = may_stop(ME, &sample, &Terms::default());
        for it in &verdict.unavoidable {
            let partition = &sample.view.topics[&name("t")].partitions[usize::try_from(it.partition).unwrap()];
            prop_assert!(partition.replicas.contains(&ME));
            match it.why {
                Why::OnlyReplica => prop_assert_eq!(partition.replicas.len(), 1),
                Why::NoSpareReplica => prop_assert!(partition.replicas.len() <= min_isr),
                Why::OfflineHere => prop_assert!(partition.leader.is_none_or(|id| !sample.view.brokers.contains_key(&id))),
                other => prop_assert!(false, "{other:?} is not unavoidable"),
            }
        }
    }

    /// Less is never safer: a replica that falls out of sync never turns a "no" into a "may stop".
    #[test]
    fn a_replica_that_falls_out_of_sync_never_allows_a_stop(
        (sample, _) in any_sample(),
        which in 0_usize..12,
        who in 2_i32..5,
    ) {
        let before = may_stop(ME, &sample, &Terms::default());
        let mut worse = sample.clone();
        let topic = worse.view.topics.get_mut(&name("t")).unwrap();
        let Some(partition) = topic.partitions.get_mut(which) else { return Ok(()) };
        prop_assume!(partition.leader != Some(BrokerId(who)));
        partition.isr.retain(|id| id.0 != who);
        let after = may_stop(ME, &worse, &Terms::default());
        // A partition without a leader whose last other candidate goes is lost to the broker alone.
        prop_assume!(!after.unavoidable.iter().any(|it| it.why == Why::OfflineHere));
        prop_assert!(before.answer != Answer::Wait || after.answer != Answer::MayStop, "{:?} -> {:?}", before, after);
    }
}
