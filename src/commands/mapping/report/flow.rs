//! What a plan copies: between which brokers, how much each one sends and receives, and how long that takes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::cluster::assignment::PartitionMove;
use crate::cluster::broker::BrokerId;
use crate::cluster::size::ByteRate;
use crate::commands::mapping::observe::Observed;

/// Replicas that go from one broker to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Flow {
    /// The broker that gives them up; none for replicas that are added without one leaving.
    #[schemars(with = "Option<i32>")]
    pub from: Option<BrokerId>,
    /// The broker that gets them; none for replicas that are given up without one coming.
    #[schemars(with = "Option<i32>")]
    pub to: Option<BrokerId>,
    /// How many replicas.
    pub replicas: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// Replicas by the broker that gives them up and the one that gets them, those with most bytes first.
pub fn flows<'m>(moves: impl IntoIterator<Item = &'m PartitionMove>, observed: &Observed) -> Vec<Flow> {
    let mut sums: BTreeMap<(Option<BrokerId>, Option<BrokerId>), (usize, u64)> = BTreeMap::new();
    for one in moves {
        for (from, to) in pairs(one, observed) {
            let sum = sums.entry((from, to)).or_default();
            sum.0 += 1;
            sum.1 = sum.1.saturating_add(one.bytes);
        }
    }
    let flow = |((from, to), (replicas, bytes))| Flow { from, to, replicas, bytes };
    let mut flows: Vec<_> = sums.into_iter().map(flow).collect();
    flows.sort_by_key(|flow| (std::cmp::Reverse(flow.bytes), flow.from, flow.to));
    flows
}

/// Who takes over from whom: the one that stands in the same place of the list, else one of the same rack, else any.
fn pairs(one: &PartitionMove, observed: &Observed) -> Vec<(Option<BrokerId>, Option<BrokerId>)> {
    let (mut leaving, mut coming): (Vec<_>, Vec<_>) = (one.removing().collect(), one.adding().collect());
    let mut pairs = Vec::new();
    let rack = |id: BrokerId| observed.brokers.get(&id).and_then(|broker| broker.rack.as_ref());
    let in_place = |from: BrokerId, to: BrokerId| one.from.iter().zip(&one.to).any(|pair| pair == (&from, &to));
    let in_rack = |from: BrokerId, to: BrokerId| rack(from).is_some() && rack(from) == rack(to);
    let rules: [&dyn Fn(BrokerId, BrokerId) -> bool; 3] = [&in_place, &in_rack, &|_, _| true];
    for rule in rules {
        leaving.retain(|from| {
            let found = coming.iter().position(|to| rule(*from, *to));
            if let Some(found) = found {
                pairs.push((Some(*from), Some(coming.remove(found))));
            }
            found.is_none()
        });
    }
    pairs.extend(coming.into_iter().map(|to| (None, Some(to))));
    pairs.extend(leaving.into_iter().map(|from| (Some(from), None)));
    pairs
}

/// What one broker sends and receives: new replicas are copied from the leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct Traffic {
    /// Bytes that it sends as leader of partitions that get new replicas.
    pub sends: u64,
    /// Bytes that it receives as new replica.
    pub receives: u64,
}

/// What each broker that takes part sends and receives.
pub fn traffic<'m>(
    moves: impl IntoIterator<Item = &'m PartitionMove>,
    observed: &Observed,
) -> BTreeMap<BrokerId, Traffic> {
    let mut traffic: BTreeMap<BrokerId, Traffic> = BTreeMap::new();
    for one in moves {
        let partition = usize::try_from(one.partition.partition).ok().and_then(|number| {
            let topic = observed.topics.get(&one.partition.topic)?;
            topic.partitions.get(number)
        });
        let leader = partition.and_then(|partition| partition.leader);
        for broker in one.adding() {
            let receives = &mut traffic.entry(broker).or_default().receives;
            *receives = receives.saturating_add(one.bytes);
        }
        if let Some(leader) = leader.filter(|_| one.bytes_copied() > 0) {
            let sends = &mut traffic.entry(leader).or_default().sends;
            *sends = sends.saturating_add(one.bytes_copied());
        }
    }
    traffic
}

/// Seconds that the copying takes where each broker sends and receives at most so much: the busiest one decides.
pub fn seconds(traffic: &BTreeMap<BrokerId, Traffic>, throttle: ByteRate) -> Option<u64> {
    let busiest = traffic.values().map(|one| one.sends.max(one.receives)).max()?;
    (throttle.0 > 0).then(|| busiest.div_ceil(throttle.0))
}
