//! Where new replicas go.

use proptest::prelude::*;

use super::cluster::{cluster, ids};
use crate::cluster::broker::{Broker, BrokerId};
use crate::commands::topics::observe::Observed;
use crate::commands::topics::plan::placement::{Load, place, racks};

fn placed(observed: &Observed, existing: &[&[BrokerId]], size: (usize, usize)) -> Vec<Vec<BrokerId>> {
    let brokers: Vec<&Broker> = observed.metadata.brokers.values().collect();
    place(&brokers, existing, size, &mut Load::of(&observed.metadata))
}

#[test]
fn leaders_take_turns_and_replicas_stand_in_different_racks() {
    let placed = placed(&cluster("1@a 2@a 3@b 4@b"), &[], (4, 2));
    assert_eq!(placed, [ids(&[1, 3]), ids(&[2, 4]), ids(&[3, 1]), ids(&[4, 2])]);
}

#[test]
fn the_partitions_of_one_leader_have_different_seconds() {
    let placed = placed(&cluster("1 2 3"), &[], (6, 3));
    assert_eq!(placed[0], ids(&[1, 2, 3]));
    assert_eq!(placed[3], ids(&[1, 3, 2]));
}

#[test]
fn new_partitions_lean_to_the_brokers_that_have_least() {
    let observed = cluster("1 2 3").topic("old", &[&[1, 2], &[1, 2], &[1, 2]], &[]);
    assert_eq!(placed(&observed, &[], (1, 1)), [ids(&[3])]);
    let mine = [ids(&[1, 2]), ids(&[2, 1])];
    let existing: Vec<&[BrokerId]> = mine.iter().map(Vec::as_slice).collect();
    assert_eq!(placed(&observed, &existing, (1, 2)), [ids(&[3, 1])]);
}

proptest! {
    #[test]
    fn every_placement_is_legal_even_and_spans_the_racks(
        racks_of in prop::collection::vec(0_usize..4, 1..12),
        count in 1_usize..40,
        factor in 1_usize..5,
    ) {
        let words: Vec<_> = (1..).zip(&racks_of).map(|(id, rack)| format!("{id}@r{rack}")).collect();
        let observed = cluster(&words.join(" "));
        let factor = factor.min(racks_of.len());
        let placed = placed(&observed, &[], (count, factor));
        let all_racks = racks_of.iter().collect::<std::collections::BTreeSet<_>>().len();
        let mut leaders = vec![0_usize; racks_of.len()];
        for replicas in &placed {
            let distinct: std::collections::BTreeSet<_> = replicas.iter().collect();
            prop_assert_eq!(distinct.len(), factor, "no two replicas on one broker");
            prop_assert_eq!(racks(replicas, &observed.metadata.brokers), factor.min(all_racks));
            leaders[usize::try_from(replicas[0].0 - 1).unwrap()] += 1;
        }
        let (most, least) = (leaders.iter().max().unwrap(), leaders.iter().min().unwrap());
        prop_assert!(most - least <= 1, "leaders {leaders:?}");
    }

    #[test]
    fn in_racks_of_one_size_every_broker_carries_about_the_same(
        racks in 1_usize..5, each in 1_usize..4, rounds in 1_usize..4, factor in 1_usize..4,
    ) {
        let words: Vec<_> = (0..racks * each).map(|index| format!("{}@r{}", index + 1, index % racks)).collect();
        let observed = cluster(&words.join(" "));
        let brokers = racks * each;
        let factor = factor.min(brokers);
        let placed = placed(&observed, &[], (brokers * rounds, factor));
        let mut carried = vec![0_usize; brokers];
        for broker in placed.iter().flatten() {
            carried[usize::try_from(broker.0 - 1).unwrap()] += 1;
        }
        let (most, least) = (carried.iter().max().unwrap(), carried.iter().min().unwrap());
        prop_assert!(most - least <= 2, "replicas {carried:?}");
    }
}
