//! The state table: what is seen of a server, what is desired of it, and what follows.

use serde::{Deserialize, Serialize};

use crate::cluster::ensemble::desired::{Desired, MemberState};
use crate::cluster::ensemble::member::{Role, ServerId};
use crate::cluster::ensemble::view::{Answer, CatchUp, Mode, Sample};
use crate::commands::ensemble::plan::seen::Seen;

/// Samples that a joiner must pass, one after the other.
pub const SAMPLES_MIN: usize = 3;

/// What is seen of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Row {
    /// Not running, not in the configuration.
    DownOutside,
    /// Not running, in the configuration as voter.
    DownVoter,
    /// Not running, in the configuration as observer.
    DownObserver,
    /// Running without a quorum, in the configuration.
    Looking,
    /// Running without a quorum, not in the configuration.
    LookingOutside,
    /// Running as non-voting follower, not in the configuration, and caught up or not measured yet.
    NonVoting,
    /// The same, lagging.
    NonVotingLagging,
    /// Running as observer.
    Observing,
    /// Running as follower, in the configuration as voter.
    Follower,
    /// Running as leader, in the configuration as voter.
    Leader,
    /// Running as leader of something else, or alone.
    Foreign,
    /// Running, and its role is not known.
    Unclear,
    /// Not running, not in the configuration, and its process exits again and again.
    CrashLoop,
    /// Running as voter or observer, in the configuration under another address than desired.
    Moved,
}

/// What is desired of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Want {
    /// It votes, and should go on.
    Voter,
    /// It should vote.
    Joining,
    /// It should be removed.
    Leaving,
    /// It was retired.
    Retired,
    /// The document does not know it.
    Unknown,
    /// It should observe.
    Observer,
}

/// What follows for one server, before any guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Advice {
    /// As desired.
    Fine,
    /// Nothing to do.
    Nothing,
    /// It has to start, or to come back: restarts change no membership.
    WaitForServer,
    /// It has to catch up.
    WaitForData,
    /// A quorum has to be found first.
    WaitForQuorum,
    /// It is out; the document can say so.
    MarkRetired,
    /// It is in; the document can say so.
    MarkVoter,
    /// Remove it if it is gone for good.
    DropIfGone,
    /// Make it a voter.
    Promote,
    /// Make it an observer.
    Observe,
    /// Remove it as observer, so that it can be promoted.
    Unobserve,
    /// Remove it.
    Remove,
    /// Remove it, last of all.
    RemoveLeader,
    /// Make the voter an observer.
    Demote,
    /// Make the leader an observer, last of all.
    DemoteLeader,
    /// Change its address.
    Readdress,
    /// Its process or pod must be stopped by hand.
    StopServer,
    /// It is where nobody wants it: a person must look.
    Alarm,
    /// It leads something else.
    SplitBrain,
    /// Its own file lacks it: `prestart` rewrites the file.
    Rewrite,
}

/// What a document desires of a server.
pub fn want(desired: &Desired, id: ServerId) -> Want {
    let Some(member) = desired.members.get(&id) else { return Want::Unknown };
    match (member.state, member.line.role) {
        (MemberState::Leaving, _) => Want::Leaving,
        (MemberState::Retired, _) => Want::Retired,
        (_, Role::Observer) => Want::Observer,
        (MemberState::Voter, Role::Participant) => Want::Voter,
        (MemberState::Reserved | MemberState::Joining, Role::Participant) => Want::Joining,
    }
}

/// What is seen of a server.
pub fn row(seen: &Seen, desired: &Desired, id: ServerId) -> Row {
    let member = seen.membership().and_then(|membership| membership.servers.get(&id));
    // A member whose process exits again and again counts as one that does not run. A server that answers runs: it is another
    // container of its pod that exits.
    let is_outside = seen.membership().is_some_and(|membership| !membership.servers.contains_key(&id));
    if is_outside && seen.is_silent(id) && seen.crash_loop(id).is_some() {
        return Row::CrashLoop;
    }
    let Some(view) = seen.servers.get(&id) else { return down(member.map(|line| line.role)) };
    if seen.membership().is_none() && view.answer.mode().is_some() {
        return Row::Unclear;
    }
    let is_moved = || {
        let line = desired.members.get(&id).map(|wanted| &wanted.line);
        member.zip(line).is_some_and(|(now, wanted)| !now.is_at_same_place(wanted))
    };
    match (&view.answer, member.map(|line| line.role)) {
        (Answer::Down { .. } | Answer::Silent { .. }, role) => down(role),
        (Answer::Unreadable { .. }, _) => Row::Unclear,
        (Answer::NotServing, Some(_)) | (Answer::Serving { mode: Mode::ReadOnly, .. }, _) => Row::Looking,
        (Answer::NotServing, None) => Row::LookingOutside,
        (Answer::Serving { mode: Mode::Standalone, .. }, _) => Row::Foreign,
        (Answer::Serving { mode: Mode::Leader, .. }, role) if is_foreign(seen, id, role) => Row::Foreign,
        (Answer::Serving { .. }, Some(_)) if is_moved() => Row::Moved,
        (Answer::Serving { mode: Mode::Leader, .. }, _) => Row::Leader,
        (Answer::Serving { mode: Mode::Observer, .. }, _) | (_, Some(Role::Observer)) => Row::Observing,
        (Answer::Serving { mode: Mode::Follower, .. }, Some(Role::Participant)) => Row::Follower,
        (Answer::Serving { mode: Mode::Follower, .. }, None) => {
            let lags = view.catch_up.as_ref().is_some_and(|catch_up| !is_caught_up(catch_up));
            if lags { Row::NonVotingLagging } else { Row::NonVoting }
        }
    }
}

/// A leader that the quorum does not have as voter leads something else.
fn is_foreign(seen: &Seen, id: ServerId, role: Option<Role>) -> bool {
    let other_config = seen.servers[&id].config.as_ref().zip(seen.membership());
    let differs = other_config.is_some_and(|(own, quorum)| own.membership != *quorum);
    role != Some(Role::Participant) || (differs && seen.leaders().len() > 1)
}

fn down(role: Option<Role>) -> Row {
    match role {
        None => Row::DownOutside,
        Some(Role::Participant) => Row::DownVoter,
        Some(Role::Observer) => Row::DownObserver,
    }
}

/// Whether the last samples of a joiner all had what the leader had 3 s before.
pub fn is_caught_up(catch_up: &CatchUp) -> bool {
    let last = catch_up.samples.len().checked_sub(SAMPLES_MIN).map(|from| &catch_up.samples[from..]);
    last.is_some_and(|samples| samples.iter().all(|sample: &Sample| sample.is_caught_up()))
}

/// The table.
pub fn advice(row: Row, want: Want) -> Advice {
    match row {
        Row::DownOutside => match want {
            Want::Leaving => Advice::MarkRetired,
            Want::Retired | Want::Unknown => Advice::Nothing,
            Want::Voter | Want::Joining | Want::Observer => Advice::WaitForServer,
        },
        Row::DownVoter | Row::DownObserver => match want {
            Want::Observer if row == Row::DownObserver => Advice::WaitForServer,
            _ => Advice::DropIfGone,
        },
        Row::Looking | Row::LookingOutside => match want {
            Want::Retired | Want::Unknown => Advice::Alarm,
            _ => Advice::WaitForQuorum,
        },
        Row::NonVoting => match want {
            Want::Voter | Want::Joining => Advice::Promote,
            Want::Leaving => Advice::StopServer,
            Want::Retired | Want::Unknown => Advice::Alarm,
            Want::Observer => Advice::Observe,
        },
        Row::NonVotingLagging => match want {
            Want::Voter | Want::Joining | Want::Observer => Advice::WaitForData,
            Want::Leaving => Advice::StopServer,
            Want::Retired | Want::Unknown => Advice::Alarm,
        },
        Row::Observing => match want {
            Want::Voter | Want::Joining => Advice::Unobserve,
            Want::Leaving => Advice::Remove,
            Want::Retired => Advice::DropIfGone,
            Want::Unknown => Advice::Alarm,
            Want::Observer => Advice::Fine,
        },
        Row::Follower => voting(want, Advice::Remove, Advice::Demote),
        Row::Leader => voting(want, Advice::RemoveLeader, Advice::DemoteLeader),
        Row::Foreign => Advice::SplitBrain,
        Row::Unclear => Advice::Alarm,
        Row::CrashLoop => match want {
            Want::Leaving => Advice::MarkRetired,
            Want::Retired | Want::Unknown => Advice::Nothing,
            _ => Advice::Rewrite,
        },
        Row::Moved => match want {
            Want::Voter | Want::Joining | Want::Observer => Advice::Readdress,
            Want::Leaving => Advice::Remove,
            Want::Retired | Want::Unknown => Advice::Alarm,
        },
    }
}

fn voting(want: Want, remove: Advice, demote: Advice) -> Advice {
    match want {
        Want::Voter => Advice::Fine,
        Want::Joining => Advice::MarkVoter,
        Want::Leaving => remove,
        Want::Retired | Want::Unknown => Advice::Alarm,
        Want::Observer => demote,
    }
}

impl Row {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::DownOutside => "not running, not a member",
            Self::DownVoter => "voter, not running",
            Self::DownObserver => "observer, not running",
            Self::Looking => "member without a quorum",
            Self::LookingOutside => "not a member, without a quorum",
            Self::NonVoting => "non-voting follower, not a member",
            Self::NonVotingLagging => "non-voting follower, lagging",
            Self::Observing => "observer",
            Self::Follower => "voter, follower",
            Self::Leader => "voter, leader",
            Self::Foreign => "leads another ensemble",
            Self::Unclear => "runs, state not readable",
            Self::CrashLoop => "not a member, exits again and again",
            Self::Moved => "member under another address",
        }
    }
}

impl Advice {
    /// In words, as a column of the status page.
    pub fn words(self) -> &'static str {
        match self {
            Self::Fine => "as desired",
            Self::Nothing => "nothing to do",
            Self::WaitForServer => "wait until it runs",
            Self::WaitForData => "wait until it is caught up",
            Self::WaitForQuorum => "wait for a quorum",
            Self::MarkRetired => "record it as retired",
            Self::MarkVoter => "record it as voter",
            Self::DropIfGone => "remove or replace it only if it is gone for good",
            Self::Promote => "make it a voter",
            Self::Observe | Self::Demote => "make it an observer",
            Self::Unobserve => "remove it as observer, then make it a voter",
            Self::Remove => "remove it",
            Self::RemoveLeader => "remove it last",
            Self::DemoteLeader => "make it an observer, last",
            Self::Readdress => "change its address",
            Self::StopServer => "stop the server by hand",
            Self::Alarm => "look at it: the document does not have it",
            Self::SplitBrain => "stop: two ensembles",
            Self::Rewrite => "find out why it exits; `toolbox ensemble prestart` rewrites a file that lacks it",
        }
    }
}
