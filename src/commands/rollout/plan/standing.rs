//! How a server stands: whether it is out, behind, or all there.

use crate::cluster::broker::BrokerId;
use crate::cluster::ensemble::member::ServerId;
use crate::cluster::in_sync::{Beside, replicas_of};
use crate::cluster::quorum::{NodeId, QuorumState};
use crate::commands::ensemble::plan::seen::Seen;
use crate::commands::rollout::verdict::controller::is_caught_up;
use crate::commands::rollout::verdict::seen::Sample;

/// Partitions that are named.
const SHOWN_MAX: usize = 3;

/// How a server stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It runs, and lacks nothing.
    Complete,
    /// It runs, and lacks something.
    Behind(String),
    /// It does not run, or nobody knows it.
    Out(String),
}

/// How a broker stands in another one's view. `own` is what the broker itself says: whether it lists itself; an error where it
/// gave no answer.
pub fn of_broker(broker: BrokerId, sample: &Sample, own: Result<bool, &str>) -> Standing {
    if !sample.live().contains(&broker) {
        // Who was asked is another broker from look to look: with its id, each look would seem to show another state.
        tracing::debug!(%broker, by = %sample.seen_by, "a broker is not listed");
        return Standing::Out("the other brokers do not list it: it is down, starts, or recovers its log".to_owned());
    }
    match own {
        Err(why) => return Standing::Out(format!("it does not answer: {why}")),
        Ok(false) => {
            return Standing::Behind("it answers, and does not list itself: it starts, or is fenced".to_owned());
        }
        Ok(true) => {}
    }
    let beside = Beside {
        moves: Some(sample.moves.iter().cloned().collect()),
        eligible: sample.eligible.iter().cloned().collect(),
        ..Beside::default()
    };
    let replicas = replicas_of(broker, &sample.view, &beside);
    if replicas.is_complete() {
        return Standing::Complete;
    }
    let named: Vec<_> =
        replicas.named.iter().take(SHOWN_MAX).map(|(partition, why)| format!("{partition} {why}")).collect();
    let (missing, hosted) = (replicas.missing, replicas.hosted);
    Standing::Behind(format!("{missing} of {hosted} replicas are not in sync: {}", named.join(", ")))
}

/// How a controller stands.
pub fn of_controller(node: NodeId, quorum: &QuorumState) -> Standing {
    match (quorum.leader, quorum.voter(node)) {
        (None, _) => Standing::Behind("the quorum has no leader".to_owned()),
        (Some(_), None) => Standing::Out("it is no voter".to_owned()),
        (Some(leader), Some(voter)) if is_caught_up(voter, leader, quorum) => Standing::Complete,
        (Some(_), Some(_)) => Standing::Out("it does not fetch, or is behind".to_owned()),
    }
}

/// How a ZooKeeper server stands.
pub fn of_server(id: ServerId, seen: &Seen) -> Standing {
    let Some(view) = seen.servers.get(&id) else { return Standing::Out("no server knows it".to_owned()) };
    if view.answer.mode().is_none() {
        return Standing::Out("it does not serve".to_owned());
    }
    if seen.leader().is_none() {
        return Standing::Behind("the ensemble has no leader".to_owned());
    }
    if !seen.live().contains(&id) {
        return Standing::Behind("it is behind the leader".to_owned());
    }
    match (&view.config, &seen.quorum) {
        (Some(own), Some(live)) if own.version < live.version => {
            Standing::Behind(format!("it has configuration {}, {} is live", own.version, live.version))
        }
        (Some(_), Some(_)) => Standing::Complete,
        // It may have an older one than the others.
        _ => Standing::Behind("its configuration, or that of the ensemble, could not be read".to_owned()),
    }
}
