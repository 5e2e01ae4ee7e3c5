//! Carries out the steps of a pass over a quorum of controllers: the intent into the record, one request, then, whatever the answer
//! was, the voters are read until it is known how it ended.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use crate::change::brake::Brake;
use crate::change::carry_out::Ended;
use crate::change::fail_point::fail_point;
use crate::change::in_order::Executor;
use crate::clients::kafka::{Kafka, KafkaError};
use crate::cluster::ensemble::controllers::{DesiredQuorum, LastVoters, QuorumChangeKind, QuorumOp};
use crate::cluster::ensemble::desired::MemberState;
use crate::cluster::quorum::{NewVoter, NodeId, QuorumState};
use crate::commands::ensemble::apply::record::{Record, conflict, refused, unknown};
use crate::commands::ensemble::plan::code::{Code, Refusal};
use crate::commands::ensemble::plan::kraft::change::Change;
use crate::commands::ensemble::plan::kraft::follow::{Follower, Progress};
use crate::commands::ensemble::plan::kraft::planned::{Planned, QuorumStep, refusal_of};
use crate::commands::ensemble::plan::kraft::seen::voters_of;
use crate::commands::ensemble::plan::kraft::{Kraft, recorded};
use crate::commands::ensemble::plan::refuse::next_step;
use crate::commands::ensemble::plan::steps::Steps as _;
use crate::context::LockCheck;
use crate::state::clock::SteadyClock;

/// How long it takes at most until a change that was answered as made is committed.
const CONFIRM_LIMIT: Duration = Duration::from_secs(30);

/// How long is looked for a change whose result the answer left unknown; then the next pass goes on with that.
const UNKNOWN_LIMIT: Duration = Duration::from_secs(10);

/// The time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long it is watched that a removed controller does not add itself again, where auto-join is on: it tries every
/// few seconds.
pub const WATCH: Duration = Duration::from_mins(1);

/// The time between two looks of the watch.
const WATCH_EVERY: Duration = Duration::from_secs(2);

/// Carries out the steps of a pass over a quorum.
pub struct QuorumExecutor<'a> {
    /// The controllers, or brokers that pass on to them.
    pub kafka: &'a dyn Kafka,
    /// The record.
    pub record: &'a mut Record<DesiredQuorum>,
    /// Whether the locks are held.
    pub locks: LockCheck,
    /// The clock by which ages are counted.
    pub clock: SteadyClock,
    /// Ends the watch early.
    pub brake: Brake,
}

/// What the answer to a change says.
enum Answer {
    /// It was made.
    Made,
    /// It may have been made, or may still be.
    Unknown(KafkaError),
    /// It was not made.
    NotMade(KafkaError),
}

impl Executor for QuorumExecutor<'_> {
    type Step = QuorumStep;

    async fn execute(&mut self, step: &QuorumStep) -> Result<Ended, Ended> {
        self.locks.check().map_err(conflict)?;
        match step {
            QuorumStep::Forget { op } => self.record.forget(op).await?,
            QuorumStep::Mark { id, state, .. } => self.record.mark(*id, *state).await?,
            QuorumStep::Confirm { op } => return self.confirm(op, &Answer::Made).await,
            QuorumStep::Change(planned) => return self.change(planned).await,
            QuorumStep::ScaleDown(nothing) => match **nothing {},
            QuorumStep::Identify(nothing) => match *nothing {},
            QuorumStep::Declare(declared) => {
                self.record.declare(declared.before.as_deref(), &declared.after).await?;
            }
        }
        Ok(Ended::done())
    }
}

impl QuorumExecutor<'_> {
    /// Sends a change: the intent first, so that whoever comes next can find out how it ended.
    async fn change(&mut self, planned: &Planned) -> Result<Ended, Ended> {
        self.is_as_planned(planned).await?;
        let op = Kraft::op(planned, Uuid::now_v7().to_string(), self.clock.now());
        fail_point("ensemble.decided");
        self.record.intend(&op).await?;
        fail_point("ensemble.intended");
        // Last of all: from here on it is under way.
        let answer = match self.locks.check() {
            Ok(()) => self.send(planned).await,
            Err(why) => return self.not_made(&op, conflict(why)).await,
        };
        fail_point("ensemble.sent");
        let ended = self.confirm(&op, &answer).await?;
        if planned.is_watched { self.watch(planned.change.voter.node).await } else { Ok(ended) }
    }

    /// There is no conditional request: voters and leader are compared right before it is sent.
    async fn is_as_planned(&self, planned: &Planned) -> Result<(), Ended> {
        let quorum = self.kafka.quorum().await;
        let quorum = quorum.map_err(|error| Ended::failed(format!("nothing was sent: {error}")))?;
        let is_same_leader = (quorum.leader, quorum.leader_epoch) == (planned.leader, planned.epoch);
        if is_same_leader && voters_of(&quorum) == planned.before {
            return Ok(());
        }
        Err(conflict("the voters or their leader are not those that were planned with"))
    }

    async fn send(&self, planned: &Planned) -> Answer {
        let voter = planned.change.voter;
        let answer = if planned.change.kind == QuorumChangeKind::Add {
            let endpoints = planned.endpoint.iter().cloned().collect();
            self.kafka.add_voter(&NewVoter { id: voter.node, directory: voter.directory, endpoints }).await
        } else {
            self.kafka.remove_voter(voter.into()).await
        };
        match answer {
            Ok(()) => Answer::Made,
            Err(error) if error.leaves_result_unknown() => Answer::Unknown(error),
            Err(error) => Answer::NotMade(error),
        }
    }

    /// Reads the voters until it is known how a change ended, and records that.
    async fn confirm(&mut self, op: &QuorumOp, answer: &Answer) -> Result<Ended, Ended> {
        let limit = match answer {
            Answer::Made => CONFIRM_LIMIT,
            Answer::Unknown(_) => UNKNOWN_LIMIT,
            Answer::NotMade(_) => Duration::ZERO,
        };
        let shows = match (self.follow(op, limit).await, answer) {
            (Ok(Progress::Committed), _) => return self.record(op).await,
            (Ok(Progress::Conflict), _) => {
                let why =
                    "the voters are neither those before the change nor those after it: somebody else changes them";
                return self.not_made(op, conflict(why)).await;
            }
            (Ok(Progress::Before), Answer::NotMade(error)) => return self.not_made(op, refusal(op, error)).await,
            (Ok(Progress::Before), _) => "shows no effect".to_owned(),
            (Ok(Progress::Written), _) => "is not committed yet".to_owned(),
            (Err(error), _) => format!("can't be seen: {error}"),
        };
        let answered = match answer {
            Answer::Made => "it was answered as made".to_owned(),
            Answer::Unknown(error) | Answer::NotMade(error) => error.to_string(),
        };
        Err(unknown(&format!("{op} {shows} ({answered})")))
    }

    async fn follow(&self, op: &QuorumOp, limit: Duration) -> Result<Progress, KafkaError> {
        let deadline = Instant::now() + limit;
        let mut follower = Follower::default();
        loop {
            let looked = self.kafka.quorum().await.map(|quorum: QuorumState| follower.look(op, &quorum));
            let is_over = matches!(looked, Ok(Progress::Committed | Progress::Conflict));
            if is_over || Instant::now() >= deadline {
                return looked;
            }
            sleep(LOOK_EVERY).await;
        }
    }

    async fn record(&mut self, op: &QuorumOp) -> Result<Ended, Ended> {
        fail_point("ensemble.confirmed");
        let next = recorded(&self.record.known()?, op, self.clock.now());
        let saved = self.record.save(&next).await;
        fail_point("ensemble.recorded");
        saved.map_err(|ended| {
            let why = ended.reason.unwrap_or_default();
            unknown(&format!("{op} was made, and is not in the record: {why}"))
        })?;
        Ok(Ended::done())
    }

    async fn not_made(&mut self, op: &QuorumOp, ended: Ended) -> Result<Ended, Ended> {
        self.record.forget_unmade(op).await;
        Err(ended)
    }

    /// Watches that a removed controller does not add itself again.
    async fn watch(&mut self, node: NodeId) -> Result<Ended, Ended> {
        let deadline = Instant::now() + WATCH;
        while Instant::now() < deadline && timeout(WATCH_EVERY, self.brake.until_pulled()).await.is_err() {
            // Who can't be asked now is asked again.
            let Ok(quorum) = self.kafka.quorum().await else { continue };
            if quorum.voter(node).is_some() {
                return Err(self.has_come_back(node, &quorum).await);
            }
        }
        Ok(Ended::done())
    }

    /// It votes again, and should leave still: the next pass removes it, once it is stopped.
    async fn has_come_back(&mut self, node: NodeId, quorum: &QuorumState) -> Ended {
        let ended = Ended::failed(come_back(node).to_string());
        let Ok(mut next) = self.record.known() else { return ended };
        if let Some(member) = next.members.get_mut(&node) {
            member.state = MemberState::Leaving;
        }
        next.last_voters = Some(LastVoters { voters: voters_of(quorum), since: self.clock.now() });
        if let Err(why) = self.record.save(&next).await {
            tracing::warn!(reason = why.reason, "the record does not say that the controller votes again");
        }
        ended
    }
}

fn come_back(node: NodeId) -> Refusal {
    let why = format!("controller {node} was removed and has added itself again: it runs, and auto-join is on");
    Refusal::new(Code::AutoJoin, why, next_step(Code::AutoJoin))
}

/// What an error says that comes with voters as before.
fn refusal(op: &QuorumOp, error: &KafkaError) -> Ended {
    let change = Change { kind: op.kind, voter: op.target };
    match error.code() {
        Some(code) => refused(&refusal_of(code, &change, &error.to_string())),
        None => Ended::failed(format!("{change}: {error}")),
    }
}
