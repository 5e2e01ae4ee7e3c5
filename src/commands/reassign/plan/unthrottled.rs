//! Which moves may not begin because their throttle does not hold: those of a broker or topic whose throttle could not be
//! set or read. The others go on.

use std::collections::{BTreeMap, BTreeSet};

use crate::change::carry_out::Ended;
use crate::change::event::Outcome;
use crate::change::throttle::step::ThrottleStep;
use crate::cluster::assignment::PartitionMove;
use crate::cluster::broker::BrokerId;
use crate::cluster::throttle::{PresentThrottles, Throttles};
use crate::cluster::topic::{TopicName, TopicPartition};
use crate::commands::reassign::plan::seen::Observed;

/// What is not throttled as it should be, and why.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unthrottled {
    /// Nothing is, for this reason.
    pub all: Option<String>,
    /// Brokers without their rates.
    pub brokers: BTreeMap<BrokerId, String>,
    /// Topics that are not counted.
    pub topics: BTreeMap<TopicName, String>,
}

impl Unthrottled {
    /// After steps towards the desired throttles ended as they did. A throttle that could not be taken away holds nothing up. Brokers
    /// that are down are not asked for: they copy nothing.
    pub fn after(
        desired: &Throttles,
        live: &BTreeSet<BrokerId>,
        seen: &PresentThrottles,
        ended: &[(ThrottleStep, Ended)],
    ) -> Self {
        let silent = desired.rates.keys().filter(|broker| live.contains(broker) && !seen.rates.contains_key(broker));
        let silent = silent.map(|broker| (*broker, format!("broker {broker} does not say what its throttle is")));
        let mut unthrottled = Self { brokers: silent.collect(), ..Self::default() };
        for (step, ended) in ended.iter().filter(|(step, ended)| ended.outcome != Outcome::Done && !step.removes()) {
            let why = ended.reason.as_deref().unwrap_or("not done");
            match step {
                ThrottleStep::Rates { broker, .. } => {
                    unthrottled.brokers.insert(*broker, format!("broker {broker}: {why}"));
                }
                ThrottleStep::Lists { topic, .. } => {
                    unthrottled.topics.insert(topic.clone(), format!("topic {topic}: {why}"));
                }
            }
        }
        unthrottled
    }

    /// Whether all is throttled as it should be.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// These and those.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.all = others.all.or(self.all);
        self.brokers.extend(others.brokers);
        self.topics.extend(others.topics);
        self
    }

    /// The moves that may not begin, and why.
    pub fn held(&self, moves: &[PartitionMove], observed: &Observed) -> BTreeMap<TopicPartition, String> {
        let held = |one: &PartitionMove| Some((one.partition.clone(), self.why(one, observed)?.clone()));
        moves.iter().filter_map(held).collect()
    }

    /// Why a move may not begin; none where its throttle holds, or where it copies nothing.
    fn why(&self, one: &PartitionMove, observed: &Observed) -> Option<&String> {
        let arriving = observed.arriving(one);
        if arriving.is_empty() {
            return None;
        }
        let of_broker = || one.from.iter().chain(&arriving).find_map(|broker| self.brokers.get(broker));
        self.all.as_ref().or_else(|| self.topics.get(&one.partition.topic)).or_else(of_broker)
    }

    /// All reasons.
    pub fn reasons(&self) -> impl Iterator<Item = &String> {
        self.all.iter().chain(self.brokers.values()).chain(self.topics.values())
    }
}
