//! What the control law of `throttle` is told about these moves, where `--throttle auto` asks it for the rates.
//!
//! Nothing but the brokers is asked: what grows on disk between two looks is what was written and copied. What consumers
//! read is not seen, so that less of the network is filled than with real measurements.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::cluster::assignment::PartitionMove;
use crate::cluster::broker::BrokerId;
use crate::cluster::size::{ByteRate, Bytes};
use crate::cluster::throttle::Sides;
use crate::cluster::topic::TopicPartition;
use crate::commands::reassign::plan::seen::{Observed, Sizes, State};
use crate::commands::throttle::plan::limits::Limits;
use crate::commands::throttle::plan::snapshot::{Load, Moving, Snapshot};

/// The part of the network that is filled: reads of consumers are not seen.
const FILL: f64 = 0.6;

/// The settings of the law.
pub fn limits() -> Limits {
    Limits { fill: FILL, ..Limits::default() }
}

/// Two looks at the disks.
#[derive(Debug, Clone, Copy)]
pub struct Growth<'a> {
    /// The first.
    pub before: &'a Sizes,
    /// The second.
    pub after: &'a Sizes,
    /// The time between them; more than none.
    pub over: Duration,
}

impl Growth<'_> {
    fn rate(&self, before: u64, after: u64) -> u64 {
        let millis = self.over.as_millis().max(1);
        u64::try_from(u128::from(after.saturating_sub(before)) * 1000 / millis).unwrap_or(u64::MAX)
    }

    /// What one replica grows by in a second.
    fn of_replica(&self, partition: &TopicPartition, broker: BrokerId) -> u64 {
        let held = |sizes: &Sizes| sizes.held.get(partition).and_then(|held| held.get(&broker)).map(|held| held.bytes);
        let after = held(self.after).unwrap_or(0);
        self.rate(held(self.before).unwrap_or(0).min(after), after)
    }

    /// What everything on one broker grows by in a second; none where it was not asked both times.
    fn of_broker(&self, broker: BrokerId) -> Option<u64> {
        Some(self.rate(*self.before.totals.get(&broker)?, *self.after.totals.get(&broker)?))
    }
}

/// What the law is told: the moves that run or are about to, and the brokers that take part.
pub fn snapshot(
    (moves, observed): (&[PartitionMove], &Observed),
    begun: &BTreeSet<TopicPartition>,
    growth: Option<Growth<'_>>,
    (capacities, now): (&BTreeMap<BrokerId, ByteRate>, Timestamp),
) -> Snapshot {
    let mut moving = Vec::new();
    let mut copied: BTreeMap<BrokerId, Sides<u64>> = BTreeMap::new();
    for one in moves.iter().filter(|one| begun.contains(&one.partition) || observed.state(one) == State::Running) {
        let Some(seen) = observed.partitions.get(&one.partition) else { continue };
        let size = observed.size_of(one);
        let adding = observed.arriving(one);
        for broker in &adding {
            let rate = growth.map_or(0, |growth| growth.of_replica(&one.partition, *broker));
            copied.entry(*broker).or_default().follower += rate;
            if let Some(leader) = seen.leader {
                copied.entry(leader).or_default().leader += rate;
            }
        }
        let lacks = |broker: &BrokerId| {
            let held = observed.held_by(&one.partition, *broker).map_or(0, |held| held.bytes);
            (*broker, Bytes(size.saturating_sub(held)))
        };
        let writes = seen.leader.zip(growth).map_or(0, |(leader, growth)| growth.of_replica(&one.partition, leader));
        moving.push(Moving {
            partition: one.partition.clone(),
            leader: seen.leader,
            sources: one.from.clone(),
            followers_in_sync: u32::try_from(seen.isr.len().saturating_sub(1)).unwrap_or(u32::MAX),
            adding: adding.iter().map(lacks).collect(),
            writes: ByteRate(writes),
        });
    }
    moving.sort_by(|one, two| one.partition.cmp(&two.partition));
    let brokers = observed.brokers.iter().map(|broker| {
        let copying = copied.get(broker).copied().unwrap_or_default();
        let received = growth.and_then(|growth| growth.of_broker(*broker));
        // What is received and is no copying is taken for what is sent to others as well.
        let used = received.map(|received| Sides {
            leader: ByteRate(received.saturating_sub(copying.follower).saturating_add(copying.leader)),
            follower: ByteRate(received),
        });
        let capacity = capacities.get(broker).map(|rate| Sides { leader: *rate, follower: *rate });
        let moving = Sides { leader: ByteRate(copying.leader), follower: ByteRate(copying.follower) };
        (*broker, Load { capacity, used, at: used.map(|_| now), moving, unwell: None })
    });
    Snapshot { moving, brokers: brokers.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::overrides::Overrides;
    use crate::cluster::topic::TopicName;
    use crate::commands::reassign::plan::seen::{Held, SeenPartition};
    use crate::commands::throttle::plan::law;

    /// 2 MB/s of writes, a copy of 1 GB that has grown by 30 MB in 10 s; 100 MB/s of network.
    #[test]
    fn the_law_is_told_what_grows_and_gives_a_rate_with_which_the_move_ends() {
        let partition = TopicPartition { topic: TopicName::new("t").unwrap(), partition: 0 };
        let ids = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect::<Vec<_>>();
        let sizes = |whole: u64, part: u64| Sizes {
            held: BTreeMap::from([(
                partition.clone(),
                [(1, whole), (2, whole), (3, part)]
                    .map(|(broker, bytes)| (BrokerId(broker), Held { bytes, offset_lag: 0 }))
                    .into(),
            )]),
            totals: [(1, whole), (2, whole), (3, part)].map(|(broker, bytes)| (BrokerId(broker), bytes)).into(),
            ..Sizes::default()
        };
        let (before, after) = (sizes(980_000_000, 0), sizes(1_000_000_000, 30_000_000));
        let moves = [PartitionMove { partition: partition.clone(), from: ids(&[1, 2]), to: ids(&[1, 3]), bytes: 0 }];
        let seen = SeenPartition { leader: Some(BrokerId(1)), replicas: ids(&[1, 3, 2]), isr: ids(&[1, 2]) };
        let observed = Observed {
            brokers: ids(&[1, 2, 3]).into_iter().collect(),
            partitions: BTreeMap::from([(partition.clone(), seen)]),
            sizes: after.clone(),
            ..Observed::default()
        };
        let growth = Growth { before: &before, after: &after, over: Duration::from_secs(10) };
        let capacities = ids(&[1, 2, 3]).into_iter().map(|broker| (broker, ByteRate(100_000_000))).collect();
        let now = "2026-11-22T20:00:00Z".parse().unwrap();
        let told = snapshot((&moves, &observed), &BTreeSet::from([partition]), Some(growth), (&capacities, now));
        let [moving] = &told.moving[..] else { panic!("one move") };
        assert_eq!((moving.writes, moving.followers_in_sync), (ByteRate(2_000_000), 1));
        assert_eq!(moving.adding, [(BrokerId(3), Bytes(970_000_000))]);
        assert_eq!(told.brokers[&BrokerId(3)].moving.follower, ByteRate(3_000_000));
        assert_eq!(told.brokers[&BrokerId(1)].used.unwrap().leader, ByteRate(5_000_000));
        let (decision, _) = law::plan(now, &limits(), &told, &Overrides::default(), &law::State::default());
        let rate = decision.throttles.rates[&BrokerId(3)].follower.unwrap();
        assert!(rate > ByteRate(2_400_000) && rate <= ByteRate(60_000_000), "{rate}");
    }
}
