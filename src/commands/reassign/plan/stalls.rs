//! Moves that do not get on, and why.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::cluster::assignment::PartitionMove;
use crate::cluster::broker::BrokerId;
use crate::cluster::size::{ByteRate, Bytes};
use crate::cluster::topic::TopicPartition;
use crate::commands::reassign::plan::progress::{OpenMove, Progress};
use crate::commands::reassign::plan::seen::Observed;

/// Why moves stand still.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// A broker that they copy to is down.
    BrokerDown(BrokerId),
    /// A log dir of a broker that they copy to is out of order or full.
    Disk(BrokerId, String),
    /// No replica leads.
    Offline,
    /// All data is there, but another replica of the target is down or lags (KAFKA-19975).
    WaitsForReplica(BrokerId),
    /// Producers write faster than the throttle lets through.
    ThrottleTooLow(ByteRate),
    /// Nothing that can be seen from here.
    Unknown,
}

impl Reason {
    /// What is the matter, and what to do.
    pub fn words(&self) -> String {
        match self {
            Self::BrokerDown(broker) => format!(
                "broker {broker} is down: start it, or take the moves back with `toolbox reassign cancel --brokers {broker}`"
            ),
            Self::Disk(broker, why) => format!(
                "broker {broker}: {why}: make room there, or take the moves back with `toolbox reassign cancel --brokers {broker}`"
            ),
            Self::Offline => "no replica leads that could be copied from: start a broker that is in sync".to_owned(),
            Self::WaitsForReplica(broker) => {
                format!(
                    "the new copies are complete, but Kafka waits for replica {broker}, which is not in sync: start that broker"
                )
            }
            Self::ThrottleTooLow(rate) => {
                format!("producers write as fast as the throttle of {rate} lets through: give it more with --throttle")
            }
            Self::Unknown => {
                "nothing is copied; look into the logs of the brokers it comes from and goes to".to_owned()
            }
        }
    }
}

/// The memory of what got on when.
#[derive(Debug, Clone, Default)]
pub struct Watched {
    moves: BTreeMap<TopicPartition, Standing>,
}

#[derive(Debug, Clone, Default)]
struct Standing {
    open: OpenMove,
    since: Duration,
}

impl Watched {
    /// Sees how far moves are at a time since the beginning. Growth of the leader's copy alone is no progress: what counts
    /// is the distance that is left.
    pub fn see(&mut self, at: Duration, progress: &Progress) {
        self.moves.retain(|partition, _| progress.open.contains_key(partition));
        for (partition, open) in &progress.open {
            let standing =
                self.moves.entry(partition.clone()).or_insert_with(|| Standing { open: open.clone(), since: at });
            if left(open) < left(&standing.open) || open.held.len() != standing.open.held.len() {
                *standing = Standing { open: open.clone(), since: at };
            }
        }
    }

    /// Moves that stand still: at once where the reason can be seen, else after `patience`.
    pub fn stalled(
        &self,
        at: Duration,
        (moves, observed): (&[PartitionMove], &Observed),
        patience: Duration,
        throttle: Option<ByteRate>,
    ) -> BTreeMap<Reason, Vec<TopicPartition>> {
        let mut stalled: BTreeMap<Reason, Vec<TopicPartition>> = BTreeMap::new();
        for one in moves {
            let Some(standing) = self.moves.get(&one.partition) else { continue };
            let is_late = at.saturating_sub(standing.since) >= patience;
            if let Some(reason) = reason(one, observed, standing, (is_late, throttle)) {
                stalled.entry(reason).or_default().push(one.partition.clone());
            }
        }
        stalled
    }
}

fn left(open: &OpenMove) -> u64 {
    open.held.values().map(|held| open.size.saturating_sub(*held)).sum()
}

/// Why a move stands still; it is late once it had time enough.
fn reason(
    one: &PartitionMove,
    observed: &Observed,
    standing: &Standing,
    (is_late, throttle): (bool, Option<ByteRate>),
) -> Option<Reason> {
    let running = observed.running.get(&one.partition)?;
    let seen = observed.partitions.get(&one.partition)?;
    let is_down = |broker: &&BrokerId| !observed.brokers.contains(broker);
    if let Some(down) = running.adding.iter().find(is_down) {
        return Some(Reason::BrokerDown(*down));
    }
    if seen.leader.is_none() {
        return Some(Reason::Offline);
    }
    // A copy that is shown lies in a log dir that works, whatever happened to the others.
    let is_shown = |broker: &BrokerId| observed.held_by(&one.partition, *broker).is_some();
    let lacking = running.adding.iter().filter(|broker| !seen.isr.contains(broker) && !is_shown(broker));
    let fault_of = |broker: &BrokerId| Some((*broker, observed.sizes.disks.get(broker)?.fault()?));
    if let Some((broker, fault)) = lacking.into_iter().find_map(fault_of) {
        return Some(Reason::Disk(broker, fault));
    }
    if running.adding.iter().all(|broker| seen.isr.contains(broker)) {
        let waited_for = one.to.iter().find(|broker| !seen.isr.contains(broker));
        let waited_for = waited_for.filter(|broker| is_down(broker) || is_late);
        return waited_for.map(|broker| Reason::WaitsForReplica(*broker));
    }
    if !is_late {
        return None;
    }
    let full = |broker: &&BrokerId| {
        let disk = observed.sizes.disks.get(broker);
        disk.is_some_and(|disk| disk.is_full(observed.log_dir_of(&one.partition, **broker)))
    };
    if let Some(broker) = running.adding.iter().find(full) {
        return Some(Reason::Disk(*broker, format!("{} are free", Bytes(0))));
    }
    let copied = observed.size_of(one) > standing.open.size;
    match throttle {
        Some(rate) if copied => Some(Reason::ThrottleTooLow(rate)),
        _ => Some(Reason::Unknown),
    }
}
