//! Every cell of the state table.

use crate::commands::ensemble::plan::table::{Advice, Row, Want, advice};

const WANTS: [Want; 6] = [Want::Voter, Want::Joining, Want::Leaving, Want::Retired, Want::Unknown, Want::Observer];

#[test]
fn every_cell_of_the_state_table_says_what_the_table_says() {
    use Advice as A;
    let table: [(Row, [Advice; 6]); 14] = [
        (
            Row::DownOutside,
            [A::WaitForServer, A::WaitForServer, A::MarkRetired, A::Nothing, A::Nothing, A::WaitForServer],
        ),
        (Row::DownVoter, [A::DropIfGone; 6]),
        (
            Row::DownObserver,
            [A::DropIfGone, A::DropIfGone, A::DropIfGone, A::DropIfGone, A::DropIfGone, A::WaitForServer],
        ),
        (Row::Looking, [A::WaitForQuorum, A::WaitForQuorum, A::WaitForQuorum, A::Alarm, A::Alarm, A::WaitForQuorum]),
        (
            Row::LookingOutside,
            [A::WaitForQuorum, A::WaitForQuorum, A::WaitForQuorum, A::Alarm, A::Alarm, A::WaitForQuorum],
        ),
        (Row::NonVoting, [A::Promote, A::Promote, A::StopServer, A::Alarm, A::Alarm, A::Observe]),
        (Row::NonVotingLagging, [A::WaitForData, A::WaitForData, A::StopServer, A::Alarm, A::Alarm, A::WaitForData]),
        (Row::Observing, [A::Unobserve, A::Unobserve, A::Remove, A::DropIfGone, A::Alarm, A::Fine]),
        (Row::Follower, [A::Fine, A::MarkVoter, A::Remove, A::Alarm, A::Alarm, A::Demote]),
        (Row::Leader, [A::Fine, A::MarkVoter, A::RemoveLeader, A::Alarm, A::Alarm, A::DemoteLeader]),
        (Row::Foreign, [A::SplitBrain; 6]),
        (Row::Unclear, [A::Alarm; 6]),
        (Row::CrashLoop, [A::Rewrite, A::Rewrite, A::MarkRetired, A::Nothing, A::Nothing, A::Rewrite]),
        (Row::Moved, [A::Readdress, A::Readdress, A::Remove, A::Alarm, A::Alarm, A::Readdress]),
    ];
    for (row, expected) in table {
        for (want, expected) in WANTS.into_iter().zip(expected) {
            assert_eq!(advice(row, want), expected, "{row:?} x {want:?}");
        }
    }
}

#[test]
fn nobody_is_ever_removed_by_what_is_unknown_and_alive() {
    let removes = [Advice::Remove, Advice::RemoveLeader, Advice::Demote, Advice::DemoteLeader, Advice::Unobserve];
    for row in [Row::Follower, Row::Leader, Row::Observing, Row::NonVoting, Row::Moved, Row::Looking, Row::Unclear] {
        for want in [Want::Unknown, Want::Retired] {
            assert!(!removes.contains(&advice(row, want)), "{row:?} x {want:?}");
        }
    }
}
