//! Which moves are paced already by a `throttle run` that was told of them: (moves, what is throttled) in, those that may
//! not begin yet out.

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::assignment::PartitionMove;
use crate::cluster::broker::BrokerId;
use crate::cluster::throttle::{PresentList, PresentRate, PresentThrottles, Side, ThrottleEntry};
use crate::cluster::topic::{TopicName, TopicPartition};
use crate::commands::reassign::plan::seen::Observed;

/// Brokers and topics whose throttles have to be read for these moves.
pub fn concerned(moves: &[&PartitionMove]) -> (BTreeSet<BrokerId>, BTreeSet<TopicName>) {
    let brokers = moves.iter().flat_map(|one| one.from.iter().copied().chain(one.adding())).collect();
    (brokers, moves.iter().map(|one| one.partition.topic.clone()).collect())
}

/// The moves that would copy without a throttle, each with what is missing. A move is paced when its destinations are in the
/// follower list and its leader in the leader list, and each of these brokers has a rate on that side.
pub fn unpaced(
    moves: &[&PartitionMove],
    observed: &Observed,
    seen: &PresentThrottles,
) -> BTreeMap<TopicPartition, String> {
    let missing = |one: &&PartitionMove| Some((one.partition.clone(), missing(one, observed, seen)?));
    moves.iter().filter_map(missing).collect()
}

fn missing(one: &PartitionMove, observed: &Observed, seen: &PresentThrottles) -> Option<String> {
    let arriving = observed.arriving(one);
    if arriving.is_empty() {
        return None;
    }
    let leader = observed.partitions.get(&one.partition).and_then(|seen| seen.leader);
    let sides = leader.into_iter().map(|broker| (Side::Leader, broker));
    let needed = sides.chain(arriving.into_iter().map(|broker| (Side::Follower, broker)));
    needed.into_iter().find_map(|(side, broker)| missing_at(one, seen, (side, broker)))
}

fn missing_at(one: &PartitionMove, seen: &PresentThrottles, (side, broker): (Side, BrokerId)) -> Option<String> {
    let entry = ThrottleEntry { partition: one.partition.partition, broker };
    let is_listed = match seen.lists.get(&one.partition.topic).map(|sides| sides.of(side)) {
        Some(PresentList::Every) => true,
        Some(PresentList::Entries(entries)) => entries.contains(&entry),
        Some(PresentList::Unset | PresentList::Hidden) | None => false,
    };
    if !is_listed {
        return Some(format!("{entry} is not in the {side} list of topic {}", one.partition.topic));
    }
    match seen.rates.get(&broker).map(|sides| sides.of(side)) {
        Some(PresentRate::Unset) | None => Some(format!("broker {broker} has no {side} rate")),
        Some(PresentRate::Set(_) | PresentRate::Inherited(_) | PresentRate::Hidden) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::size::ByteRate;
    use crate::cluster::throttle::Sides;
    use crate::commands::reassign::plan::seen::SeenPartition;

    fn world() -> (PartitionMove, Observed, PresentThrottles) {
        let partition = TopicPartition { topic: TopicName::new("orders").unwrap(), partition: 0 };
        let one = PartitionMove {
            partition: partition.clone(),
            from: vec![BrokerId(1), BrokerId(2)],
            to: vec![BrokerId(3), BrokerId(2)],
            bytes: 1,
        };
        let mut observed = Observed::default();
        let there = SeenPartition { replicas: one.from.clone(), isr: one.from.clone(), leader: Some(BrokerId(1)) };
        observed.partitions.insert(partition, there);
        let entries = |entry: &str| PresentList::Entries([entry.parse().unwrap()].into());
        let mut seen = PresentThrottles::default();
        seen.lists.insert(one.partition.topic.clone(), Sides { leader: entries("0:1"), follower: entries("0:3") });
        let rate = PresentRate::Set(ByteRate(5));
        seen.rates.insert(BrokerId(1), Sides { leader: rate, follower: PresentRate::Unset });
        seen.rates.insert(BrokerId(3), Sides { leader: PresentRate::Unset, follower: rate });
        (one, observed, seen)
    }

    #[test]
    fn a_move_is_paced_once_its_ends_are_listed_and_have_rates() {
        let (one, observed, seen) = world();
        assert!(unpaced(&[&one], &observed, &seen).is_empty());
    }

    #[test]
    fn what_is_missing_is_named_and_nothing_missing_is_overlooked() {
        let (one, observed, seen) = world();
        let why = |seen: &PresentThrottles| unpaced(&[&one], &observed, seen).into_values().next();
        let mut unlisted = seen.clone();
        unlisted.lists.clear();
        assert_eq!(why(&unlisted).unwrap(), "0:1 is not in the leader list of topic orders");
        let mut unrated = seen.clone();
        unrated.rates.remove(&BrokerId(3));
        assert_eq!(why(&unrated).unwrap(), "broker 3 has no follower rate");
        let mut hidden = seen.clone();
        hidden.lists.get_mut(&one.partition.topic).unwrap().follower = PresentList::Hidden;
        assert!(why(&hidden).is_some(), "what can't be read is not taken for a throttle");
        let mut every = seen;
        every.lists.get_mut(&one.partition.topic).unwrap().leader = PresentList::Every;
        assert_eq!(why(&every), None);
    }
}
