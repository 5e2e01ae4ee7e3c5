//! Which partitions get another leader: the preferred one, or of partitions without a leader a replica that is not in
//! sync (an unclean election). (metadata, whom it concerns) in, plan out. Pure.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use crate::change::event::Severity;
use crate::change::plan::{Plan, Risk, Step};
use crate::cluster::broker::BrokerId;
use crate::cluster::metadata::Metadata;
use crate::cluster::topic::{Partition, Topic, TopicName, TopicPartition};
use crate::commands::reassign::plan::step::list;

/// The partitions that an election concerns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Electorate {
    /// Every partition of the cluster.
    pub all: bool,
    /// Partitions of these topics.
    pub topics: BTreeSet<TopicName>,
    /// Partitions whose preferred leader is one of these brokers; in an unclean election those with a replica there.
    pub brokers: BTreeSet<BrokerId>,
    /// These partitions.
    pub partitions: BTreeSet<TopicPartition>,
}

/// The election of one partition's leader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ElectStep {
    /// The partition.
    pub partition: TopicPartition,
    /// Who leads now.
    pub from: Option<BrokerId>,
    /// Who is to lead; in an unclean election whom Kafka will choose by what was seen.
    pub to: BrokerId,
    /// The replicas that have every record; of an unclean election only.
    pub lost_with: Option<Vec<BrokerId>>,
}

impl Electorate {
    fn has(&self, key: &TopicPartition, seen: &Partition, unclean: bool) -> bool {
        let meant = if unclean { &seen.replicas[..] } else { seen.replicas.get(..1).unwrap_or_default() };
        self.all || self.is_named(key) || meant.iter().any(|broker| self.brokers.contains(broker))
    }

    /// Whether the topic or the partition itself is named.
    fn is_named(&self, key: &TopicPartition) -> bool {
        self.topics.contains(&key.topic) || self.partitions.contains(key)
    }
}

/// The elections of preferred leaders that are needed.
pub fn preferred(metadata: &Metadata, whom: &Electorate) -> Plan<ElectStep> {
    let mut plan = Plan::default();
    for (_, key, seen) in concerned(metadata, whom, false) {
        let Some(to) = seen.replicas.first().copied().filter(|to| seen.leader != Some(*to)) else { continue };
        if !metadata.brokers.contains_key(&to) {
            plan.refuse(subject(&key), "elect", format!("its preferred leader, broker {to}, is down; start it first"));
        } else if !seen.isr.contains(&to) {
            let words = format!(
                "its preferred leader, broker {to}, is not in sync ({} are); wait until it has caught up",
                list(&seen.isr)
            );
            plan.refuse(subject(&key), "elect", words);
        } else {
            plan.steps.push(ElectStep { partition: key, from: seen.leader, to, lost_with: None });
        }
    }
    refuse_missing(metadata, whom, &mut plan);
    plan
}

/// The unclean elections that are needed: those of partitions without a leader. What the elected replica lacks is lost.
pub fn unclean(metadata: &Metadata, whom: &Electorate) -> Plan<ElectStep> {
    let mut plan = Plan::default();
    for (topic, key, seen) in concerned(metadata, whom, true) {
        if seen.leader.is_some() {
            continue;
        }
        let is_live = |broker: &&BrokerId| metadata.brokers.contains_key(broker) && !seen.offline.contains(broker);
        let in_sync = seen.replicas.iter().filter(is_live).find(|broker| seen.isr.contains(broker));
        let Some(to) = in_sync.or_else(|| seen.replicas.iter().find(is_live)).copied() else {
            let words = format!("none of its replicas {} is up; start one of them first", list(&seen.replicas));
            plan.refuse(subject(&key), "elect", words);
            continue;
        };
        if topic.internal && !whom.is_named(&key) {
            let words = "it is of an internal topic, which an unclean election concerns only when the topic or the partition \
                         is named";
            plan.refuse(subject(&key), "elect", words);
            continue;
        }
        plan.steps.push(ElectStep { partition: key, from: None, to, lost_with: Some(seen.isr.clone()) });
    }
    refuse_missing(metadata, whom, &mut plan);
    plan
}

/// The partitions that the election concerns, ordered by topic and number.
fn concerned<'a>(
    metadata: &'a Metadata,
    whom: &'a Electorate,
    unclean: bool,
) -> impl Iterator<Item = (&'a Topic, TopicPartition, &'a Partition)> {
    let all = metadata.topics.values().flat_map(|topic| {
        topic
            .partitions
            .iter()
            .map(move |seen| (topic, TopicPartition { topic: topic.name.clone(), partition: seen.partition }, seen))
    });
    all.filter(move |(_, key, seen)| whom.has(key, seen, unclean))
}

/// Refuses what is named and does not exist.
fn refuse_missing(metadata: &Metadata, whom: &Electorate, plan: &mut Plan<ElectStep>) {
    for topic in whom.topics.iter().filter(|topic| !metadata.topics.contains_key(*topic)) {
        plan.refuse(format!("topic:{topic}"), "elect", "the cluster has no such topic");
    }
    let exists = |key: &TopicPartition| {
        let topic = metadata.topics.get(&key.topic);
        topic.is_some_and(|topic| topic.partitions.iter().any(|seen| seen.partition == key.partition))
    };
    for key in whom.partitions.iter().filter(|key| !exists(key)) {
        plan.refuse(subject(key), "elect", "the cluster has no such partition");
    }
}

impl ElectStep {
    /// Whether the partition is led as the step wants.
    pub fn is_shown(&self, metadata: &Metadata) -> bool {
        let partitions = metadata.topics.get(&self.partition.topic).map_or(&[][..], |topic| &topic.partitions);
        let seen = partitions.iter().find(|seen| seen.partition == self.partition.partition);
        seen.is_some_and(|seen| match self.lost_with {
            Some(_) => seen.leader.is_some(),
            None => seen.leader == Some(self.to),
        })
    }
}

fn subject(key: &TopicPartition) -> String {
    format!("partition:{key}")
}

impl fmt::Display for ElectStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partition, from, to, lost_with } = self;
        let from = from.map_or_else(|| "none".to_owned(), |broker| broker.to_string());
        write!(f, "~ partition {partition}: leader {from} -> {to}")?;
        match lost_with {
            None => Ok(()),
            Some(isr) if isr.contains(to) => f.write_str(" (in sync: nothing is lost)"),
            Some(isr) if isr.is_empty() => f.write_str(" (not in sync: the records that it lacks are lost)"),
            Some(isr) => write!(f, " (not in sync: records that only {} has are lost)", list(isr)),
        }
    }
}

/// Who is elected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ElectBatch {
    /// The preferred leader is elected.
    Preferred,
    /// A replica that is not in sync is elected.
    Unclean,
}

impl fmt::Display for ElectBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Preferred => "elect",
            Self::Unclean => "elect-unclean",
        })
    }
}

impl Step for ElectStep {
    type Batch = ElectBatch;

    fn subject(&self) -> String {
        subject(&self.partition)
    }

    fn risk(&self) -> Risk {
        if self.lost_with.is_some() { Risk::LosesData } else { Risk::Reversible }
    }

    fn kind(&self) -> &'static str {
        if self.lost_with.is_some() { "reassign.unclean_leader_elected" } else { "reassign.leader_elected" }
    }

    fn batch(&self) -> ElectBatch {
        if self.lost_with.is_some() { ElectBatch::Unclean } else { ElectBatch::Preferred }
    }

    fn severity(&self) -> Severity {
        if self.lost_with.is_some() { Severity::Warning } else { Severity::Low }
    }

    fn before_after(&self) -> (Option<String>, Option<String>) {
        (self.from.map(|broker| format!("leader: {broker}")), Some(format!("leader: {}", self.to)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::broker::Broker;

    /// Live brokers, and partitions of `orders`: leader, replicas, ISR. Broker 0 stands for none.
    fn cluster(live: &[i32], partitions: &[(i32, &[i32], &[i32])]) -> Metadata {
        let ids = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect::<Vec<_>>();
        let broker = |id: BrokerId| Broker { id, host: "127.0.0.1".into(), port: 9092, rack: None };
        let partition = |(number, (leader, replicas, isr)): (i32, &(i32, &[i32], &[i32]))| Partition {
            partition: number,
            leader: (*leader > 0).then_some(BrokerId(*leader)),
            replicas: ids(replicas),
            isr: ids(isr),
            offline: Vec::new(),
        };
        let orders = Topic {
            name: TopicName::new("orders").unwrap(),
            internal: false,
            id: None,
            partitions: (0..).zip(partitions).map(partition).collect(),
        };
        Metadata {
            cluster_id: "id".into(),
            controller: None,
            brokers: ids(live).into_iter().map(|id| (id, broker(id))).collect(),
            topics: [(orders.name.clone(), orders)].into(),
        }
    }

    fn all() -> Electorate {
        Electorate { all: true, ..Electorate::default() }
    }

    fn lines(plan: &Plan<ElectStep>) -> Vec<String> {
        plan.steps.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn only_partitions_that_another_broker_leads_get_their_preferred_leader_and_others_are_refused_by_reason() {
        let seen = cluster(
            &[1, 2, 3],
            &[(1, &[1, 2], &[1, 2]), (2, &[1, 2], &[1, 2]), (2, &[3, 2], &[2]), (2, &[4, 2], &[2])],
        );
        let plan = preferred(&seen, &all());
        assert_eq!(lines(&plan), ["~ partition orders-1: leader 2 -> 1"]);
        let reasons: Vec<_> = plan.refusals.iter().map(|one| (one.subject.as_str(), one.reason.as_str())).collect();
        let late = "its preferred leader, broker 3, is not in sync ([2] are); wait until it has caught up";
        let down = "its preferred leader, broker 4, is down; start it first";
        assert_eq!(reasons, [("partition:orders-2", late), ("partition:orders-3", down)]);
        assert_eq!(plan.steps[0].risk(), Risk::Reversible);
    }

    #[test]
    fn an_election_concerns_the_topics_brokers_and_partitions_that_are_named() {
        let seen = cluster(&[1, 2], &[(2, &[1, 2], &[1, 2]), (1, &[2, 1], &[1, 2]), (2, &[1, 2], &[1, 2])]);
        let of = |whom: Electorate| lines(&preferred(&seen, &whom)).len();
        let key = |partition| TopicPartition { topic: TopicName::new("orders").unwrap(), partition };
        assert_eq!(of(Electorate { brokers: [BrokerId(2)].into(), ..<_>::default() }), 1, "whom it prefers");
        assert_eq!(of(Electorate { topics: [TopicName::new("orders").unwrap()].into(), ..<_>::default() }), 3);
        assert_eq!(of(Electorate { partitions: [key(2)].into(), ..<_>::default() }), 1);
        let missing = Electorate {
            partitions: [key(9)].into(),
            topics: [TopicName::new("gone").unwrap()].into(),
            ..<_>::default()
        };
        let refused = preferred(&seen, &missing).refusals;
        assert_eq!(
            refused.iter().map(|one| one.subject.as_str()).collect::<Vec<_>>(),
            ["topic:gone", "partition:orders-9"]
        );
    }

    #[test]
    fn an_unclean_election_is_only_for_partitions_without_a_leader_and_says_what_is_lost() {
        let seen = cluster(
            &[2, 3],
            &[(2, &[1, 2], &[2]), (0, &[1, 2], &[1]), (0, &[1, 3, 2], &[1, 2]), (0, &[1, 4], &[1]), (0, &[1, 3], &[])],
        );
        let plan = unclean(&seen, &all());
        assert_eq!(
            lines(&plan),
            [
                "~ partition orders-1: leader none -> 2 (not in sync: records that only [1] has are lost)",
                "~ partition orders-2: leader none -> 2 (in sync: nothing is lost)",
                "~ partition orders-4: leader none -> 3 (not in sync: the records that it lacks are lost)",
            ]
        );
        assert!(plan.steps.iter().all(|step| step.risk() == Risk::LosesData));
        assert_eq!(plan.refusals[0].reason, "none of its replicas [1,4] is up; start one of them first");
        let of_four = Electorate { brokers: [BrokerId(4)].into(), ..<_>::default() };
        assert_eq!(unclean(&seen, &of_four).refusals.len(), 1, "a replica there is enough");
    }

    #[test]
    fn internal_topics_take_part_in_an_unclean_election_only_when_they_are_named() {
        let mut seen = cluster(&[2], &[(0, &[1, 2], &[1])]);
        for topic in seen.topics.values_mut() {
            topic.internal = true;
        }
        let plan = unclean(&seen, &all());
        assert!(plan.steps.is_empty() && plan.refusals[0].reason.contains("only when the topic"), "{plan:?}");
        let named = Electorate { topics: seen.topics.keys().cloned().collect(), ..<_>::default() };
        assert_eq!(unclean(&seen, &named).steps.len(), 1);
    }

    #[test]
    fn what_was_elected_is_not_planned_again() {
        let mut seen = cluster(&[1, 2], &[(2, &[1, 2], &[1, 2]), (0, &[3, 2], &[3])]);
        let first = preferred(&seen, &all());
        let other = unclean(&seen, &all());
        for step in first.steps.iter().chain(&other.steps) {
            assert!(!step.is_shown(&seen));
            let topic = seen.topics.get_mut(&step.partition.topic).unwrap();
            let partition = &mut topic.partitions[usize::try_from(step.partition.partition).unwrap()];
            partition.leader = Some(step.to);
            assert!(step.is_shown(&seen));
        }
        assert_eq!((preferred(&seen, &all()).steps.len(), unclean(&seen, &all()).steps.len()), (0, 0));
    }
}
