//! Laws of the tick, over whole histories: brokers die and come back, producers write, others cancel, overlay and move,
//! topics are deleted and created again, answers are lost, brokers show things late, and the run is killed and started
//! again. However it went: what nobody meddled with is as planned at the end, what somebody took back is never begun again,
//! and nothing is said that is not so.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;
use uuid::Uuid;

use super::world::{act, cancel, finish, ids, world};
use crate::change::carry_out::Ended;
use crate::cluster::assignment::PartitionMove;
use crate::cluster::broker::BrokerId;
use crate::cluster::topic::{TopicName, TopicPartition};
use crate::commands::reassign::plan::lost::{Lost, is_cancelled, is_recreated};
use crate::commands::reassign::plan::next::{Limits, Manner};
use crate::commands::reassign::plan::seen::{Held, Observed, SeenPartition, Sizes, State};
use crate::commands::reassign::plan::step::ReassignStep;
use crate::commands::reassign::plan::tick::{Begun, Control, Ending, Memory, Seen, Terms, Tick, tick};

/// How many histories are made. `TOOLBOX_TEST_HISTORIES` says otherwise.
fn histories() -> u32 {
    std::env::var("TOOLBOX_TEST_HISTORIES").ok().and_then(|count| count.parse().ok()).unwrap_or(20_000)
}

/// A broker may show what was before for so long.
const LATE_MAX: Duration = Duration::from_secs(8);

/// How often sizes are read.
const SIZES_EVERY: Duration = Duration::from_secs(5);

const BROKERS: [i32; 5] = [1, 2, 3, 4, 5];

#[derive(Debug, Clone)]
enum Happening {
    /// Our run looks, so many tenths of a second after the last happening.
    Looks(u64),
    Copies(Index, u64),
    Arrives(Index),
    Writes(Index, u64),
    Dies(Index),
    ComesBack(Index),
    OthersCancel(Index),
    OthersMove(Index, Vec<BrokerId>),
    TopicGoes(Index),
    TopicComesBack,
    /// Brokers show what is now for a while, whatever happens.
    ShowsLate,
    /// The next answer is lost; the request may have arrived.
    AnswerIsLost(bool),
    /// The next request is refused.
    IsRefused,
    Pauses(bool),
    /// The run is killed, and started again.
    IsKilled,
}

fn replicas() -> impl Strategy<Value = Vec<BrokerId>> {
    prop::sample::subsequence(BROKERS.to_vec(), 1..=3).prop_shuffle().prop_map(|list| ids(&list))
}

fn partition(number: i32) -> TopicPartition {
    TopicPartition { topic: TopicName::new(format!("t{}", number % 2)).unwrap(), partition: number / 2 }
}

fn moves() -> impl Strategy<Value = Vec<PartitionMove>> {
    prop::collection::vec((replicas(), replicas(), 0..100_u64), 1..5).prop_map(|rows| {
        let rows = (0..).zip(rows);
        rows.map(|(number, (from, to, bytes))| PartitionMove { partition: partition(number), from, to, bytes })
            .collect()
    })
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::*;
    prop_oneof![
        12 => prop::sample::select(vec![1, 10, 50, 120]).prop_map(Looks),
        3 => (any::<Index>(), 1..60_u64).prop_map(|(one, bytes)| Copies(one, bytes)),
        5 => any::<Index>().prop_map(Arrives),
        2 => (any::<Index>(), 1..60_u64).prop_map(|(one, bytes)| Writes(one, bytes)),
        1 => any::<Index>().prop_map(Dies),
        2 => any::<Index>().prop_map(ComesBack),
        2 => any::<Index>().prop_map(OthersCancel),
        1 => (any::<Index>(), replicas()).prop_map(|(one, to)| OthersMove(one, to)),
        1 => any::<Index>().prop_map(TopicGoes),
        1 => Just(TopicComesBack),
        1 => Just(ShowsLate),
        1 => any::<bool>().prop_map(AnswerIsLost),
        1 => Just(IsRefused),
        1 => any::<bool>().prop_map(Pauses),
        1 => Just(IsKilled),
    ]
}

fn terms() -> impl Strategy<Value = Terms> {
    (moves(), 1..4_usize, 1..6_usize, any::<(bool, bool)>()).prop_map(
        |(moves, partitions, count, (leader_first, elects))| Terms {
            moves,
            limits: Limits { partitions, bytes: 150, moves: count, free: 0.0 },
            manner: Manner { leader_first, elects },
            patience: Duration::from_hours(1),
            stalled_after: Duration::from_mins(5),
            rate: None,
        },
    )
}

/// The cluster, our run, and what really happened.
struct History {
    terms: Terms,
    /// The moves of the plan, those too that are left out by now.
    all: Vec<PartitionMove>,
    truth: Observed,
    /// What brokers show instead of the truth, and since when.
    late: Option<(Duration, BTreeMap<TopicPartition, SeenPartition>)>,
    sizes: (Sizes, Duration),
    now: Duration,
    memory: Memory,
    /// The record, as the run keeps it.
    begun: BTreeMap<TopicPartition, Begun>,
    ids: BTreeMap<TopicName, Uuid>,
    cancelled: BTreeSet<TopicPartition>,
    control: Control,
    answers: Vec<Ended>,
    arrives: bool,
    /// What others did: anything at all, and what took one of our moves back that we knew to run.
    meddled: BTreeSet<TopicPartition>,
    taken_back: BTreeSet<TopicPartition>,
    /// Taken back, and not shown by any look yet.
    unseen: BTreeSet<TopicPartition>,
    ever_done: BTreeSet<TopicPartition>,
    deleted: BTreeMap<TopicPartition, SeenPartition>,
}

impl History {
    fn new(terms: Terms) -> Self {
        let mut truth = world(&BROKERS, &terms.moves);
        for one in &terms.moves {
            truth.topic_ids.entry(one.partition.topic.clone()).or_insert_with(Uuid::now_v7);
        }
        let mut history = Self {
            all: terms.moves.clone(),
            terms,
            truth,
            late: None,
            sizes: (Sizes::default(), Duration::ZERO),
            now: Duration::ZERO,
            memory: Memory::default(),
            begun: BTreeMap::new(),
            ids: BTreeMap::new(),
            cancelled: BTreeSet::new(),
            control: Control::default(),
            answers: Vec::new(),
            arrives: true,
            meddled: BTreeSet::new(),
            taken_back: BTreeSet::new(),
            unseen: BTreeSet::new(),
            ever_done: BTreeSet::new(),
            deleted: BTreeMap::new(),
        };
        history.read_sizes();
        history
    }

    /// What live brokers hold.
    fn read_sizes(&mut self) {
        let mut sizes = Sizes::default();
        for (partition, held) in &self.truth.sizes.held {
            let Some(seen) = self.truth.partitions.get(partition) else { continue };
            let live =
                held.iter().filter(|(broker, _)| self.truth.brokers.contains(broker) && seen.replicas.contains(broker));
            sizes.held.insert(partition.clone(), live.map(|(broker, held)| (*broker, *held)).collect());
        }
        sizes.totals = self.truth.brokers.iter().map(|broker| (*broker, 1)).collect();
        sizes.carry_over(&self.sizes.0);
        self.sizes = (sizes, self.now);
    }

    fn seen(&mut self) -> Observed {
        if self.now.saturating_sub(self.sizes.1) >= SIZES_EVERY {
            self.read_sizes();
        }
        self.late = self.late.take().filter(|(since, _)| self.now.saturating_sub(*since) < LATE_MAX);
        let mut seen = Observed { sizes: self.sizes.0.clone(), ..self.truth.clone() };
        if let Some((_, late)) = &self.late {
            // Moves are listed by the controller: only the metadata is late.
            seen.partitions.clone_from(late);
        }
        seen
    }

    /// A partition of the plan, also one that is left out by now.
    fn key(&self, one: Index) -> TopicPartition {
        self.all[one.index(self.all.len())].partition.clone()
    }

    fn running(&self, one: Index) -> Option<TopicPartition> {
        let running: Vec<_> = self.truth.running.keys().collect();
        (!running.is_empty()).then(|| running[one.index(running.len())].clone())
    }

    fn lives(&self, brokers: &[BrokerId]) -> bool {
        brokers.iter().all(|broker| self.truth.brokers.contains(broker))
    }

    fn happens(&mut self, what: Happening) -> Result<(), TestCaseError> {
        match what {
            Happening::Looks(tenths) => {
                self.now += Duration::from_millis(tenths * 100);
                self.looks()?;
            }
            Happening::Copies(one, bytes) => self.copies(one, bytes),
            Happening::Arrives(one) => self.arrives(one),
            Happening::Writes(one, bytes) => {
                let key = self.key(one);
                let Some(isr) = self.truth.partitions.get(&key).map(|seen| seen.isr.clone()) else { return Ok(()) };
                let held = self.truth.sizes.held.entry(key).or_default();
                held.iter_mut().filter(|(broker, _)| isr.contains(broker)).for_each(|(_, held)| held.bytes += bytes);
            }
            Happening::Dies(one) => {
                let broker = ids(&BROKERS)[one.index(BROKERS.len())];
                if self.truth.brokers.len() > 3 {
                    self.truth.brokers.remove(&broker);
                }
            }
            Happening::ComesBack(one) => {
                self.truth.brokers.insert(ids(&BROKERS)[one.index(BROKERS.len())]);
            }
            Happening::OthersCancel(one) => {
                if let Some(key) = self.running(one) {
                    self.meddle(&key);
                    cancel(&mut self.truth, &key);
                }
            }
            Happening::OthersMove(one, to) => {
                let key = self.key(one);
                if self.truth.partitions.contains_key(&key) {
                    self.meddle(&key);
                    if self.memory.begun.get(&key).is_some_and(|begun| begun.to == to) {
                        // The same move, possibly submitted again after a cancel: it can't be distinguished from ours.
                        self.unseen.remove(&key);
                        self.taken_back.remove(&key);
                    }
                    cancel(&mut self.truth, &key);
                    let from = self.truth.partitions[&key].replicas.clone();
                    act(&mut self.truth, &ReassignStep::Move { partition: key, from, to, bytes: 0 });
                }
            }
            Happening::TopicGoes(one) => self.topic_goes(&self.key(one).topic.clone()),
            Happening::TopicComesBack => self.topics_come_back(),
            Happening::ShowsLate => self.late = Some((self.now, self.truth.partitions.clone())),
            Happening::AnswerIsLost(arrives) => {
                self.arrives = arrives;
                self.answers.push(Ended::unknown("lost"));
            }
            Happening::IsRefused => self.answers.push(Ended::failed("refused")),
            Happening::Pauses(pauses) => self.control.resting = pauses.then(|| "paused".to_owned()),
            Happening::IsKilled => self.is_killed(),
        }
        self.note_done();
        Ok(())
    }

    fn note_done(&mut self) {
        let done = self.terms.moves.iter().filter(|one| self.truth.state(one) == State::Done);
        self.ever_done.extend(done.map(|one| one.partition.clone()));
    }

    /// Others do something to a partition. Whether they took back a move that our run knows of.
    fn meddle(&mut self, key: &TopicPartition) {
        self.meddled.insert(key.clone());
        if self.memory.begun.contains_key(key) {
            self.unseen.insert(key.clone());
        }
    }

    /// Whether a partition is where our run had brought it, whatever others began and took back meanwhile.
    fn is_where_we_left_it(&self, key: &TopicPartition) -> bool {
        let Some(seen) = self.truth.partitions.get(key).filter(|_| !self.truth.running.contains_key(key)) else {
            return false;
        };
        self.memory.begun.get(key).is_some_and(|begun| begun.to == seen.replicas)
    }

    fn copies(&mut self, one: Index, bytes: u64) {
        let Some(key) = self.running(one) else { return };
        let adding = self.truth.running[&key].adding.clone();
        let held = self.truth.sizes.held.entry(key).or_default();
        let size = held.values().map(|held| held.bytes).max().unwrap_or(0);
        for broker in adding.iter().filter(|broker| self.truth.brokers.contains(broker)) {
            let held = held.entry(*broker).or_default();
            *held = Held { bytes: (held.bytes + bytes).min(size), offset_lag: 1 };
        }
    }

    fn arrives(&mut self, one: Index) {
        let Some(key) = self.running(one) else { return };
        if self.lives(&self.truth.running[&key].adding.clone()) {
            finish(&mut self.truth, &key);
        }
    }

    fn topic_goes(&mut self, topic: &TopicName) {
        let keys: Vec<_> = self.truth.partitions.keys().filter(|key| key.topic == *topic).cloned().collect();
        for key in keys {
            self.meddle(&key);
            self.truth.running.remove(&key);
            let seen = self.truth.partitions.remove(&key).unwrap();
            self.deleted.insert(key, seen);
        }
        self.truth.topic_ids.remove(topic);
    }

    fn topics_come_back(&mut self) {
        for (key, seen) in std::mem::take(&mut self.deleted) {
            self.truth.topic_ids.entry(key.topic.clone()).or_insert_with(Uuid::now_v7);
            let from = self.all.iter().find(|one| one.partition == key).map(|one| one.from.clone());
            let replicas = from.unwrap_or(seen.replicas);
            let held = replicas.iter().map(|broker| (*broker, Held::default())).collect();
            self.truth.sizes.held.insert(key.clone(), held);
            let leader = replicas.first().copied();
            self.truth.partitions.insert(key, SeenPartition { leader, isr: replicas.clone(), replicas });
        }
    }

    /// The next run learns from the record alone. A run that finds the plan not to hold would be refused: such a history has
    /// no kill.
    fn is_killed(&mut self) {
        let observed = self.truth.clone();
        let is_other = |topic: &TopicName| is_recreated(topic, &self.ids, &observed.topic_ids);
        let is_refused = |one: &PartitionMove| {
            matches!(observed.state(one), State::Foreign | State::Strayed | State::Gone)
                || is_other(&one.partition.topic)
        };
        if self.late.is_some() || self.terms.moves.iter().any(is_refused) {
            return;
        }
        self.read_sizes();
        let observed = self.seen();
        let begun = &self.begun;
        let taken_back =
            self.terms.moves.iter().filter(|one| begun.contains_key(&one.partition) && is_cancelled(one, &observed));
        self.cancelled.extend(taken_back.map(|one| one.partition.clone()));
        self.terms.moves.retain(|one| !self.cancelled.contains(&one.partition));
        self.begun.retain(|partition, _| !self.cancelled.contains(partition));
        // Others overlaid it and took theirs back: a new run finds the plan to hold.
        let stands: Vec<_> = self.taken_back.iter().filter(|key| self.is_where_we_left_it(key)).cloned().collect();
        for key in &stands {
            self.taken_back.remove(key);
        }
        self.memory = Memory::of_record(self.begun.clone(), self.ids.clone());
        self.answers.clear();
        self.now = Duration::ZERO;
        self.sizes.1 = Duration::ZERO;
    }

    fn looks(&mut self) -> Result<Tick, TestCaseError> {
        let observed = self.seen();
        if self.late.is_none() {
            let unseen = std::mem::take(&mut self.unseen);
            let taken: Vec<_> = unseen.into_iter().filter(|key| !self.is_where_we_left_it(key)).collect();
            self.taken_back.extend(taken);
        }
        let seen = Seen { observed: &observed, at: self.now, sized_at: self.sizes.1 };
        let (memory, decided) = tick(std::mem::take(&mut self.memory), &self.terms, seen, &self.control);
        self.memory = memory;
        self.check(&decided)?;
        if decided.ending.is_none() {
            let steps = decided.next.moves.iter().chain(&decided.next.elections);
            let ended: Vec<_> = steps.map(|step| (step.clone(), self.submit(step))).collect();
            self.memory.answered(self.now, &ended);
        }
        (self.begun, self.ids) = (self.memory.begun.clone(), self.memory.topic_ids.clone());
        let cancelled = self.memory.lost.iter().filter(|(_, why)| **why == Lost::Cancelled);
        self.cancelled.extend(cancelled.map(|(partition, _)| partition.clone()));
        self.note_done();
        Ok(decided)
    }

    fn submit(&mut self, step: &ReassignStep) -> Ended {
        let key = step.partition();
        let answer = self.answers.pop().unwrap_or_else(Ended::done);
        let is_lost = answer == Ended::unknown("lost");
        if answer == Ended::failed("refused") || (is_lost && !self.arrives) {
            return answer;
        }
        let Some(seen) = self.truth.partitions.get(key) else { return Ended::failed("unknown partition") };
        if let ReassignStep::Elect { to, .. } = step
            && !seen.isr.contains(to)
        {
            return Ended::failed("not in sync");
        }
        if matches!(step, ReassignStep::Move { .. }) && self.truth.running.contains_key(key) {
            return Ended::failed("another move runs");
        }
        // Begun while nobody could know that it was taken back: this is another one.
        self.unseen.remove(step.partition());
        act(&mut self.truth, step);
        answer
    }

    fn check(&self, decided: &Tick) -> Result<(), TestCaseError> {
        for step in &decided.next.moves {
            prop_assert!(!self.taken_back.contains(step.partition()), "{step}: somebody took it back");
        }
        for partition in &decided.completed {
            prop_assert!(self.ever_done.contains(partition), "{partition} was never done");
        }
        for (partition, why) in &self.memory.lost {
            prop_assert!(self.meddled.contains(partition), "{partition}: {why}, and nobody meddled");
        }
        let progress = &decided.progress;
        let counted = progress.done + progress.running + progress.waiting + progress.lost;
        prop_assert_eq!(counted, self.terms.moves.len());
        prop_assert!(progress.bytes_done <= progress.bytes);
        Ok(())
    }

    /// Lets everything end that can end; how our run ended.
    fn rests(&mut self) -> Result<Ending, TestCaseError> {
        self.truth.brokers = ids(&BROKERS).into_iter().collect();
        self.control = Control::default();
        self.answers.clear();
        self.late = None;
        for _ in 0..80 {
            self.now += Duration::from_secs(5);
            if let Some(ending) = self.looks()?.ending {
                return Ok(ending);
            }
            let running: Vec<_> = self.truth.running.keys().cloned().collect();
            for key in &running {
                finish(&mut self.truth, key);
            }
            self.note_done();
        }
        Err(TestCaseError::fail(format!("it does not end: {:?}\n{:?}", self.truth, self.memory)))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: histories(), max_shrink_iters: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn a_history_ends_in_the_plan_or_says_why_not(
        terms in terms(), happenings in prop::collection::vec(happening(), 0..40),
    ) {
        let mut history = History::new(terms);
        for what in happenings {
            history.happens(what)?;
        }
        let ending = history.rests()?;
        let done = |one: &PartitionMove| history.truth.state(one) == State::Done;
        let given_up = |one: &PartitionMove| history.memory.lost.contains_key(&one.partition);
        match &ending {
            Ending::Done => {
                for one in &history.terms.moves {
                    prop_assert!(done(one), "{}: it is said to be done", one.partition);
                }
            }
            Ending::Incomplete(words) => {
                prop_assert!(!words.is_empty());
                for one in &history.terms.moves {
                    let others = history.truth.state(one) == State::Foreign;
                    prop_assert!(done(one) || given_up(one) || others, "{}: {words:?}", one.partition);
                }
            }
            other => return Err(TestCaseError::fail(format!("{other:?}"))),
        }
        for one in &history.terms.moves {
            let untouched = !history.meddled.contains(&one.partition);
            prop_assert!(!untouched || done(one), "{}: nobody meddled, and it is not as planned", one.partition);
        }
    }
}
