//! Whether a broker may stop: no partition may fall below its minimum ISR by it, and nothing else may be out of order.
//!
//! For each partition with a replica on the broker: the others of its ISR are at least `min.insync.replicas`, or it has no
//! more replicas than that anyway (unavoidable). One that is below already blocks, even where the broker is not in the ISR:
//! it is needed there. No partition of the cluster may be without a leader, all other brokers must be registered, and no
//! more moves may run than was said. What can't be known counts as not allowed.

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::broker::BrokerId;
use crate::cluster::in_sync::minimum_in_sync;
use crate::cluster::quorum::{NodeId, QuorumState};
use crate::cluster::topic::{Partition, Topic, TopicPartition};
use crate::commands::rollout::verdict::seen::Sample;
use crate::commands::rollout::verdict::{Blocker, ReasonCode, Terms, Verdict, Why, controller, listed};

/// What is looked at for each partition.
struct Ground<'a> {
    broker: BrokerId,
    sample: &'a Sample,
    live: BTreeSet<BrokerId>,
    eligible: BTreeMap<&'a TopicPartition, &'a [BrokerId]>,
    /// Whether the broker runs, as far as that is known.
    runs: bool,
}

/// Whether a broker may stop, by one look.
pub fn may_stop(broker: BrokerId, sample: &Sample, terms: &Terms) -> Verdict {
    let mut verdict = Verdict::default();
    let live = sample.live();
    let hosting = hosting(sample);
    if !live.contains(&broker) && !hosting.contains(&broker) && !terms.expected.contains(&broker) {
        let all = listed(&live);
        verdict.refuses(ReasonCode::NotKnown, format!("broker {broker} is not known: the cluster has {all}"));
        return verdict;
    }
    whole(&mut verdict, broker, sample, terms);
    others(&mut verdict, broker, &live, &hosting.union(&terms.expected).copied().collect(), terms);
    let eligible = sample.eligible.iter().map(|(key, who)| (key, &who[..])).collect();
    let runs = live.contains(&broker) || !terms.is_process_gone;
    let ground = Ground { broker, sample, live, eligible, runs };
    for topic in sample.view.topics.values() {
        for partition in &topic.partitions {
            judge(&mut verdict, &ground, topic, partition);
        }
    }
    conclude(&mut verdict, terms);
    let is_voter = |quorum: &&QuorumState| quorum.voter(NodeId::from(broker)).is_some();
    match sample.quorum.as_ref().filter(is_voter) {
        Some(quorum) => verdict.and(controller::may_stop(NodeId::from(broker), quorum)),
        None => verdict,
    }
}

/// What holds for the cluster as a whole.
fn whole(verdict: &mut Verdict, broker: BrokerId, sample: &Sample, terms: &Terms) {
    let is_listed = sample.live().contains(&broker);
    if sample.seen_by == broker {
        match sample.view.brokers.len() {
            0 | 1 => verdict.notes.push("no other broker is there to compare with".to_owned()),
            _ => verdict.waits(ReasonCode::OwnView, format!("no other broker could be asked about broker {broker}")),
        }
    }
    if !is_listed && !terms.is_process_gone {
        let text = format!("broker {broker} is not registered: it is down, starts, or recovers its log");
        verdict.waits(ReasonCode::NotRegistered, text);
    }
    if sample.quorum.as_ref().is_some_and(|quorum| quorum.leader.is_none()) {
        verdict.waits(ReasonCode::NoLeader, "the quorum of controllers has no leader");
    }
    let (running, most) = (sample.moves.len(), terms.moves_max);
    if running > most {
        let shown = listed(sample.moves.iter().map(|(partition, _)| partition));
        verdict.waits(ReasonCode::Moves, format!("{running} partition moves are running, at most {most} may: {shown}"));
    }
    if sample.controller() == Some(broker) {
        verdict.is_active = true;
        verdict.notes.push(format!("broker {broker} is the active controller: stop it last"));
    }
}

/// All brokers that have a replica.
fn hosting(sample: &Sample) -> BTreeSet<BrokerId> {
    let partitions = sample.view.topics.values().flat_map(|topic| &topic.partitions);
    let mut hosting = BTreeSet::new();
    for broker in partitions.flat_map(|partition| &partition.replicas) {
        // Nearly all are there already.
        if !hosting.contains(broker) {
            hosting.insert(*broker);
        }
    }
    hosting
}

fn others(
    verdict: &mut Verdict,
    broker: BrokerId,
    live: &BTreeSet<BrokerId>,
    expected: &BTreeSet<BrokerId>,
    terms: &Terms,
) {
    let is_out = |id: &&BrokerId| **id != broker && !live.contains(id) && !terms.ignored.contains(id);
    let out: Vec<_> = expected.iter().filter(is_out).collect();
    if !out.is_empty() {
        let text = format!("other brokers are not registered: {}", listed(out));
        verdict.waits(ReasonCode::OthersOut, text);
    }
}

/// What one partition says to it.
fn judge(verdict: &mut Verdict, ground: &Ground<'_>, topic: &Topic, partition: &Partition) {
    let Ground { broker, sample, live, .. } = ground;
    let is_hosted = partition.replicas.contains(broker);
    let is_led = partition.leader.is_some_and(|leader| live.contains(&leader));
    if is_led && !is_hosted {
        return;
    }
    let configured = sample.minimums.get(&topic.name).copied().unwrap_or(usize::MAX);
    let min_isr = minimum_in_sync(configured, partition.replicas.len());
    let blocker = |why| Blocker {
        topic: topic.name.clone(),
        partition: partition.partition,
        isr: partition.isr.clone(),
        min_isr,
        waits_for: Vec::new(),
        why,
    };
    if !is_led {
        let key = TopicPartition { topic: topic.name.clone(), partition: partition.partition };
        let eligible = ground.eligible.get(&key).filter(|_| partition.isr.is_empty());
        let electable = eligible.map_or_else(|| partition.isr.clone(), |who| who.to_vec());
        let is_only_here = !electable.is_empty() && electable.iter().all(|one| one == broker);
        let is_here = is_only_here && (partition.offline.contains(broker) || !ground.runs);
        let why = if is_here { Why::OfflineHere } else { Why::Offline };
        let blocker = Blocker { waits_for: electable, ..blocker(why) };
        return if is_here { verdict.suffers(blocker) } else { verdict.blocks(blocker) };
    }
    if !ground.runs {
        return;
    }
    let counts = |one: &&BrokerId| live.contains(one) && !partition.offline.contains(one);
    let in_sync = partition.isr.iter().filter(counts).count();
    let is_in_sync = partition.isr.contains(broker) && !partition.offline.contains(broker);
    let left = in_sync.saturating_sub(usize::from(is_in_sync && live.contains(broker)));
    if in_sync < min_isr {
        verdict.blocks(blocker(Why::IsBelow));
    } else if left >= min_isr {
        // Enough are left.
    } else if partition.replicas.len() == 1 {
        verdict.suffers(blocker(Why::OnlyReplica));
    } else if sample.minimums.get(&topic.name).is_some_and(|configured| partition.replicas.len() <= *configured) {
        verdict.suffers(blocker(Why::NoSpareReplica));
    } else {
        verdict.blocks(blocker(Why::WouldFallBelow));
    }
}

/// What the partitions come to.
fn conclude(verdict: &mut Verdict, terms: &Terms) {
    if verdict.blockers_count > 0 {
        let named = verdict.blockers.iter().map(|it| format!("{}-{}: {}", it.topic, it.partition, it.why));
        let count = match verdict.blockers_count {
            1 => "1 partition does".to_owned(),
            count => format!("{count} partitions do"),
        };
        let text = format!("{count} not allow it: {}", listed(named.take(3)));
        verdict.waits(ReasonCode::Partitions, text);
    }
    let is_refused = |it: &&Blocker| it.why == Why::OnlyReplica && !terms.accepted_topics.contains(&it.topic);
    let refused: Vec<_> = verdict.unavoidable.iter().filter(is_refused).collect();
    // Those that are not named may be of any topic.
    let is_cut = verdict.unavoidable_count > verdict.unavoidable.len();
    if terms.accepts_unavailable || (refused.is_empty() && !is_cut) {
        return;
    }
    let topics: BTreeSet<_> = refused.iter().map(|it| it.topic.to_string()).collect();
    let count = match verdict.unavoidable_count {
        1 => "1 partition has".to_owned(),
        count => format!("{count} partitions have"),
    };
    let text = format!(
        "{count} no other replica, and would be without a leader ({}); add replicas, or accept it with --accept-unavailable or \
         --accept-topic",
        listed(topics)
    );
    verdict.refuses(ReasonCode::Unavailable, text);
}
