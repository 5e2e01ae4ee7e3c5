//! Whether a change of voters is committed. A leader shows new voters as soon as it has written them, and they may be lost with it
//! until a majority has them.

use crate::cluster::ensemble::controllers::QuorumOp;
use crate::cluster::quorum::QuorumState;
use crate::commands::ensemble::plan::kraft::seen::voters_of;

/// How far a change is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The voters are those before it.
    Before,
    /// The voters are those after it, and it is not known yet whether a majority has that.
    Written,
    /// It is committed.
    Committed,
    /// The voters are others than before and after it.
    Conflict,
}

/// Follows one change from look to look.
#[derive(Debug, Clone, Default)]
pub struct Follower {
    /// The leader's epoch in which the new voters were seen first, and the end of its log then.
    seen: Option<(i32, i64)>,
}

impl Follower {
    /// Judges one more look.
    pub fn look(&mut self, op: &QuorumOp, quorum: &QuorumState) -> Progress {
        let voters = voters_of(quorum);
        if voters != op.after {
            self.seen = None;
            return if voters == op.before { Progress::Before } else { Progress::Conflict };
        }
        let Some(end) = end_of_log(quorum) else { return Progress::Written };
        let (epoch, end) = match self.seen {
            // Another leader may have another log: what it has is counted anew.
            Some((epoch, end)) if epoch == quorum.leader_epoch => (epoch, end),
            _ => (quorum.leader_epoch, end),
        };
        self.seen = Some((epoch, end));
        if quorum.high_watermark >= end { Progress::Committed } else { Progress::Written }
    }
}

/// The end of the leader's log; a leader that removes itself is no voter any more.
fn end_of_log(quorum: &QuorumState) -> Option<i64> {
    let leader = quorum.leader?;
    quorum.voters.iter().chain(&quorum.observers).find(|replica| replica.key.id == leader)?.log_end_offset
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::cluster::ensemble::controllers::{QuorumChangeKind, Voter, Voters};
    use crate::cluster::quorum::{DirectoryId, NodeId, QuorumReplica, ReplicaKey};

    fn voter(node: i32) -> Voter {
        let directory = DirectoryId::of(Uuid::from_u128(u128::from(node.unsigned_abs()))).unwrap();
        Voter { node: NodeId(node), directory }
    }

    fn quorum(leader: i32, epoch: i32, end: i64, high_watermark: i64, voters: &[i32]) -> QuorumState {
        let replica = |node: &i32| QuorumReplica {
            key: ReplicaKey::from(voter(*node)),
            log_end_offset: Some(end),
            last_fetch: None,
            last_caught_up: None,
        };
        QuorumState {
            leader: (leader > 0).then_some(NodeId(leader)),
            leader_epoch: epoch,
            high_watermark,
            voters: voters.iter().map(replica).collect(),
            ..QuorumState::default()
        }
    }

    fn op() -> QuorumOp {
        let voters = |nodes: &[i32]| nodes.iter().map(|node| voter(*node)).collect::<Voters>();
        QuorumOp {
            id: "op".to_owned(),
            kind: QuorumChangeKind::Add,
            target: voter(4),
            before: voters(&[1, 2, 3]),
            after: voters(&[1, 2, 3, 4]),
            started_at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn new_voters_count_once_the_high_watermark_reached_the_end_of_the_log_that_showed_them() {
        let (op, mut follower) = (op(), Follower::default());
        assert_eq!(follower.look(&op, &quorum(1, 5, 10, 10, &[1, 2, 3])), Progress::Before);
        assert_eq!(follower.look(&op, &quorum(1, 5, 12, 11, &[1, 2, 3, 4])), Progress::Written);
        assert_eq!(follower.look(&op, &quorum(1, 5, 20, 11, &[1, 2, 3, 4])), Progress::Written);
        assert_eq!(follower.look(&op, &quorum(1, 5, 20, 12, &[1, 2, 3, 4])), Progress::Committed);
    }

    #[test]
    fn another_leader_is_counted_anew_and_may_have_lost_the_change() {
        let (op, mut follower) = (op(), Follower::default());
        assert_eq!(follower.look(&op, &quorum(1, 5, 12, 11, &[1, 2, 3, 4])), Progress::Written);
        assert_eq!(follower.look(&op, &quorum(2, 6, 30, 12, &[1, 2, 3, 4])), Progress::Written);
        assert_eq!(follower.look(&op, &quorum(2, 6, 30, 30, &[1, 2, 3, 4])), Progress::Committed);
        assert_eq!(follower.look(&op, &quorum(0, 7, 30, 30, &[1, 2, 3, 4])), Progress::Written, "nobody leads");
        assert_eq!(follower.look(&op, &quorum(3, 8, 12, 12, &[1, 2, 3])), Progress::Before);
        assert_eq!(follower.look(&op, &quorum(3, 8, 12, 12, &[1, 2])), Progress::Conflict);
    }
}
