//! The laws of a plan, checked against goal and observation alone, right before it is written.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::Finding;
use super::Mapping;
use super::Severity;
use super::model::Model;
use super::peak;
use super::spread::Spread;
use crate::cluster::assignment::PartitionMove;
use crate::cluster::broker::BrokerId;
use crate::cluster::log_dirs::Coming;
use crate::cluster::log_dirs::LogDirs;
use crate::cluster::log_dirs::is_cordoned;
use crate::cluster::size::Bytes;
use crate::commands::mapping::observe::Observed;
use crate::commands::mapping::observe::ObservedPartition;
use crate::commands::mapping::observe::ObservedTopic;
use crate::commands::mapping::spec::goal::Goal;
use crate::commands::mapping::spec::goal::Operation;

/// What is wrong with a plan; nothing, if it is legal. All findings are blocking.
///
/// 1. Each move is one of a selected partition, made for its present replicas, and neither moving nor offline.
/// 2. Its target has the right number of replicas, none twice, all on live brokers, new ones on allowed brokers only,
///    at least as many as `min.insync.replicas`.
///    and on none that is cordoned.
/// 3. It keeps a present in-sync replica, unless it has only one or its broker must go.
/// 4. Racks are no less spread than before.
/// 5. Disks hold both copies, at once or in some order; several log dirs of a broker do at once, wherever Kafka puts them.
pub fn verify(goal: &Goal, observed: &Observed, mapping: &Mapping) -> Vec<Finding> {
    let model = Model::new(goal, observed);
    let spread = Spread::new(&model);
    let laws = Laws { goal, observed, model: &model, spread: &spread };
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    for one in &mapping.moves {
        let mut faults = laws.faults(one);
        if !seen.insert(&one.partition) {
            faults.push(("twice", "the plan names it twice".into()));
        }
        findings.extend(faults.into_iter().map(|(code, text)| finding(&one.partition.to_string(), code, text)));
    }
    findings.extend(full_disks(&model, &mapping.moves));
    findings.extend(full_log_dirs(&model, observed, &mapping.moves));
    findings.sort();
    findings
}

struct Laws<'l> {
    goal: &'l Goal,
    observed: &'l Observed,
    model: &'l Model<'l>,
    spread: &'l Spread,
}

type Fault = (&'static str, String);

impl Laws<'_> {
    fn faults(&self, one: &PartitionMove) -> Vec<Fault> {
        let topic = self.observed.topics.get(&one.partition.topic);
        let number = usize::try_from(one.partition.partition).unwrap_or(usize::MAX);
        let Some((topic, partition)) = topic.and_then(|topic| Some((topic, topic.partitions.get(number)?))) else {
            return vec![("unknown-partition", "the cluster has no such partition".into())];
        };
        let mut faults = self.faults_of_state(one, partition);
        faults.extend(self.faults_of_target(one, topic, partition));
        faults.extend(self.fault_of_racks(one));
        faults
    }

    fn faults_of_state(&self, one: &PartitionMove, partition: &ObservedPartition) -> Vec<Fault> {
        let mut faults = Vec::new();
        if !self.goal.topics.contains(&one.partition.topic) {
            faults.push(("not-selected", "its topic is not one of those that may be touched".into()));
        }
        if one.from != partition.replicas {
            faults.push(("stale", "its replicas are not those that the plan was made for: plan again".into()));
        }
        if partition.moving {
            faults.push(("moving", "a move of it runs now: let it finish or cancel it".into()));
        }
        if partition.leader.is_none() || !partition.replicas.iter().any(|id| self.is_synced(partition, *id)) {
            faults.push(("offline", "it has no live in-sync replica to copy from".into()));
        }
        faults
    }

    fn faults_of_target(
        &self,
        one: &PartitionMove,
        topic: &ObservedTopic,
        partition: &ObservedPartition,
    ) -> Vec<Fault> {
        let mut faults = Vec::new();
        let wanted = self.goal.replication_factor.unwrap_or(partition.replicas.len());
        if one.to.len() != wanted {
            faults.push(("wrong-replicas", format!("{} replicas are planned, {wanted} wanted", one.to.len())));
        }
        if one.is_malformed() {
            faults.push(("twice-on-a-broker", "the plan names a broker twice, or none".into()));
        }
        for id in one.to.iter().filter(|id| !self.is_live(**id)) {
            faults.push(("not-live", format!("broker {id} is not live")));
        }
        for id in one.to.iter().filter(|id| self.observed.brokers.get(id).is_some_and(|one| is_cordoned(&one.log_dirs)))
        {
            let text = format!("broker {id} is cordoned, and Kafka refuses target lists that name it");
            faults.push(("cordoned", text));
        }
        for id in one.adding().filter(|id| !self.goal.brokers.contains(id)) {
            faults.push(("not-allowed", format!("broker {id} is not one of those that may be used")));
        }
        let least = topic.min_insync_replicas.unwrap_or(0);
        if one.to.len() < one.from.len() && one.to.len() < least {
            faults
                .push(("min-insync", format!("it would have fewer replicas than its min.insync.replicas of {least}")));
        }
        if !self.keeps_synced(one, partition) {
            faults.push(("no-source", "no replica that is in sync now would stay".into()));
        }
        faults
    }

    /// Whether an in-sync replica stays; one that is the only replica, or whose broker should be empty, need not.
    fn keeps_synced(&self, one: &PartitionMove, partition: &ObservedPartition) -> bool {
        let stays = |id: &BrokerId| self.model.brokers.iter().any(|node| node.id == *id && !node.leaving);
        let synced: Vec<_> = partition.replicas.iter().filter(|id| self.is_synced(partition, **id)).collect();
        one.to.len() == 1 || synced.iter().any(|id| one.to.contains(id)) || !synced.iter().any(|id| stays(id))
    }

    fn fault_of_racks(&self, one: &PartitionMove) -> Option<Fault> {
        let (before, after) = (self.misplaced(&one.from, one.to.len()), self.misplaced(&one.to, one.to.len()));
        let worse = after > before || (after > 0 && matches!(self.goal.operation, Operation::Rebuild { .. }));
        let moves_data = !one.is_reorder();
        (worse && moves_data).then(|| ("racks", "its replicas would be less spread over racks than they can be".into()))
    }

    /// How many replicas stand in the wrong racks.
    fn misplaced(&self, replicas: &[BrokerId], wanted: usize) -> u32 {
        let mut counts = vec![0_u32; self.model.racks.len()];
        for id in replicas {
            if let Ok(at) = self.model.brokers.binary_search_by_key(id, |node| node.id) {
                counts[self.model.brokers[at].rack] += 1;
            }
        }
        self.spread.misplaced(&counts, wanted)
    }

    fn is_live(&self, id: BrokerId) -> bool {
        self.observed.brokers.get(&id).is_some_and(|broker| broker.live)
    }

    fn is_synced(&self, partition: &ObservedPartition, id: BrokerId) -> bool {
        self.is_live(id) && !partition.out_of_sync.contains(&id)
    }
}

/// Brokers whose disks don't hold what comes before what leaves is gone, in no order that was found.
fn full_disks(model: &Model<'_>, moves: &[PartitionMove]) -> Vec<Finding> {
    let known = model.brokers.iter().filter(|node| node.dirs.is_known());
    let room: BTreeMap<_, _> = known.map(|node| (node.id, node.dirs.room())).collect();
    if peak::fits_at_once(moves, &room) {
        return Vec::new();
    }
    let Err(stuck) = peak::order(moves, room) else { return Vec::new() };
    let text = "its new copies fit on the disks in no order of the moves: free disks, or raise the disk limit";
    stuck.into_iter().map(|at| finding(&moves[at].partition.to_string(), "disk-full", text.into())).collect()
}

/// Brokers with several log dirs of which one may get more than it holds, wherever Kafka puts what comes.
fn full_log_dirs(model: &Model<'_>, observed: &Observed, moves: &[PartitionMove]) -> Vec<Finding> {
    let mut coming: BTreeMap<BrokerId, Coming> = BTreeMap::new();
    for one in moves {
        for broker in one.adding() {
            let sum = coming.entry(broker).or_default();
            *sum = sum.and(one.bytes);
        }
    }
    let several = model.brokers.iter().filter(|node| node.dirs.are_several());
    let full = several.filter_map(|node| {
        let too_small = node.dirs.too_small(*coming.get(&node.id)?)?;
        let dirs = observed.brokers.get(&node.id).map_or(&[][..], |broker| &broker.log_dirs);
        let place = too_small.dir.and_then(|dir| dirs.get(dir)).map_or("its log dirs", |dir| dir.path.as_str());
        let text = format!(
            "{place} may get {} of the new replicas, up to {}, and may take {} below the limit: {}",
            too_small.replicas,
            Bytes(too_small.bytes),
            Bytes(too_small.room),
            LogDirs::RULE,
        );
        let subject = format!("broker:{}", node.id);
        Some(Finding { severity: Severity::Blocking, code: "disk-full", subject, text })
    });
    full.collect()
}

fn finding(partition: &str, code: &'static str, text: String) -> Finding {
    Finding { severity: Severity::Blocking, code, subject: format!("partition:{partition}"), text }
}
