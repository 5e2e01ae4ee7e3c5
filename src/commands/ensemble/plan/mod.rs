//! One pass over a ZooKeeper ensemble, without any I/O. [`pass`] decides, the same way as for [`kraft`]; here is what holds for
//! ZooKeeper alone.

pub mod change;
pub mod code;
pub mod coherence;
pub mod declare;
pub mod guards;
pub mod joiner;
pub mod kraft;
pub mod moved;
pub mod pass;
pub mod planned;
pub mod pods;
pub mod prestart;
pub mod refuse;
pub mod seen;
pub mod served;
pub mod settle;
pub mod steps;
pub mod stop;
pub mod table;

use crate::cluster::ensemble::desired::{Desired, MemberState, Op};
use crate::cluster::ensemble::member::ServerId;
use crate::cluster::ensemble::tolerance::Tolerance;
use crate::commands::ensemble::plan::change::{Change, Known};
use crate::commands::ensemble::plan::code::{Code, Refusal};
use crate::commands::ensemble::plan::coherence::Finding;
use crate::commands::ensemble::plan::guards::{Ground, Judgement, code_of_unmeasured};
use crate::commands::ensemble::plan::pass::{Members, Protocol};
use crate::commands::ensemble::plan::seen::Seen;
use crate::commands::ensemble::plan::settle::Settlement;
use crate::commands::ensemble::plan::stop::ScaleDown;
use crate::commands::ensemble::plan::table::{Advice, Want};

pub use pass::decide;

/// ZooKeeper's dynamic reconfiguration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZooKeeper;

/// What a pass over an ensemble looks at.
pub type Input<'a> = pass::Input<'a, ZooKeeper>;

/// What a pass over an ensemble comes to.
pub type Pass = pass::Pass<ZooKeeper>;

/// A change of an ensemble that could be next.
pub type Candidate = pass::Candidate<ZooKeeper>;

/// What a pass over an ensemble does.
pub type Decision = pass::Decision<ZooKeeper>;

impl Protocol for ZooKeeper {
    const LATE_BECAUSE: &'static str = "a frozen leader may still apply it, ";

    type Desired = Desired;
    type Seen = Seen;
    type Known = Known;
    type Change = Change;
    type ScaleDown = ScaleDown;

    fn tolerance(seen: &Seen) -> Option<Tolerance> {
        seen.tolerance()
    }

    fn known(desired: &Desired, seen: &Seen) -> Members<Self> {
        change::known(desired, seen)
    }

    fn findings(input: Input<'_>, known: &Members<Self>) -> Vec<Finding> {
        // The record of others says nothing about these servers.
        let desired = input.desired.filter(|_| refuse::wrong_ensemble(input).is_none());
        coherence::findings(desired, input.seen, known, input.now)
    }

    fn at_once(input: Input<'_>) -> Option<Refusal> {
        refuse::at_once(input)
    }

    fn adopted(desired: Option<&Desired>) -> Result<Desired, Refusal> {
        desired.cloned().ok_or_else(refuse::not_adopted)
    }

    fn settle(op: &Op, input: Input<'_>) -> Result<Settlement, Refusal> {
        let config = input.seen.quorum.as_ref().ok_or_else(|| refuse::no_quorum(input.seen))?;
        Ok(settle::settle(op, config, input.now))
    }

    fn before_a_change(input: Input<'_>, desired: &Desired) -> Option<Refusal> {
        refuse::before_a_change(input, desired)
    }

    fn mark(known: &Known) -> Option<MemberState> {
        match known.advice {
            Advice::MarkRetired => Some(MemberState::Retired),
            Advice::MarkVoter => Some(MemberState::Voter),
            _ => None,
        }
    }

    fn candidates(desired: &Desired, input: Input<'_>, known: &Members<Self>) -> Vec<Candidate> {
        let Some(membership) = input.seen.membership() else { return Vec::new() };
        let ground = Ground { desired, seen: input.seen, known, membership, now: input.now, rest: input.rest };
        let candidate = |change: Change| Candidate { checks: guards::check(&change, ground), change };
        change::candidates(desired, input.seen, known).into_iter().map(candidate).collect()
    }

    fn refusal(candidate: &Candidate) -> Option<Refusal> {
        let refused = candidate.first_refusal(|check| match check.judgement {
            Judgement::Refuses(code) => Some(code),
            _ => None,
        });
        let check = candidate.checks.iter().find(|check| check.judgement != Judgement::Holds)?;
        let code = code_of_unmeasured(check.guard);
        let unmeasured = || Refusal::new(code, candidate.waits(check), refuse::next_step(code));
        refused.or_else(|| (check.judgement == Judgement::Unmeasured).then(unmeasured))
    }

    /// It waits for servers that something is to be done about.
    fn without_candidate(known: &Members<Self>) -> Decision {
        let is_open = |advice: Advice| {
            matches!(
                advice,
                Advice::WaitForServer
                    | Advice::WaitForData
                    | Advice::WaitForQuorum
                    | Advice::DropIfGone
                    | Advice::StopServer
                    | Advice::Alarm
                    | Advice::Rewrite
            )
        };
        let open = known.iter().filter(|(_, it)| is_open(it.advice));
        let words: Vec<_> = open.map(|(id, it)| waits_for(*id, it)).collect();
        if words.is_empty() { Decision::Nothing } else { Decision::Wait(words.join("; ")) }
    }

    fn scale_down(desired: &Desired, seen: &Seen) -> Option<ScaleDown> {
        stop::scale_down(desired, seen)
    }
}

fn waits_for(id: ServerId, known: &Known) -> String {
    // ZooKeeper would take a joiner that does not run, too.
    let waits = matches!(known.advice, Advice::WaitForServer | Advice::WaitForData | Advice::Rewrite);
    let is_refused = known.want == Want::Joining && waits;
    let code = if is_refused { format!(" ({})", Code::NotCaughtUp) } else { String::new() };
    format!("server {id} ({}): {}{code}", known.row.words(), known.advice.words())
}

#[cfg(test)]
mod tests;
