//! Whether a KRaft controller is ready: it leads the raft quorum or follows its leader, and the quorum's voters have its id
//! with its directory id. A controller that joins is an observer, and not ready.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::cluster::quorum::{DirectoryId, NodeId, QuorumReplica, QuorumState};
use crate::commands::probe::verdict::{State, Verdict};

/// A voter that has not fetched for so long does not follow: the leader itself gives up without a majority of fetches after
/// `controller.quorum.fetch.timeout.ms` (2 s) and a half.
const FETCHED_WITHIN: SignedDuration = SignedDuration::from_secs(5);

/// Most records that a voter may be behind where its leader shows no times.
const LAG_MAX: i64 = 1_000;

/// Which controller it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Own {
    /// Its node id.
    pub node: NodeId,
    /// The id of its metadata directory, where that is known.
    pub directory: Option<DirectoryId>,
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
        leader: NodeId,
        /// Why.
        why: String,
    },
    /// What the leader says of the quorum.
    Quorum {
        /// The quorum.
        view: QuorumState,
        /// Our present time, for a leader that says none of its own.
        now: Timestamp,
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
        Seen::Quorum { view, now } => in_quorum(own, view, *now),
    }
}

fn in_quorum(own: &Own, view: &QuorumState, now: Timestamp) -> Verdict {
    let node = own.node;
    let Some(leader) = view.leader else {
        return Verdict::new(State::NotReady, format!("controller {node} answers, but the quorum has no leader now"));
    };
    let voters: Vec<&QuorumReplica> = view.voters.iter().filter(|voter| voter.key.id == node).collect();
    if voters.is_empty() {
        let ids: Vec<_> = view.voters.iter().map(|voter| voter.key.id.to_string()).collect();
        return Verdict::new(
            State::NotReady,
            format!("controller {node} is no voter: the voters are {}. It joins, or was removed", ids.join(", ")),
        );
    }
    let is_static = voters.iter().all(|voter| voter.key.directory.is_none());
    let voter = voters.iter().find(|voter| is_static || voter.key.directory == own.directory);
    let Some(voter) = voter else {
        if own.directory.is_none() {
            let reason =
                "the quorum distinguishes directories, and that of this controller is not known: give --log-dir";
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
    follows(voter, leader, view, now)
}

/// Whether a voter that does not lead fetches from the leader.
fn follows(voter: &QuorumReplica, leader: NodeId, view: &QuorumState, now: Timestamp) -> Verdict {
    let node = voter.key.id;
    let ready = |how: &str| {
        Verdict::new(State::Ready, format!("controller {node} follows leader {leader} and is a voter{how}"))
    };
    let not_ready = |why: String| Verdict::new(State::NotReady, format!("controller {node} is a voter, but {why}"));
    // The leader says of itself that it fetched just now: its own clock, where it says so, else ours.
    let leaders_time = view.voter(leader).and_then(|leader| leader.last_fetch).unwrap_or(now);
    if let Some(at) = voter.last_fetch {
        let ago = leaders_time.duration_since(at);
        return if ago > FETCHED_WITHIN {
            not_ready(format!("has not fetched from leader {leader} for {} s", ago.as_secs()))
        } else {
            ready("")
        };
    }
    // Leaders before Kafka 3.5 show no times at all: there is only how far it is.
    let is_timeless = view.voters.iter().all(|voter| voter.last_fetch.is_none());
    match view.lag(voter).filter(|_| is_timeless) {
        Some(lag) if lag <= LAG_MAX => ready(&format!(", {lag} records behind")),
        Some(lag) => not_ready(format!("is {lag} records behind leader {leader}")),
        None => not_ready(format!("has not fetched from leader {leader} yet")),
    }
}
