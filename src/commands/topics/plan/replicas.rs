//! Another replication factor for topics that are there: `mapping` places the replicas, `reassign` moves them.
//!
//! Steps:
//! 1. Take the cluster as it will be once the new partitions of this plan are there.
//! 2. Topics of one map that want the same factor are planned together, so that the brokers fill evenly; the next group
//!    starts from where the last one ends.
//! 3. Replicas outside a topic's map stay where they are; only the factor changes.

use std::collections::{BTreeMap, BTreeSet};

use crate::change::plan::Plan;
use crate::cluster::assignment::PartitionMove;
use crate::cluster::broker::BrokerId;
use crate::cluster::map::Maps;
use crate::cluster::topic::TopicName;
use crate::commands::mapping::observe::{Observed, ObservedPartition};
use crate::commands::mapping::plan::{self as mapping, Finding, Severity};
use crate::commands::mapping::spec::amounts::DISK_LIMIT;
use crate::commands::mapping::spec::goal::{Goal, Operation};
use crate::commands::topics::plan::step::{TopicStep, subject};

/// The planner's word for partitions that move now.
const MOVING: &str = "moving";

/// A topic that should have another replication factor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The topic.
    pub name: TopicName,
    /// Its replication factor now.
    pub from: usize,
    /// The one it should have.
    pub to: usize,
    /// Live brokers that its new replicas may be placed on.
    pub brokers: BTreeSet<BrokerId>,
}

/// Plans all of them.
pub fn plan(wanted: &[Wanted], placement: Option<&Observed>, maps: &Maps, plan: &mut Plan<TopicStep>) {
    let Some(placement) = placement else {
        for one in wanted {
            let reason = "what the brokers hold was not observed, so that no place can be chosen; observe again";
            plan.refuse(subject(&one.name), &one.change(), reason);
        }
        return;
    };
    let mut world = with_new_partitions(placement, &plan.steps);
    let capacities = maps.capacities();
    let mut groups: BTreeMap<(&BTreeSet<BrokerId>, usize), Vec<&Wanted>> = BTreeMap::new();
    for one in wanted {
        groups.entry((&one.brokers, one.to)).or_default().push(one);
    }
    for ((brokers, factor), group) in groups {
        let goal = Goal { capacities: capacities.clone(), ..goal(&group, brokers, factor, &world) };
        let made = mapping::plan(&goal, &world);
        let mut findings = made.findings.clone();
        findings.extend(mapping::verify(&goal, &world, &made));
        let moves = by_topic(made.moves);
        for one in group {
            settle(one, moves.get(&one.name), (&findings, &mut world), plan);
        }
    }
}

impl Wanted {
    fn change(&self) -> String {
        format!("replication factor {} -> {}", self.from, self.to)
    }
}

/// A step or a refusal for one topic; what is planned is true for the topics after it.
fn settle(
    one: &Wanted,
    moves: Option<&Vec<PartitionMove>>,
    (findings, world): (&[Finding], &mut Observed),
    plan: &mut Plan<TopicStep>,
) {
    // Moves that run now were looked at before: they lead to the same factor.
    let blocks = |finding: &Finding| finding.severity == Severity::Blocking && finding.code != MOVING;
    let blocking = findings.iter().find(|finding| blocks(finding) && concerns(finding, one));
    if let Some(finding) = blocking {
        plan.refuse(subject(&one.name), &one.change(), format!("{} ({})", finding.text, finding.code));
        return;
    }
    let Some(moves) = moves else {
        plan.refuse(subject(&one.name), &one.change(), "no broker can take another replica of it now");
        return;
    };
    for one in moves {
        let partitions = world.topics.get_mut(&one.partition.topic).map(|topic| &mut topic.partitions);
        let index = usize::try_from(one.partition.partition).unwrap_or(usize::MAX);
        if let Some(partition) = partitions.and_then(|partitions| partitions.get_mut(index)) {
            partition.bytes = vec![one.bytes; one.to.len()];
            partition.replicas.clone_from(&one.to);
            partition.log_dirs.clear();
            partition.out_of_sync.retain(|broker| one.to.contains(broker));
        }
    }
    plan.steps.push(TopicStep::ChangeReplicas {
        name: one.name.clone(),
        from: one.from,
        to: one.to,
        moves: moves.clone(),
    });
}

/// Whether a finding is about this topic: its own, one of its partitions', or about what all topics share.
fn concerns(finding: &Finding, one: &Wanted) -> bool {
    match finding.subject.split_once(':') {
        Some(("topic", name)) => name == one.name.as_str(),
        Some(("partition", name)) => name.rsplit_once('-').is_some_and(|(topic, _)| topic == one.name.as_str()),
        _ => true,
    }
}

fn goal(group: &[&Wanted], brokers: &BTreeSet<BrokerId>, factor: usize, world: &Observed) -> Goal {
    let topics: BTreeSet<_> = group.iter().map(|one| one.name.clone()).collect();
    let partitions = topics.iter().filter_map(|name| world.topics.get(name)).flat_map(|topic| &topic.partitions);
    let holders = partitions.flat_map(|partition| &partition.replicas).copied();
    Goal {
        operation: Operation::Rebuild { force: false },
        brokers: brokers.iter().copied().chain(holders).collect(),
        topics,
        replication_factor: Some(factor),
        tolerance: 1.0,
        range: None,
        budget_bytes: None,
        moves_max: None,
        leaders: false,
        disk_limit: DISK_LIMIT.0,
        require_n_minus_1: false,
        capacities: BTreeMap::new(),
        racks: BTreeMap::new(),
    }
}

/// The cluster once the partitions that this plan adds are there, empty.
fn with_new_partitions(placement: &Observed, steps: &[TopicStep]) -> Observed {
    let mut world = placement.clone();
    for step in steps {
        let TopicStep::AddPartitions { name, assignment, .. } = step else { continue };
        let Some(topic) = world.topics.get_mut(name) else { continue };
        topic.partitions.extend(assignment.iter().map(|replicas| ObservedPartition {
            leader: replicas.first().copied(),
            bytes: vec![0; replicas.len()],
            replicas: replicas.clone(),
            ..ObservedPartition::default()
        }));
    }
    world
}

fn by_topic(moves: Vec<PartitionMove>) -> BTreeMap<TopicName, Vec<PartitionMove>> {
    let mut by_topic: BTreeMap<TopicName, Vec<PartitionMove>> = BTreeMap::new();
    for one in moves {
        by_topic.entry(one.partition.topic.clone()).or_default().push(one);
    }
    by_topic
}
