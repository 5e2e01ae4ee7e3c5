//! Leadership that goes back: who is elected, who is not waited for, and when the limit has passed.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use crate::cluster::broker::BrokerId;
use crate::cluster::metadata::Reassignment;
use crate::cluster::topic::{Partition, TopicPartition};
use crate::commands::rollout::plan::leaders::{Due, ELECTED_EVERY, Leadership, advice, away, words};
use crate::commands::rollout::verdict::seen::Sample;
use crate::commands::rollout::verdict::tests::scene::{ids, name, partition, sample};

const LIMIT: Duration = Duration::from_mins(2);

fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
}

/// The partitions that are away, of all brokers.
fn numbers(sample: &Sample, of: Option<&[i32]>) -> Vec<i32> {
    let of = of.map(|of| of.iter().copied().map(BrokerId).collect::<BTreeSet<_>>());
    away(sample, of.as_ref()).into_iter().map(|it| it.partition.partition).collect()
}

#[test]
fn a_restarted_broker_is_to_lead_what_it_is_preferred_for_and_nothing_else() {
    let partitions = vec![
        partition(2, &[1, 2, 3], &[2, 3, 1]),
        partition(1, &[1, 2, 3], &[1, 2, 3]),
        partition(3, &[2, 3, 1], &[1, 2, 3]),
        partition(-1, &[1, 2, 3], &[1]),
    ];
    let sample = sample(&[1, 2, 3], 2, partitions);
    assert_eq!(numbers(&sample, Some(&[1])), [0, 3]);
    assert_eq!(numbers(&sample, Some(&[1, 2])), [0, 2, 3]);
    assert_eq!(numbers(&sample, Some(&[])), [0; 0]);
    assert_eq!(numbers(&sample, None), [0, 2, 3]);
    let words = words(&away(&sample, None));
    assert_eq!(
        words,
        "3 partitions are not led by their preferred leaders, which could lead: t-0 (broker 1), t-2 (broker 2), t-3 \
         (broker 1)"
    );
    assert!(advice(&away(&sample, None)).contains("reassign elect --brokers 1,2"));
}

#[test]
fn a_preferred_leader_that_cannot_lead_is_not_waited_for() {
    let elsewhere = || partition(2, &[1, 2, 3], &[1, 2, 3]);
    let only = |live: &[i32], partition: Partition| sample(live, 2, vec![partition]);
    assert_eq!(numbers(&only(&[1, 2, 3], elsewhere()), None), [0]);
    let out_of_isr = partition(2, &[1, 2, 3], &[2, 3]);
    assert_eq!(numbers(&only(&[1, 2, 3], out_of_isr), None), [0; 0]);
    assert_eq!(numbers(&only(&[2, 3], elsewhere()), None), [0; 0], "it is away");
    let offline = Partition { offline: ids(&[1]), ..elsewhere() };
    assert_eq!(numbers(&only(&[1, 2, 3], offline), None), [0; 0], "its disk is");
    let mut fenced = only(&[1, 2, 3], elsewhere());
    fenced.fenced = Some([BrokerId(1)].into());
    assert_eq!(numbers(&fenced, None), [0; 0]);
    let mut moving = only(&[1, 2, 3], elsewhere());
    let moved = TopicPartition { topic: name("t"), partition: 0 };
    moving.moves.push((moved, Reassignment { replicas: ids(&[1, 2, 3]), adding: vec![], removing: ids(&[1]) }));
    assert_eq!(numbers(&moving, None), [0; 0], "it is being reassigned");
}

#[test]
fn an_election_is_tried_again_each_ten_seconds_until_the_limit_pauses_the_roll() {
    let mut leadership = Leadership::default();
    let mut look = |is_away, seconds| leadership.look(is_away, at(seconds), LIMIT);
    assert_eq!(look(false, 0), Due::Back);
    assert_eq!((look(true, 10), look(true, 11), look(true, 19)), (Due::Elect, Due::Wait, Due::Wait));
    assert_eq!((look(true, 20), look(true, 129)), (Due::Elect, Due::Elect));
    assert_eq!(look(true, 130), Due::TooLong);
    assert_eq!(look(false, 131), Due::Back);
    assert_eq!(look(true, 200), Due::Elect, "it begins anew");
    assert_eq!(Leadership::default().look(true, at(0), Duration::ZERO), Due::Elect, "it is tried once at least");
}

proptest! {
    /// However looks come, it ends: by the limit at the latest, and with few elections.
    #[test]
    fn leadership_that_never_comes_back_ends_in_a_pause(gaps in proptest::collection::vec(1_i64..40, 200..260)) {
        let (mut leadership, mut now, mut elections) = (Leadership::default(), 0, 0);
        for gap in gaps {
            match leadership.look(true, at(now), LIMIT) {
                Due::Elect => elections += 1,
                Due::Wait => {}
                Due::TooLong => {
                    prop_assert!(now >= 120, "{now}");
                    break;
                }
                Due::Back => prop_assert!(false, "nothing came back"),
            }
            prop_assert!(now < 120, "it is not over after {now} s");
            now += gap;
        }
        prop_assert!((1..=120 / i64::try_from(ELECTED_EVERY.as_secs()).unwrap()).contains(&elections), "{elections}");
    }

    /// Whoever is waited for can be elected: live, in sync, not moving, and not the leader already.
    #[test]
    fn whoever_is_waited_for_could_lead(isr in proptest::collection::btree_set(1_i32..4, 0..4), leader in -1_i32..4, is_live in any::<bool>()) {
        prop_assume!(leader != 0);
        let isr: Vec<_> = isr.into_iter().collect();
        let live: &[i32] = if is_live { &[1, 2, 3] } else { &[2, 3] };
        let sample = sample(live, 1, vec![partition(leader, &[1, 2, 3], &isr)]);
        prop_assert_eq!(!away(&sample, None).is_empty(), is_live && isr.contains(&1) && leader != 1);
    }
}
