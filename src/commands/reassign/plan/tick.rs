//! One tick of an execution: (what is remembered, what is seen, what is asked for) in, (what is remembered, what is to be
//! done, whether it ends) out. Pure; the agent reads, submits, and hands the answers back to [`Memory::answered`].
//!
//! Steps:
//! 1. Learn: totals of moves that have not begun, moves that run, topics' ids.
//! 2. Judge each move: what somebody cancelled, overlaid, changed or deleted is given up, once that is certain.
//! 3. Count what was copied, name what stands still.
//! 4. Choose what begins and who is elected; what is given up, doubted or submitted a moment ago is left alone.
//! 5. End: when every move is done or given up; when nothing was copied for longer than the patience; when asked to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::change::carry_out::Ended;
use crate::change::event::{Outcome, Severity};
use crate::change::plan::Step;
use crate::cluster::assignment::PartitionMove;
use crate::cluster::broker::BrokerId;
use crate::cluster::size::ByteRate;
use crate::cluster::topic::{TopicName, TopicPartition};
use crate::commands::reassign::plan::lost::{
    self, CONFIRMED_AFTER, Doubt, Lost, Verdict, is_recreated, judge, stranger,
};
use crate::commands::reassign::plan::next::{Limits, Manner, Next, next};
use crate::commands::reassign::plan::pace::Pace;
use crate::commands::reassign::plan::preflight::{count, names};
use crate::commands::reassign::plan::progress::{Progress, progress};
use crate::commands::reassign::plan::seen::{Observed, State, grown};
use crate::commands::reassign::plan::stalls::{Reason, Watched};
use crate::commands::reassign::plan::step::ReassignStep;

/// How often the election of one preferred leader is tried.
const ELECTIONS_MAX: usize = 5;

/// What an execution was started with.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The moves.
    pub moves: Vec<PartitionMove>,
    /// Bounds of what is under way.
    pub limits: Limits,
    /// Phases and elections.
    pub manner: Manner,
    /// Longest time in which nothing is copied.
    pub patience: Duration,
    /// After how long without a copied byte a move counts as stalled.
    pub stalled_after: Duration,
    /// The rate of the throttle, where it is the same all the time.
    pub rate: Option<ByteRate>,
}

/// What a look saw, and when, counted from the beginning of the execution.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The cluster.
    pub observed: &'a Observed,
    /// Now.
    pub at: Duration,
    /// When the sizes were read.
    pub sized_at: Duration,
}

/// What is asked for at the moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Control {
    /// The moves are being cancelled: it ends.
    pub stop: bool,
    /// Why no more moves begin.
    pub resting: Option<String>,
    /// Why nothing at all may be submitted, elections included.
    pub unlocked: Option<String>,
    /// Moves that can't be throttled now, and why.
    pub held: BTreeMap<TopicPartition, String>,
}

/// A move that the cluster accepted, or that was seen moving.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// Where it goes; leader first, the first phase goes elsewhere than the second.
    pub to: Vec<BrokerId>,
    /// Bytes of one copy when it began.
    pub bytes: u64,
}

/// What is remembered from tick to tick. What a successor needs of it is kept in the execution's record: `begun` and
/// `topic_ids`.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// Moves that have begun.
    pub begun: BTreeMap<TopicPartition, Begun>,
    /// Ids of the topics when the execution began.
    pub topic_ids: BTreeMap<TopicName, Uuid>,
    /// Moves that are given up.
    pub lost: BTreeMap<TopicPartition, Lost>,
    /// How fast the moves are.
    pub pace: Pace,
    totals: BTreeMap<TopicPartition, u64>,
    doubts: BTreeMap<TopicPartition, Doubt>,
    /// Moves whose answer was lost, where they were sent to, and when.
    unanswered: BTreeMap<TopicPartition, (Vec<BrokerId>, Duration)>,
    /// Moves that are done; none before the first look.
    done: Option<BTreeSet<TopicPartition>>,
    elections: BTreeMap<TopicPartition, usize>,
    watched: Watched,
    said: BTreeSet<Reason>,
    /// Partitions in a move of somebody else, as far as that was said.
    foreign: BTreeSet<TopicPartition>,
    /// Moves that the cluster refused, and those that the agent held back, with the reasons.
    refused: BTreeMap<TopicPartition, String>,
    withheld: BTreeMap<TopicPartition, String>,
    /// When something was copied last, and how much had been copied then.
    got_on: Duration,
    copied: u64,
}

/// Something that a person should know; an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The event's kind.
    pub kind: &'static str,
    /// What it is about.
    pub subject: Subject,
    /// In words.
    pub words: String,
    /// How bad it is.
    pub severity: Severity,
}

/// What a finding is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The execution.
    Cluster,
    /// One partition.
    Partition(TopicPartition),
}

/// How an execution ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Every move is as planned.
    Done,
    /// All that could be done is done; these moves were given up, in words.
    Incomplete(Vec<String>),
    /// It was asked to stop, and by whom.
    Stopped(String),
    /// `reassign cancel` asked it to.
    Cancelled,
    /// Nothing was copied for too long, and why.
    GaveUp(String),
}

/// What a tick decided.
#[derive(Debug, Clone, Default)]
pub struct Tick {
    /// How far it is.
    pub progress: Progress,
    /// What begins and who is elected.
    pub next: Next,
    /// Moves that have arrived since the last look.
    pub completed: Vec<TopicPartition>,
    /// What a person should know.
    pub findings: Vec<Finding>,
    /// What stands still.
    pub stalled: BTreeMap<Reason, Vec<TopicPartition>>,
    /// Whether something happened, so that the next look comes soon.
    pub changed: bool,
    /// How it ends, if it ends.
    pub ending: Option<Ending>,
}

/// Decides.
pub fn tick(mut memory: Memory, terms: &Terms, seen: Seen<'_>, control: &Control) -> (Memory, Tick) {
    let mut tick = Tick::default();
    memory.learn(terms, seen.observed);
    memory.judge_all(terms, seen, &mut tick);
    memory.complete(terms, seen.observed, &mut tick);
    memory.measure(terms, seen, &mut tick);
    if control.stop {
        tick.ending = Some(Ending::Cancelled);
        return (memory, tick);
    }
    memory.choose(terms, seen, control, &mut tick);
    tick.ending = memory.ending(terms, seen, control, &tick);
    (memory, tick)
}

impl Memory {
    /// The memory of an execution that goes on with what an earlier run began.
    pub fn of_record(begun: BTreeMap<TopicPartition, Begun>, topic_ids: BTreeMap<TopicName, Uuid>) -> Self {
        let totals = begun.iter().map(|(partition, begun)| (partition.clone(), begun.bytes)).collect();
        Self { begun, topic_ids, totals, ..Self::default() }
    }

    /// Takes the answers to what was submitted; what is new, in words.
    pub fn answered(&mut self, at: Duration, ended: &[(ReassignStep, Ended)]) -> Vec<String> {
        let mut words = Vec::new();
        for (step, Ended { outcome, reason, .. }) in ended {
            let partition = step.partition();
            let ReassignStep::Move { to, .. } = step else {
                *self.elections.entry(partition.clone()).or_default() += 1;
                continue;
            };
            match outcome {
                Outcome::Done => self.begin(partition, to),
                Outcome::Unknown => {
                    self.unanswered.insert(partition.clone(), (to.clone(), at));
                }
                _ => {
                    let why = reason.clone().unwrap_or_default();
                    if self.refused.insert(partition.clone(), why.clone()).as_ref() != Some(&why) {
                        words.push(format!("{}: {why}; it is tried again", step.subject()));
                    }
                    continue;
                }
            }
            self.refused.remove(partition);
        }
        words
    }

    /// Remembers which moves were chosen, but held back, and why.
    pub fn withhold(&mut self, held: BTreeMap<TopicPartition, String>) {
        self.withheld = held;
    }

    /// Moves that may run, though the last look did not show them.
    pub fn unsettled(&self) -> impl Iterator<Item = &TopicPartition> {
        self.unanswered.keys().chain(self.doubts.keys())
    }

    fn begin(&mut self, partition: &TopicPartition, to: &[BrokerId]) {
        self.unanswered.remove(partition);
        let bytes = self.totals.get(partition).copied().unwrap_or(0);
        let begun = self.begun.entry(partition.clone()).or_insert_with(|| Begun { to: Vec::new(), bytes });
        begun.to = to.to_vec();
    }

    /// The moves that are not given up.
    fn kept<'a>(&self, terms: &'a Terms) -> Vec<&'a PartitionMove> {
        terms.moves.iter().filter(|one| !self.lost.contains_key(&one.partition)).collect()
    }

    fn learn(&mut self, terms: &Terms, observed: &Observed) {
        for (topic, id) in &observed.topic_ids {
            self.topic_ids.entry(topic.clone()).or_insert(*id);
        }
        for one in self.kept(terms) {
            let (partition, size) = (&one.partition, observed.size_of(one));
            match observed.state(one) {
                State::Waiting if !self.begun.contains_key(partition) => {
                    self.totals.insert(partition.clone(), size);
                }
                State::Gone => {}
                _ => {
                    self.totals.entry(partition.clone()).or_insert(size);
                }
            }
            let begun = self.begun.get(partition).map(|begun| &begun.to[..]);
            if observed.state(one) == State::Running
                && stranger(one, begun, observed).is_none()
                && let Some(running) = observed.running.get(partition)
            {
                self.begin(partition, &running.target());
            }
        }
    }

    fn judge_all(&mut self, terms: &Terms, seen: Seen<'_>, tick: &mut Tick) {
        let mut fresh: BTreeMap<TopicPartition, Lost> = BTreeMap::new();
        for one in self.kept(terms) {
            let partition = &one.partition;
            // What has arrived may lag later.
            let has_arrived = self.done.as_ref().is_some_and(|done| done.contains(partition))
                && seen.observed.state(one) == State::Done;
            let begun = self.begun.get(partition).map(|begun| &begun.to[..]);
            let recreated = is_recreated(&partition.topic, &self.topic_ids, &seen.observed.topic_ids);
            let former = self.doubts.remove(partition);
            if has_arrived && !recreated {
                continue;
            }
            match judge((one, begun), (seen.observed, recreated), (seen.at, seen.sized_at), former.as_ref()) {
                Verdict::Fine => {}
                Verdict::Doubtful(doubt) => {
                    self.doubts.insert(partition.clone(), doubt);
                }
                Verdict::Lost(why) => {
                    fresh.insert(partition.clone(), why);
                }
            }
            self.say_foreign(one, seen.observed, tick);
        }
        for (partition, why) in fresh {
            let words = format!("partition {partition}: {why}");
            let subject = Subject::Partition(partition.clone());
            tick.findings.push(Finding { kind: why.kind(), subject, words, severity: Severity::Warning });
            self.unanswered.remove(&partition);
            self.lost.insert(partition, why);
            tick.changed = true;
        }
        self.unanswered.retain(|partition, (to, since)| {
            let now = seen.observed.partitions.get(partition).map(|seen| &seen.replicas);
            now != Some(to) && seen.at.saturating_sub(*since) < CONFIRMED_AFTER
        });
    }

    /// Says that somebody else moves a partition of the plan that was not begun yet.
    fn say_foreign(&mut self, one: &PartitionMove, observed: &Observed, tick: &mut Tick) {
        if observed.state(one) != State::Foreign {
            self.foreign.remove(&one.partition);
        } else if !self.begun.contains_key(&one.partition) && self.foreign.insert(one.partition.clone()) {
            let words = format!("partition {}: somebody else moves it; it is not begun", one.partition);
            let subject = Subject::Partition(one.partition.clone());
            tick.findings.push(Finding { kind: "reassign.move_foreign", subject, words, severity: Severity::Warning });
        }
    }

    /// Moves that have arrived since the last look. What was done before the first look is not this run's doing.
    fn complete(&mut self, terms: &Terms, observed: &Observed, tick: &mut Tick) {
        let is_done =
            |one: &&PartitionMove| observed.state(one) == State::Done && !self.doubts.contains_key(&one.partition);
        let done = self.kept(terms).into_iter().filter(is_done);
        let done: BTreeSet<_> = done.map(|one| one.partition.clone()).collect();
        if let Some(former) = &mut self.done {
            tick.completed = done.difference(former).cloned().collect();
            tick.changed |= !tick.completed.is_empty();
            former.extend(done);
        } else {
            self.done = Some(done);
        }
    }

    fn measure(&mut self, terms: &Terms, seen: Seen<'_>, tick: &mut Tick) {
        let Seen { observed, at, sized_at } = seen;
        tick.progress = progress(&terms.moves, observed, &self.totals, |partition| self.lost.contains_key(partition));
        let kept = self.kept(terms);
        self.pace.see(sized_at, &kept, observed);
        self.watched.see(at, &tick.progress);
        let copied = self.pace.copied();
        if copied > self.copied || !tick.completed.is_empty() {
            (self.got_on, self.copied) = (at, copied.max(self.copied));
        }
        tick.stalled = self.watched.stalled(at, (&terms.moves, observed), terms.stalled_after, terms.rate);
        self.said.retain(|reason| tick.stalled.contains_key(reason));
        for (reason, partitions) in &tick.stalled {
            if self.said.insert(reason.clone()) {
                let which = names(&partitions.iter().collect::<Vec<_>>());
                let words = format!("{} stalled: {} ({which})", count(partitions.len(), "move"), reason.words());
                let kind = "reassign.stalled";
                tick.findings.push(Finding { kind, subject: Subject::Cluster, words, severity: Severity::Error });
            }
        }
    }

    fn choose(&mut self, terms: &Terms, seen: Seen<'_>, control: &Control, tick: &mut Tick) {
        let alone = self.lost.keys().chain(self.doubts.keys()).chain(self.unanswered.keys()).chain(control.held.keys());
        let alone: BTreeSet<_> = alone.cloned().collect();
        let mut next = next(&terms.moves, seen.observed, (&terms.limits, terms.manner), &alone);
        next.held.extend(control.held.clone());
        if control.resting.is_some() || control.unlocked.is_some() {
            next.moves.clear();
        }
        let is_tried_out =
            |partition: &TopicPartition| self.elections.get(partition).copied().unwrap_or(0) >= ELECTIONS_MAX;
        let (given_up, elections): (Vec<_>, Vec<_>) =
            std::mem::take(&mut next.elections).into_iter().partition(|step| is_tried_out(step.partition()));
        next.elections = elections;
        if control.resting.is_none() && control.unlocked.is_none() {
            // Leader first, and the leader can't be changed: Kafka chooses another one when the old replicas go.
            let given_up: BTreeSet<_> = given_up.iter().map(ReassignStep::partition).collect();
            let all_there = terms.moves.iter().filter(|one| seen.observed.state(one) == State::Grown);
            next.moves.extend(all_there.filter(|one| given_up.contains(&one.partition)).map(|one| {
                ReassignStep::Move { partition: one.partition.clone(), from: grown(one), to: one.to.clone(), bytes: 0 }
            }));
        }
        tick.next = next;
    }

    fn ending(&mut self, terms: &Terms, seen: Seen<'_>, control: &Control, tick: &Tick) -> Option<Ending> {
        let is_open = |one: &&PartitionMove| {
            let state = seen.observed.state(one);
            !self.lost.contains_key(&one.partition)
                && (self.doubts.contains_key(&one.partition)
                    || matches!(state, State::Waiting | State::Running | State::Grown))
        };
        let is_over = !terms.moves.iter().any(|one| is_open(&one));
        if is_over && self.unanswered.is_empty() && tick.next.elections.is_empty() {
            let mut words = lost::words(&self.lost);
            words.extend(self.foreign.iter().map(|partition| format!("{partition}: somebody else moves it")));
            return Some(if words.is_empty() { Ending::Done } else { Ending::Incomplete(words) });
        }
        // Whoever may not begin anything is not impatient.
        if control.resting.is_some() && control.unlocked.is_none() {
            self.got_on = seen.at;
        }
        let is_late = seen.at.saturating_sub(self.got_on) > terms.patience;
        is_late.then(|| Ending::GaveUp(self.why_nothing_is_copied(terms, seen, &tick.progress, &tick.next)))
    }

    fn why_nothing_is_copied(&self, terms: &Terms, seen: Seen<'_>, progress: &Progress, next: &Next) -> String {
        let looked_at = (&terms.moves[..], seen.observed);
        let stalled = self.watched.stalled(seen.at, looked_at, Duration::ZERO, terms.rate);
        let mut words: Vec<_> = stalled
            .iter()
            .map(|(reason, partitions)| format!("{}: {}", count(partitions.len(), "move"), reason.words()))
            .collect();
        let mut held: BTreeMap<&String, Vec<&TopicPartition>> = BTreeMap::new();
        let mut reasons: BTreeMap<&TopicPartition, &String> = self.refused.iter().collect();
        reasons.extend(self.withheld.iter().chain(&next.held));
        for (partition, why) in reasons {
            held.entry(why).or_default().push(partition);
        }
        words.extend(held.into_iter().map(|(why, partitions)| format!("{}: {why}", names(&partitions))));
        format!(
            "nothing was copied for {} s, with {} running and {} not begun: {}",
            terms.patience.as_secs(),
            progress.running,
            progress.waiting,
            words.join("; ")
        )
    }
}
