//! Whether a KRaft controller may stop: the others that are caught up must be a majority of all voters.

use jiff::SignedDuration;

use crate::cluster::quorum::{NodeId, QuorumReplica, QuorumState};
use crate::commands::rollout::verdict::{ReasonCode, Verdict, listed};

/// A voter that was at the end of the leader's log within this time is caught up: a follower fetches every half second, and
/// gives its leader up after `controller.quorum.fetch.timeout.ms` (2 s).
const CAUGHT_UP_WITHIN: SignedDuration = SignedDuration::from_secs(5);

/// Whether a controller may stop, by one look at the quorum. Of one or two voters any may: they have no majority without it,
/// however long one waits; that is noted.
pub fn may_stop(node: NodeId, quorum: &QuorumState) -> Verdict {
    let mut verdict = Verdict { is_active: quorum.leader == Some(node), ..Verdict::default() };
    let Some(leader) = quorum.leader else {
        verdict.waits(ReasonCode::NoLeader, "the quorum of controllers has no leader");
        return verdict;
    };
    if quorum.voter(node).is_none() {
        let is_observer = quorum.observers.iter().any(|observer| observer.key.id == node);
        if is_observer {
            verdict.notes.push(format!("controller {node} has no vote"));
        } else {
            let voters = listed(quorum.voters.iter().map(|voter| voter.key.id));
            verdict.refuses(ReasonCode::NotKnown, format!("controller {node} is not known: the voters are {voters}"));
        }
        return verdict;
    }
    if verdict.is_active {
        verdict.notes.push(format!("controller {node} is the active one: stop it last"));
    }
    let others: Vec<_> = quorum.voters.iter().filter(|voter| voter.key.id != node).collect();
    let behind: Vec<_> =
        others.iter().filter(|voter| !is_caught_up(voter, leader, quorum)).map(|voter| voter.key.id).collect();
    let (count, caught_up) = (quorum.voters.len(), others.len() - behind.len());
    let needed = count / 2 + 1;
    match count {
        1 | 2 if behind.is_empty() => {
            verdict.notes.push(format!("of {count} voters, the quorum has no majority while controller {node} is out"));
        }
        _ if caught_up < needed => {
            let text = format!(
                "without controller {node}, {caught_up} of {count} voters are caught up, {needed} are needed; behind: {}",
                listed(&behind)
            );
            verdict.waits(ReasonCode::NoMajority, text);
        }
        _ => {}
    }
    verdict
}

/// Whether a voter has what its leader has. Times are compared with the leader's own, so that our clock does not matter;
/// before Kafka 3.5 there are none, and offsets are compared.
pub fn is_caught_up(voter: &QuorumReplica, leader: NodeId, quorum: &QuorumState) -> bool {
    if voter.key.id == leader {
        return true;
    }
    let present = quorum.voter(leader).and_then(|leader| leader.last_caught_up);
    match (present, voter.last_caught_up) {
        (Some(present), Some(at)) => present.duration_since(at) <= CAUGHT_UP_WITHIN,
        (Some(_), None) => false,
        (None, _) => voter.log_end_offset.is_some_and(|end| quorum.high_watermark >= 0 && end >= quorum.high_watermark),
    }
}
