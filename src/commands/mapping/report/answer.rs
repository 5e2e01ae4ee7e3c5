//! [`Answer`]: a plan with its effect on every broker, as data: what `-o json` prints and what tables and pages show.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::cluster::assignment::PartitionMove;
use crate::cluster::broker::BrokerId;
use crate::cluster::map::Capacity;
use crate::cluster::size::ByteRate;
use crate::commands::mapping::observe::Observed;
use crate::commands::mapping::plan::{Finding, Severity};
use crate::commands::mapping::report::flow::{self, Flow, Traffic};
use crate::commands::mapping::report::least::least;
use crate::commands::mapping::report::load::{self, CapacityFrom, Load, changes, loads};
use crate::commands::mapping::spec::goal::Goal;

/// One goal and the moves that meet it.
#[derive(Debug, Clone)]
pub struct Planned {
    /// What was wanted.
    pub goal: Goal,
    /// The moves.
    pub moves: Vec<PartitionMove>,
}

/// What is asked of an answer beyond the plan.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// The command and its flags, as `mapping rebalance --map map1`.
    pub made_by: String,
    /// Bytes a second that each broker may copy, for the time that it takes.
    pub throttle: Option<ByteRate>,
    /// Codes of findings that were allowed.
    pub allowed: BTreeSet<String>,
    /// Partitions and why they move or stay.
    pub explanations: Vec<Explanation>,
}

/// A plan and its effect.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(title = "A plan of toolbox mapping")]
pub struct Answer {
    /// The cluster's id.
    pub cluster_id: String,
    /// When the cluster was looked at, RFC 3339.
    pub observed_at: String,
    /// Where the sizes come from.
    pub sizes_from: String,
    /// Where the brokers' capacities come from.
    pub capacity_from: String,
    /// The command.
    pub made_by: String,
    /// Sums.
    pub totals: Totals,
    /// Every broker, by id.
    pub brokers: Vec<BrokerRow>,
    /// Replicas by the broker that gives them up and the one that gets them; most bytes first.
    pub flows: Vec<Flow>,
    /// The moves, ordered by topic and partition.
    pub moves: Vec<MoveRow>,
    /// What a person should know; blocking ones first.
    pub findings: Vec<FindingRow>,
    /// Why partitions move or stay, where that was asked for.
    pub explanations: Vec<Explanation>,
}

/// Sums of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Totals {
    /// Partitions that get or give up replicas.
    pub partitions: usize,
    /// Partitions whose replicas only change their order, and with it the preferred leader.
    pub reordered: usize,
    /// Replicas that are copied.
    pub copies: usize,
    /// Replicas that are given up.
    pub removals: usize,
    /// Bytes that are copied.
    pub bytes: u64,
    /// The least bytes that any plan for this goal must copy, where such a bound is known.
    pub least_bytes: Option<u64>,
    /// Storage of the emptiest and the fullest broker that may be used, now.
    pub range_before: [u64; 2],
    /// The same afterwards.
    pub range_after: [u64; 2],
    /// Bytes a second that each broker may copy.
    #[schemars(with = "Option<u64>")]
    pub throttle: Option<ByteRate>,
    /// Seconds that the copying takes at that rate.
    pub seconds: Option<u64>,
}

/// A broker before and after.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct BrokerRow {
    /// Its id.
    #[schemars(with = "i32")]
    pub broker: BrokerId,
    /// Its rack.
    pub rack: Option<String>,
    /// What becomes of it.
    pub part: Part,
    /// Bytes of its disks, where that is known.
    pub capacity: Option<u64>,
    /// Where that is known from.
    pub capacity_from: Option<CapacityFrom>,
    /// What it carries now.
    pub before: Load,
    /// What it carries afterwards.
    pub after: Load,
    /// What it sends and receives for the moves.
    pub traffic: Traffic,
}

/// The part of a broker in a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// It keeps what it has, or some of it.
    Stays,
    /// It held nothing and gets replicas.
    Joins,
    /// It is emptied.
    Emptied,
    /// It is not live.
    Gone,
}

/// What changes for one partition.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct MoveRow {
    /// The topic.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// Its replicas now.
    pub from: Vec<i32>,
    /// Its replicas afterwards, the preferred leader first.
    pub to: Vec<i32>,
    /// Bytes of one copy.
    pub bytes: u64,
}

/// Something that a person should know.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct FindingRow {
    /// `blocking` or `advisory`.
    pub severity: &'static str,
    /// A stable word for `--allow`.
    pub code: String,
    /// Whom it concerns, as `topic:orders` or `broker:3`.
    pub subject: String,
    /// What is the matter, and what to do.
    pub text: String,
    /// Whether it would block, and `--allow` let it through.
    pub allowed: bool,
}

/// Why a partition moves or stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Explanation {
    /// The partition, as `orders-3`.
    pub partition: String,
    /// Sentences.
    pub sentences: Vec<String>,
}

impl Answer {
    /// The effect of plans, one a group of topics.
    pub fn of(observed: &Observed, planned: &[Planned], findings: &[Finding], asked: &Asked) -> Self {
        let mut moves: Vec<_> = planned.iter().flat_map(|one| &one.moves).collect();
        moves.sort_by(|one, other| one.partition.cmp(&other.partition));
        let changes = changes(moves.iter().copied());
        let (before, after) = (loads(observed, &load::Changes::new()), loads(observed, &changes));
        let traffic = flow::traffic(moves.iter().copied(), observed);
        let known = capacities(planned);
        let row = |id: &BrokerId| BrokerRow {
            traffic: traffic.get(id).copied().unwrap_or_default(),
            ..broker_row(observed, *id, (before.get(id), after.get(id)), known.get(id))
        };
        let brokers: Vec<_> = after.keys().map(row).collect();
        let mut totals = totals(&moves);
        totals.least_bytes = planned.iter().map(|one| least(&one.goal, observed, &before)).sum();
        let used: BTreeSet<_> = planned.iter().flat_map(|one| &one.goal.brokers).collect();
        let is_used = |row: &&BrokerRow| used.contains(&row.broker) && row.part != Part::Gone;
        totals.range_before = range(brokers.iter().filter(is_used).map(|row| row.before.bytes));
        totals.range_after = range(brokers.iter().filter(is_used).map(|row| row.after.bytes));
        totals.throttle = asked.throttle;
        totals.seconds = asked.throttle.and_then(|throttle| flow::seconds(&traffic, throttle));
        Self {
            cluster_id: observed.cluster_id.clone(),
            observed_at: observed.observed_at.clone(),
            sizes_from: observed.sizes_from.clone(),
            capacity_from: capacity_from(&brokers),
            made_by: asked.made_by.clone(),
            totals,
            brokers,
            flows: flow::flows(moves.iter().copied(), observed),
            moves: moves.iter().copied().map(move_row).collect(),
            findings: finding_rows(findings, &asked.allowed),
            explanations: asked.explanations.clone(),
        }
    }

    /// Findings that stop the plan from being written.
    pub fn blocking(&self) -> impl Iterator<Item = &FindingRow> {
        self.findings.iter().filter(|finding| finding.severity == "blocking" && !finding.allowed)
    }
}

/// The JSON schema of [`Answer`].
pub fn schema() -> Value {
    schemars::schema_for!(Answer).into()
}

fn capacities(planned: &[Planned]) -> BTreeMap<BrokerId, Capacity> {
    planned.iter().flat_map(|one| &one.goal.capacities).map(|(id, capacity)| (*id, *capacity)).collect()
}

fn broker_row(
    observed: &Observed,
    id: BrokerId,
    (before, after): (Option<&Load>, Option<&Load>),
    known: Option<&Capacity>,
) -> BrokerRow {
    let broker = observed.brokers.get(&id);
    let (before, after) = (before.copied().unwrap_or_default(), after.copied().unwrap_or_default());
    let part = match (broker.is_some_and(|broker| broker.live), before.replicas, after.replicas) {
        (false, ..) => Part::Gone,
        (true, 0, 1..) => Part::Joins,
        (true, 1.., 0) => Part::Emptied,
        _ => Part::Stays,
    };
    let capacity = load::capacity(broker, known);
    BrokerRow {
        broker: id,
        rack: broker.and_then(|broker| broker.rack.as_ref()).map(ToString::to_string),
        part,
        capacity: capacity.map(|(bytes, _)| bytes),
        capacity_from: capacity.map(|(_, from)| from),
        before,
        after,
        traffic: Traffic::default(),
    }
}

fn totals(moves: &[&PartitionMove]) -> Totals {
    Totals {
        partitions: moves.iter().filter(|one| !one.is_reorder()).count(),
        reordered: moves.iter().filter(|one| one.is_reorder()).count(),
        copies: moves.iter().map(|one| one.adding().count()).sum(),
        removals: moves.iter().map(|one| one.removing().count()).sum(),
        bytes: moves.iter().fold(0, |sum, one| sum.saturating_add(one.bytes_copied())),
        ..Totals::default()
    }
}

fn range(bytes: impl Iterator<Item = u64> + Clone) -> [u64; 2] {
    [bytes.clone().min().unwrap_or(0), bytes.max().unwrap_or(0)]
}

/// In words: shares mean nothing where nobody knows how large the disks are.
fn capacity_from(brokers: &[BrokerRow]) -> String {
    let live = brokers.iter().filter(|row| row.part != Part::Gone);
    let from: BTreeSet<_> = live.map(|row| row.capacity_from).collect();
    let words = |from: &Option<CapacityFrom>| match from {
        Some(CapacityFrom::Broker) => "the brokers",
        Some(CapacityFrom::Map) => "the maps",
        None => "unknown of some",
    };
    if from.iter().all(Option::is_none) {
        return "unknown (brokers tell it since Kafka 3.3; toolbox.yaml can): absolute bytes only".into();
    }
    // Those that are known first.
    from.iter().rev().map(words).collect::<Vec<_>>().join(", ")
}

fn move_row(one: &PartitionMove) -> MoveRow {
    let ids = |replicas: &[BrokerId]| replicas.iter().map(|broker| broker.0).collect();
    MoveRow {
        topic: one.partition.topic.to_string(),
        partition: one.partition.partition,
        from: ids(&one.from),
        to: ids(&one.to),
        bytes: one.bytes,
    }
}

fn finding_rows(findings: &[Finding], allowed: &BTreeSet<String>) -> Vec<FindingRow> {
    let row = |finding: &Finding| FindingRow {
        severity: match finding.severity {
            Severity::Blocking => "blocking",
            Severity::Advisory => "advisory",
        },
        code: finding.code.to_owned(),
        subject: finding.subject.clone(),
        text: finding.text.clone(),
        allowed: finding.severity == Severity::Blocking && allowed.contains(finding.code),
    };
    let mut findings: Vec<_> = findings.to_vec();
    findings.sort();
    findings.dedup();
    findings.iter().map(row).collect()
}
