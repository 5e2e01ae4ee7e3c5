//! One pass over a quorum of KRaft controllers, without any I/O. What holds for KRaft alone; the rest is in
//! `plan/pass`.
//!
//! The controllers' own checks are weak: an observer that fetched within the last hour counts as caught up, and a removal does not
//! look whether the rest is alive. So every guard is ours.

pub mod change;
pub mod declare;
pub mod follow;
pub mod guards;
pub mod planned;
pub mod pods;
pub mod prestart;
pub mod prestart_steps;
pub mod seen;

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::cluster::ensemble::controllers::{
    DesiredQuorum, LastVoters, QuorumChangeKind, QuorumEntry, QuorumOp, Voter, Voters,
};
use crate::cluster::ensemble::desired::MemberState;
use crate::cluster::ensemble::tolerance::Tolerance;
use crate::cluster::quorum::{DirectoryId, NodeId};
use crate::cluster::visible;
use crate::commands::ensemble::plan::code::{Code, Refusal};
use crate::commands::ensemble::plan::coherence::{Alert, Finding, unusable_record};
use crate::commands::ensemble::plan::guards::{Judgement, VOTERS_MIN, code_of_unmeasured};
use crate::commands::ensemble::plan::kraft::change::{Advice, Change, Known};
use crate::commands::ensemble::plan::kraft::guards::Ground;
use crate::commands::ensemble::plan::kraft::seen::SeenQuorum;
use crate::commands::ensemble::plan::pass::{self, Members, Never, Protocol};
use crate::commands::ensemble::plan::refuse::{next_step, servers_of, some};
use crate::commands::ensemble::plan::settle::{Settlement, not_yet};

pub use crate::commands::ensemble::plan::pass::decide;

/// KRaft's calls that add and remove voters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kraft;

/// What a pass over a quorum looks at.
pub type Input<'a> = pass::Input<'a, Kraft>;

/// What a pass over a quorum comes to.
pub type Pass = pass::Pass<Kraft>;

/// A change of voters that could be next.
pub type Candidate = pass::Candidate<Kraft>;

/// What a pass over a quorum does.
pub type Decision = pass::Decision<Kraft>;

impl Protocol for Kraft {
    const LATE_BECAUSE: &'static str = "";

    type Desired = DesiredQuorum;
    type Seen = SeenQuorum;
    type Known = Known;
    type Change = Change;
    type ScaleDown = Never;

    fn tolerance(seen: &SeenQuorum) -> Option<Tolerance> {
        Some(seen.tolerance())
    }

    fn known(desired: &DesiredQuorum, seen: &SeenQuorum) -> Members<Self> {
        change::known(desired, seen)
    }

    fn findings(input: Input<'_>, known: &Members<Self>) -> Vec<Finding> {
        // The record of others says nothing about these controllers.
        let desired = input.desired.filter(|_| wrong_quorum(input).is_none());
        findings(Input { desired, ..input }, known)
    }

    fn at_once(input: Input<'_>) -> Option<Refusal> {
        wrong_quorum(input).or_else(|| at_once(input.seen))
    }

    fn adopted(desired: Option<&DesiredQuorum>) -> Result<DesiredQuorum, Refusal> {
        desired.filter(|desired| desired.last_voters.is_some()).cloned().ok_or_else(not_adopted)
    }

    fn settle(op: &QuorumOp, input: Input<'_>) -> Result<Settlement, Refusal> {
        Ok(settle(op, &input.seen.voter_set(), input.now))
    }

    fn before_a_change(input: Input<'_>, desired: &DesiredQuorum) -> Option<Refusal> {
        regressed(desired, input.seen).or_else(|| migration_unknown(input))
    }

    fn mark(known: &Known) -> Option<MemberState> {
        match known.advice {
            Advice::MarkVoter => Some(MemberState::Voter),
            Advice::MarkRetired => Some(MemberState::Retired),
            _ => None,
        }
    }

    fn candidates(desired: &DesiredQuorum, input: Input<'_>, known: &Members<Self>) -> Vec<Candidate> {
        let ground = Ground { desired, seen: input.seen, known, now: input.now, rest: input.rest };
        let candidate = |change: Change| Candidate { checks: guards::check(&change, ground), change };
        change::candidates(desired, input.seen, known).into_iter().map(candidate).collect()
    }

    fn refusal(candidate: &Candidate) -> Option<Refusal> {
        candidate.first_refusal(|check| match check.judgement {
            Judgement::Refuses(code) => Some(code),
            Judgement::Unmeasured => Some(code_of_unmeasured(check.guard)),
            Judgement::Holds | Judgement::Waits => None,
        })
    }

    fn without_candidate(known: &Members<Self>) -> Decision {
        if let Some((node, _)) = known.iter().find(|(_, it)| it.advice == Advice::IdConflict) {
            let why = format!("controller {node} shows a directory that is not the recorded one");
            return Decision::Refuse(refusal(Code::IdConflict, why));
        }
        let is_open = |advice| matches!(advice, Advice::Wait | Advice::DropIfGone | Advice::StopServer | Advice::Alarm);
        let open = known.iter().filter(|(_, it)| is_open(it.advice));
        let words: Vec<_> =
            open.map(|(node, it)| format!("controller {node} ({}): {}", it.row.words(), it.advice.words())).collect();
        if words.is_empty() { Decision::Nothing } else { Decision::Wait(words.join("; ")) }
    }

    fn scale_down(_: &DesiredQuorum, _: &SeenQuorum) -> Option<Never> {
        None
    }
}

/// No quorum was adopted.
pub fn not_adopted() -> Refusal {
    refusal(Code::NotAdopted, "there is no record of this quorum's voters")
}

fn refusal(code: Code, why: impl Into<String>) -> Refusal {
    Refusal::new(code, why, next_step(code))
}

/// The record is of another quorum: of another cluster; or it has directories, and none of them votes or follows here. A directory
/// is of one quorum only.
pub fn wrong_quorum(input: Input<'_>) -> Option<Refusal> {
    let (desired, seen) = (input.desired?, input.seen);
    let refused = |of_record: &str, of_servers: &str| {
        let place = seen.asked.record.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
        let why = format!(
            "this record{place} belongs to the quorum {of_record}, and the servers {} are the quorum {of_servers}: check --cluster, \
             --bootstrap-controller and --bootstrap-server",
            servers_of(&seen.asked)
        );
        Some(refusal(Code::WrongEnsemble, why))
    };
    if let (Some(recorded), Some(live)) = (&desired.cluster_id, &seen.cluster_id)
        && recorded != live
    {
        let of_cluster = |id: &str| format!("of cluster {}", visible::value(id));
        return refused(&of_cluster(recorded), &of_cluster(live));
    }
    let (recorded, voters) = (recorded_directories(desired), directories(&seen.voter_set()));
    if recorded.is_empty() || voters.is_empty() || has_one_of(seen, &recorded) {
        return None;
    }
    let with = |all: &BTreeSet<DirectoryId>| {
        format!("with directories {}", some(&all.iter().map(ToString::to_string).collect::<Vec<_>>()))
    };
    refused(&with(&recorded), &with(&voters))
}

/// The document with the id of its cluster, where it has none yet and one of its directories votes or follows.
pub fn with_cluster_id(desired: &DesiredQuorum, seen: &SeenQuorum) -> Option<DesiredQuorum> {
    let id = seen.cluster_id.as_ref().filter(|_| desired.cluster_id.is_none())?;
    has_one_of(seen, &recorded_directories(desired))
        .then(|| DesiredQuorum { cluster_id: Some(id.clone()), ..desired.clone() })
}

/// Every directory that the document knows.
fn recorded_directories(desired: &DesiredQuorum) -> BTreeSet<DirectoryId> {
    let of_members = desired.members.values().filter_map(|member| member.directory);
    let last = desired.last_voters.iter().map(|last| &last.voters);
    let left = last.chain(desired.op.iter().flat_map(|op| [&op.before, &op.after])).flatten();
    of_members.chain(left.map(|voter| voter.directory)).collect()
}

/// Whether a voter or an observer has one of these directories.
fn has_one_of(seen: &SeenQuorum, directories: &BTreeSet<DirectoryId>) -> bool {
    let mut replicas = seen.quorum.voters.iter().chain(&seen.quorum.observers);
    replicas.any(|replica| replica.key.directory.is_some_and(|directory| directories.contains(&directory)))
}

/// The directories of voters.
pub fn directories(voters: &Voters) -> BTreeSet<DirectoryId> {
    voters.iter().map(|voter| voter.directory).collect()
}

/// Refuses where the record is of another quorum, and where that is not known because the voters are not.
pub fn not_its_own(input: Input<'_>) -> Option<Refusal> {
    let is_known = !input.seen.voter_set().is_empty();
    let why = "the voters and their directories are not known, so it is not known which quorum this record is of";
    let unknown = || at_once(input.seen).unwrap_or_else(|| refusal(Code::NotAsked, why));
    wrong_quorum(input).or_else(|| (!is_known).then(unknown))
}

/// What forbids every change, and even to settle an open one.
pub fn at_once(seen: &SeenQuorum) -> Option<Refusal> {
    let tolerance = seen.tolerance();
    let has_quorum = seen.quorum.leader.is_some() && seen.quorum.high_watermark >= 0 && tolerance.spare() >= 0;
    if seen.migrates == Some(true) {
        return Some(refusal(Code::Migration, "a migration from ZooKeeper to KRaft runs"));
    }
    if !seen.quorum.voters.is_empty() && seen.is_static() {
        let why = "voters have no directory ids: the quorum is static (controller.quorum.voters), whatever \
            level kraft.version shows";
        return Some(refusal(Code::StaticQuorum, why));
    }
    if !has_quorum {
        let leader =
            seen.quorum.leader.map_or("no controller leads".to_owned(), |node| format!("controller {node} leads"));
        return Some(refusal(Code::NoQuorum, format!("{leader}; {}", tolerance.words())));
    }
    let mixed: Vec<_> = seen.without_kraft_version.iter().map(ToString::to_string).collect();
    let why = || format!("node {} does not support kraft.version 1", mixed.join(", "));
    (!mixed.is_empty()).then(|| refusal(Code::KraftVersionMixed, why()))
}

/// How an open change ended, by the voters that the quorum has now.
pub fn settle(op: &QuorumOp, voters: &Voters, now: Timestamp) -> Settlement {
    if *voters == op.after {
        return Settlement::Applied;
    }
    if *voters != op.before {
        return Settlement::Conflict;
    }
    not_yet(op.started_at, now)
}

/// The document after a change was confirmed.
#[must_use]
pub fn recorded(desired: &DesiredQuorum, op: &QuorumOp, now: Timestamp) -> DesiredQuorum {
    let mut next = desired.clone();
    next.op = None;
    next.last_voters = Some(LastVoters { voters: op.after.clone(), since: now });
    next.remember(QuorumEntry { at: now, kind: op.kind, target: op.target });
    if let Some(member) = next.members.get_mut(&op.target.node) {
        member.state = match op.kind {
            QuorumChangeKind::Add => MemberState::Voter,
            QuorumChangeKind::ForgetDisk if member.state != MemberState::Leaving => MemberState::Joining,
            _ => MemberState::Retired,
        };
    }
    next
}

/// Whether somebody else changed the voters. With auto-join, declared controllers add themselves with the directory that is recorded
/// of them, and drop their own old disk. Where it is not known to be on, somebody did that.
fn regressed(desired: &DesiredQuorum, seen: &SeenQuorum) -> Option<Refusal> {
    let (last, now) = (&desired.last_voters.as_ref()?.voters, seen.voter_set());
    let is_declared = |voter: &Voter| {
        let member = desired.members.get(&voter.node).filter(|member| member.directory == Some(voter.directory));
        let state = member.map(|member| member.state);
        matches!(state, Some(MemberState::Reserved | MemberState::Joining | MemberState::Voter))
    };
    let joins_itself = |voter: &Voter| seen.auto_join == Some(true) && is_declared(voter);
    let added: Vec<_> = now.difference(last).filter(|voter| !joins_itself(voter)).collect();
    let renewed = |node: &NodeId| now.iter().any(|voter| voter.node == *node && joins_itself(voter));
    let gone: Vec<_> = last.difference(&now).filter(|voter| !renewed(&voter.node)).collect();
    let listed = |voters: &[&_]| voters.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let why = || {
        format!(
            "the voters are not those that were left: added {}, lost {}",
            show(&listed(&added)),
            show(&listed(&gone))
        )
    };
    (!added.is_empty() || !gone.is_empty()).then(|| refusal(Code::MembershipRegressed, why()))
}

fn show(list: &str) -> &str {
    if list.is_empty() { "none" } else { list }
}

/// During a migration from ZooKeeper the quorum must not change, and nobody said that none runs.
fn migration_unknown(input: Input<'_>) -> Option<Refusal> {
    let why = "whether a migration from ZooKeeper to KRaft runs is not known: the leader did not say so, and metadata.version is below \
               that of Kafka 4.0";
    let next = "Give --bootstrap-controller with the controllers' own listener, and check that the leader answers; then run again";
    (input.is_strict && input.seen.migrates.is_none()).then(|| Refusal::new(Code::Migration, why, next))
}

/// What is wrong, whether or not anything should change.
fn findings(input: Input<'_>, known: &Members<Kraft>) -> Vec<Finding> {
    let (seen, tolerance) = (input.seen, input.seen.tolerance());
    let dev = input.desired.is_some_and(|desired| desired.dev);
    let mut found = Vec::new();
    let mut add = |alert, text: String| found.push(Finding { alert, text });
    if let Some(text) = unusable_record(&seen.asked) {
        add(Alert::IncoherentConfiguration, text);
    }
    if seen.quorum.leader.is_none() {
        add(Alert::IncoherentConfiguration, "no controller leads".to_owned());
    }
    // Without a leader nobody gets an answer.
    for (broker, why) in seen.cut_off.iter().filter(|_| seen.quorum.leader.is_some()) {
        let text = format!("broker {broker} answers metadata, but gets no answer from the controller: {why}");
        add(Alert::Notice, text);
    }
    if seen.is_static() {
        let text = "voters have no directory ids: the quorum is static and can't be changed while it runs".to_owned();
        add(Alert::Notice, text);
    }
    if tolerance.spare() < 1 && !dev {
        add(Alert::UnsafeNumber, tolerance.words());
    }
    if tolerance.voters < VOTERS_MIN && !dev {
        add(Alert::UnsafeNumber, format!("{} voters, {VOTERS_MIN} are needed to survive a failure", tolerance.voters));
    }
    if let Some(desired) = input.desired.filter(|desired| desired.size != tolerance.voters) {
        add(Alert::UnsafeNumber, format!("{} voters, {} are desired", tolerance.voters, desired.size));
    }
    for (node, known) in known.iter().filter(|_| input.desired.is_some()) {
        match known.advice {
            Advice::Alarm => {
                add(
                    Alert::IncoherentConfiguration,
                    format!("controller {node} votes, and the document does not want it"),
                );
            }
            Advice::IdConflict => {
                add(
                    Alert::IncoherentConfiguration,
                    format!("controller {node} shows a directory that is not the recorded one"),
                );
            }
            _ => {}
        }
    }
    for node in seen.ghosts() {
        let text = format!(
            "controller {node} is registered, and neither votes nor follows: unregister it before any \
                feature upgrade, which it would block"
        );
        add(Alert::Notice, text);
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests;
