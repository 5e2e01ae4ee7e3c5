//! What the control law of `throttle` is told about these moves, where `--throttle auto` asks it for the rates.
//!
//! The load is what Prometheus or Datadog measured, as for `throttle run`. Where nobody measures it, what grows on disk
//! between two looks is what was written and copied. What consumers read is not seen that way, so that less of the network
//! is filled than with real measurements.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::cluster::assignment::PartitionMove;
use crate::cluster::broker::BrokerId;
use crate::cluster::readings::{BROKERS, Readings};
use crate::cluster::size::{ByteRate, Bytes};
use crate::cluster::throttle::Sides;
use crate::cluster::topic::TopicPartition;
use crate::commands::reassign::plan::seen::{Observed, Sizes, State};
use crate::commands::throttle::plan::look::Known;
use crate::commands::throttle::plan::snapshot::{Moving, Snapshot};

/// Two looks at the disks.
#[derive(Debug, Clone, Copy)]
pub struct Growth<'a> {
    /// The first.
    pub before: &'a Sizes,
    /// The second.
    pub after: &'a Sizes,
    /// The time between them; more than none.
    pub over: Duration,
    /// Moves that were done at the first: what their replicas grow by is no copying any more.
    pub done: &'a BTreeSet<TopicPartition>,
}

impl Growth<'_> {
    fn rate(&self, before: u64, after: u64) -> u64 {
        let millis = self.over.as_millis().max(1);
        u64::try_from(u128::from(after.saturating_sub(before)) * 1000 / millis).unwrap_or(u64::MAX)
    }

    /// What one replica grows by in a second; nothing where its broker was not asked both times.
    fn of_replica(&self, partition: &TopicPartition, broker: BrokerId) -> u64 {
        if !self.before.totals.contains_key(&broker) {
            return 0;
        }
        let held = |sizes: &Sizes| sizes.held.get(partition).and_then(|held| held.get(&broker)).map(|held| held.bytes);
        let after = held(self.after).unwrap_or(0);
        self.rate(held(self.before).unwrap_or(0).min(after), after)
    }

    /// What everything on one broker grows by in a second; none where it was not asked both times.
    fn of_broker(&self, broker: BrokerId) -> Option<u64> {
        Some(self.rate(*self.before.totals.get(&broker)?, *self.after.totals.get(&broker)?))
    }
}

/// What the law is told: the moves that run or are about to, and the brokers that take part. Readings of the brokers
/// themselves are taken from the growth.
pub fn snapshot(
    (moves, observed): (&[PartitionMove], &Observed),
    begun: &BTreeSet<TopicPartition>,
    growth: Option<Growth<'_>>,
    (readings, known, now): (&Readings, &Known, Timestamp),
) -> Snapshot {
    let mut moving = Vec::new();
    let copied = copied(moves, observed, growth);
    for one in moves.iter().filter(|one| begun.contains(&one.partition) || observed.state(one) == State::Running) {
        let Some(seen) = observed.partitions.get(&one.partition) else { continue };
        let size = observed.size_of(one);
        let adding = observed.arriving(one);
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
    let own = own_readings(observed, growth, &copied, now);
    let readings = if readings.source == BROKERS { &own } else { readings };
    let brokers = observed.brokers.iter().map(|broker| {
        let copying = copied.get(broker).copied().unwrap_or_default();
        (*broker, known.load(*broker, readings, copying))
    });
    Snapshot { moving, brokers: brokers.collect() }
}

/// What the moves copy, those too that began and ended between the looks: what they brought is no client's.
fn copied(
    moves: &[PartitionMove],
    observed: &Observed,
    growth: Option<Growth<'_>>,
) -> BTreeMap<BrokerId, Sides<ByteRate>> {
    let mut copied = BTreeMap::<BrokerId, Sides<u64>>::new();
    let Some(growth) = growth else { return BTreeMap::new() };
    for one in moves.iter().filter(|one| !growth.done.contains(&one.partition)) {
        let Some(seen) = observed.partitions.get(&one.partition) else { continue };
        for broker in one.adding() {
            let rate = growth.of_replica(&one.partition, broker);
            copied.entry(broker).or_default().follower += rate;
            // One that leads by now had it from a former replica, as a rule the first.
            let sender = seen.leader.filter(|leader| *leader != broker).or(one.from.first().copied());
            if let Some(sender) = sender {
                copied.entry(sender).or_default().leader += rate;
            }
        }
    }
    let rates = |sides: Sides<u64>| Sides { leader: ByteRate(sides.leader), follower: ByteRate(sides.follower) };
    copied.into_iter().map(|(broker, sides)| (broker, rates(sides))).collect()
}

/// The load as the growth shows it.
fn own_readings(
    observed: &Observed,
    growth: Option<Growth<'_>>,
    copied: &BTreeMap<BrokerId, Sides<ByteRate>>,
    now: Timestamp,
) -> Readings {
    let used = observed.brokers.iter().filter_map(|broker| {
        let copying = copied.get(broker).copied().unwrap_or_default();
        let received = growth?.of_broker(*broker)?;
        // What is received and is no copying is taken for what is sent to others as well.
        let sent = received.saturating_sub(copying.follower.0).saturating_add(copying.leader.0);
        Some((*broker, Sides { leader: Some((ByteRate(sent), now)), follower: Some((ByteRate(received), now)) }))
    });
    Readings { source: BROKERS, used: used.collect(), ..Readings::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::overrides::Overrides;
    use crate::cluster::topic::TopicName;
    use crate::commands::reassign::plan::seen::{Held, SeenPartition};
    use crate::commands::throttle::plan::law;
    use crate::commands::throttle::plan::limits::Limits;

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
        let done = BTreeSet::new();
        let growth = Growth { before: &before, after: &after, over: Duration::from_secs(10), done: &done };
        let known = Known { capacity: Some(ByteRate(100_000_000)), ..Known::default() };
        let now = "2026-11-22T20:00:00Z".parse().unwrap();
        let begun = BTreeSet::from([partition]);
        let told = |readings: &Readings| snapshot((&moves, &observed), &begun, Some(growth), (readings, &known, now));
        let rate_of = |told: &Snapshot, source: &str| {
            let limits = Limits::default().for_source(source);
            let (decision, _) = law::plan(now, &limits, told, &Overrides::default(), &law::State::default());
            decision.throttles.rates[&BrokerId(3)].follower.unwrap()
        };
        // Consumers take 70 MB/s of broker 1: its replicas' growth does not show it, its network does.
        let measured = |sent: u64| {
            let side = |rate: u64| Some((ByteRate(rate), now));
            let quiet = Sides { leader: side(5_000_000), follower: side(5_000_000) };
            let used = [(1, Sides { leader: side(sent), ..quiet }), (2, quiet), (3, quiet)];
            let used = used.map(|(broker, sides)| (BrokerId(broker), sides)).into();
            Readings { source: "prometheus", used, ..Readings::default() }
        };
        let (busy, idle) =
            (rate_of(&told(&measured(75_000_000)), "prometheus"), rate_of(&told(&measured(5_000_000)), "prometheus"));
        // First rates are a quarter of what is left.
        assert!(busy < ByteRate(4_000_000) && idle > ByteRate(15_000_000), "busy {busy}, idle {idle}");
        let told = told(&Readings { source: BROKERS, ..Readings::default() });
        let [moving] = &told.moving[..] else { panic!("one move") };
        assert_eq!((moving.writes, moving.followers_in_sync), (ByteRate(2_000_000), 1));
        assert_eq!(moving.adding, [(BrokerId(3), Bytes(970_000_000))]);
        assert_eq!(told.brokers[&BrokerId(3)].moving.follower, ByteRate(3_000_000));
        assert_eq!(told.brokers[&BrokerId(1)].used.unwrap().leader, ByteRate(5_000_000));
        let rate = rate_of(&told, BROKERS);
        assert!(rate > ByteRate(2_400_000) && rate <= ByteRate(60_000_000), "{rate}");
    }

    /// Partition 0 came to broker 3 since the former look, 40 MB in 10 s; partition 1 was there before, and is written to.
    #[test]
    fn a_move_that_ended_since_the_former_look_is_not_taken_for_clients() {
        let at = |partition| TopicPartition { topic: TopicName::new("t").unwrap(), partition };
        let ids = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect::<Vec<_>>();
        let sizes = |held: &[(i32, i32, u64)]| {
            let totals = [1, 2, 3].map(|broker| (BrokerId(broker), 0)).into();
            let mut sizes = Sizes { totals, ..Sizes::default() };
            for (partition, broker, mb) in held {
                let bytes = mb * 1_000_000;
                let held = sizes.held.entry(at(*partition)).or_default();
                held.insert(BrokerId(*broker), Held { bytes, offset_lag: 0 });
                *sizes.totals.entry(BrokerId(*broker)).or_default() += bytes;
            }
            sizes
        };
        let before = sizes(&[(0, 1, 40), (0, 2, 40), (1, 1, 60), (1, 3, 60)]);
        let after = sizes(&[(0, 1, 40), (0, 3, 40), (1, 1, 80), (1, 3, 80)]);
        let moves = [0, 1].map(|number| PartitionMove {
            partition: at(number),
            from: ids(&[1, 2]),
            to: ids(&[1, 3]),
            bytes: 0,
        });
        let seen = SeenPartition { leader: Some(BrokerId(1)), replicas: ids(&[1, 3]), isr: ids(&[1, 3]) };
        let observed = Observed {
            brokers: ids(&[1, 2, 3]).into_iter().collect(),
            partitions: [0, 1].map(|number| (at(number), seen.clone())).into(),
            sizes: after.clone(),
            ..Observed::default()
        };
        let done = BTreeSet::from([at(1)]);
        let growth = Growth { before: &before, after: &after, over: Duration::from_secs(10), done: &done };
        let (known, now) = (Known::default(), "2026-11-22T20:00:00Z".parse().unwrap());
        let readings = Readings { source: BROKERS, ..Readings::default() };
        let told = snapshot((&moves, &observed), &BTreeSet::new(), Some(growth), (&readings, &known, now));
        let load = &told.brokers[&BrokerId(3)];
        assert_eq!(load.used.unwrap().follower, ByteRate(6_000_000));
        assert_eq!(load.moving.follower, ByteRate(4_000_000), "the rest is written by producers");
        assert_eq!(told.brokers[&BrokerId(1)].moving.leader, ByteRate(4_000_000));
    }

    /// Clients write 7 MB/s to both brokers for five minutes; looks of 5 s, as an execution has them; 20 MB/s of network.
    #[test]
    fn the_rate_is_at_the_ceiling_two_minutes_after_clients_have_ended() {
        const MB: u64 = 1_000_000;
        let partition = TopicPartition { topic: TopicName::new("t").unwrap(), partition: 0 };
        let ids = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect::<Vec<_>>();
        let moves = [PartitionMove { partition: partition.clone(), from: ids(&[1]), to: ids(&[3]), bytes: 0 }];
        let seen = SeenPartition { leader: Some(BrokerId(1)), replicas: ids(&[3, 1]), isr: ids(&[1]) };
        let (begun, done) = (BTreeSet::from([partition.clone()]), BTreeSet::new());
        let known = Known { capacity: Some(ByteRate(20 * MB)), ..Known::default() };
        let readings = Readings { source: BROKERS, ..Readings::default() };
        let limits = Limits::default().at_every(Duration::from_secs(5)).for_source(BROKERS);
        let sizes = |copied: u64, of_clients: u64| Sizes {
            held: BTreeMap::from([(
                partition.clone(),
                [(1, 90_000 * MB), (3, copied)]
                    .map(|(broker, bytes)| (BrokerId(broker), Held { bytes, offset_lag: 0 }))
                    .into(),
            )]),
            totals: [(1, 90_000 * MB + of_clients), (3, copied + of_clients)]
                .map(|(broker, bytes)| (BrokerId(broker), bytes))
                .into(),
            ..Sizes::default()
        };
        let (mut copied, mut of_clients, mut rate) = (0, 0, 0);
        let (mut state, mut before) = (law::State::default(), sizes(0, 0));
        for second in (5..=420).step_by(5) {
            copied += rate * 5;
            of_clients += if second <= 300 { 7 * MB * 5 } else { 0 };
            let after = sizes(copied, of_clients);
            let over = Duration::from_secs(5);
            let growth = Growth { before: &before, after: &after, over, done: &done };
            let observed = Observed {
                brokers: ids(&[1, 3]).into_iter().collect(),
                partitions: BTreeMap::from([(partition.clone(), seen.clone())]),
                sizes: after.clone(),
                ..Observed::default()
            };
            let now = Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(second);
            let told = snapshot((&moves, &observed), &begun, Some(growth), (&readings, &known, now));
            let (decision, next) = law::plan(now, &limits, &told, &Overrides::default(), &state);
            (state, before) = (next, after);
            rate = decision.throttles.rates[&BrokerId(3)].follower.unwrap().0;
            assert!(second > 300 || rate <= 5 * MB, "{rate} B/s at {second} s");
        }
        assert_eq!(rate, 12 * MB);
    }
}
