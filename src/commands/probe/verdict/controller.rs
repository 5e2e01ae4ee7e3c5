//! Whether a KRaft controller is ready: it leads the raft quorum or follows its leader, and the quorum's voters have its id
//! with its directory id. A controller that joins is an observer, and not ready.

use serde::Serialize;
use uuid::Uuid;

use crate::cluster::broker::BrokerId;
use crate::cluster::voters::{QuorumReplica, QuorumView};
use crate::commands::probe::verdict::{State, Verdict};

/// A voter that has not fetched for so long does not follow: the leader itself gives up without a majority of fetches after
/// `controller.quorum.fetch.timeout.ms` (2 s) and a half.
const FETCHED_WITHIN_MS: i64 = 5_000;

/// Which controller it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Own {
    /// Its node id.
    pub node: BrokerId,
    /// The id of its metadata directory, where that is known.
    pub directory: Option<Uuid>,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "seen", content = "what")]
pub enum Seen {
    /// The controller can't be reached, or gave no answer.
    NoAnswer(String),
    /// The controller answers and knows no leader.
    NoLeader,
    /// The controller answers; the leader that it names does not.
    LeaderSilent {
        /// The leader.
        leader: BrokerId,
        /// Why.
        why: String,
    },
    /// What the leader says of the quorum, and its time in milliseconds since 1970, as far as ours is right.
    Quorum {
        /// The quorum.
        view: QuorumView,
        /// Now.
        now_ms: i64,
    },
    /// It could not be found out.
    Unknown(String),
}

/// Whether the controller is ready.
pub fn ready(own: &Own, seen: &Seen) -> Verdict {
    let node = own.node;
    match seen {
        Seen::NoAnswer(why) => Verdict::new(State::NotReady, why.clone()),
        Seen::NoLeader => {
            Verdict::new(State::NotReady, format!("controller {node} answers, but the quorum has no leader now"))
        }
        Seen::LeaderSilent { leader, why } => Verdict::new(
            State::NotReady,
            format!("controller {node} answers, but whether leader {leader} counts it as a voter can't be seen: {why}"),
        ),
        Seen::Unknown(why) => Verdict::new(State::Unknown, why.clone()),
        Seen::Quorum { view, now_ms } => in_quorum(own, view, *now_ms),
    }
}

fn in_quorum(own: &Own, view: &QuorumView, now_ms: i64) -> Verdict {
    let node = own.node;
    let Some(leader) = view.leader else {
        return Verdict::new(State::NotReady, format!("controller {node} answers, but the quorum has no leader now"));
    };
    let voters: Vec<&QuorumReplica> = view.voters.iter().filter(|voter| voter.node == node).collect();
    if voters.is_empty() {
        let ids: Vec<_> = view.voters.iter().map(|voter| voter.node.to_string()).collect();
        return Verdict::new(
            State::NotReady,
            format!("controller {node} is no voter: the voters are {}. It joins, or was removed", ids.join(", ")),
        );
    }
    let is_static = voters.iter().all(|voter| voter.directory.is_none());
    let voter = voters.iter().find(|voter| is_static || voter.directory == own.directory);
    let Some(voter) = voter else {
        if own.directory.is_none() {
            let reason = "the quorum tells directories apart, and that of this controller is not known: give --log-dir";
            return Verdict::new(State::Unknown, format!("controller {node}: {reason}"));
        }
        return Verdict::new(
            State::NotReady,
            format!(
                "controller {node} is a voter with another directory id: its disk is new. Remove the old voter, then add \
                 this one"
            ),
        );
    };
    if leader == node {
        return Verdict::new(State::Ready, format!("controller {node} leads the quorum of {}", view.voters.len()));
    }
    match voter.fetched_ms.map(|at| now_ms.saturating_sub(at)) {
        Some(ago) if ago > FETCHED_WITHIN_MS => Verdict::new(
            State::NotReady,
            format!("controller {node} is a voter, but has not fetched from leader {leader} for {} s", ago / 1_000),
        ),
        _ => Verdict::new(State::Ready, format!("controller {node} follows leader {leader} and is a voter")),
    }
}
