//! [`Choices`]: what each tolerance costs and what it brings, so that a person can choose one before any plan is written.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::cluster::broker::BrokerId;
use crate::cluster::size::{ByteRate, Bytes};
use crate::commands::mapping::report::answer::{Answer, BrokerRow, Part, Planned};
use crate::commands::mapping::report::load::Load;
use crate::commands::mapping::report::text::{Table, amount, duration, percent};

/// The tolerances that are tried.
pub const TOLERANCES: &[f64] = &[0.2, 0.1, 0.05, 0.02, 0.01];

/// What may be chosen from.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(title = "What toolbox mapping can choose from")]
pub struct Choices {
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
    /// Bytes a second that each broker may copy.
    #[schemars(with = "Option<u64>")]
    pub throttle: Option<ByteRate>,
    /// The present state, then one plan for each tolerance, the widest first.
    pub choices: Vec<Choice>,
}

/// One plan in short.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Choice {
    /// How far a broker may end from the mean of its rack, as a fraction; none of the present state.
    pub tolerance: Option<f64>,
    /// Whether every broker ends within it.
    pub reached: bool,
    /// Codes of findings that would block the plan.
    pub blocked_by: BTreeSet<String>,
    /// Partitions that get or give up replicas.
    pub partitions: usize,
    /// Partitions that only get another preferred leader.
    pub reordered: usize,
    /// Bytes that are copied.
    pub bytes: u64,
    /// Storage of the emptiest and the fullest broker that may be used.
    pub storage: [u64; 2],
    /// Fewest and most partitions that such a broker is the preferred leader of.
    pub leaders: [usize; 2],
    /// Seconds that the copying takes at the throttle, where one is given.
    pub seconds: Option<u64>,
}

/// What a broker that ends beside its band is told with.
const NOT_REACHED: &[&str] = &["tolerance-not-reached", "budget-reached", "above-disk-limit"];

impl Choice {
    /// The present state, as any plan shows it.
    pub fn now(planned: &[Planned], answer: &Answer) -> Self {
        Self {
            tolerance: None,
            reached: false,
            blocked_by: BTreeSet::new(),
            partitions: 0,
            reordered: 0,
            bytes: 0,
            storage: answer.totals.range_before,
            leaders: leaders(planned, answer, |row| row.before),
            seconds: None,
        }
    }

    /// A plan for a tolerance.
    pub fn of(tolerance: f64, planned: &[Planned], answer: &Answer) -> Self {
        let totals = &answer.totals;
        Self {
            tolerance: Some(tolerance),
            reached: !answer.findings.iter().any(|finding| NOT_REACHED.contains(&finding.code.as_str())),
            blocked_by: answer.blocking().map(|finding| finding.code.clone()).collect(),
            partitions: totals.partitions,
            reordered: totals.reordered,
            bytes: totals.bytes,
            storage: totals.range_after,
            leaders: leaders(planned, answer, |row| row.after),
            seconds: totals.seconds,
        }
    }

    fn row(&self, has_throttle: bool) -> Vec<String> {
        let number = |number: usize| if number == 0 { "-".to_owned() } else { number.to_string() };
        let [least, most] = self.storage;
        let mut cells = vec![
            self.tolerance.map_or("now".to_owned(), percent),
            number(self.partitions),
            amount(self.bytes),
            format!("{} to {}", Bytes(least), Bytes(most)),
            Bytes(most.saturating_sub(least)).to_string(),
            number(self.reordered),
            format!("{} to {}", self.leaders[0], self.leaders[1]),
        ];
        if has_throttle {
            cells.push(self.seconds.filter(|seconds| *seconds > 0).map_or("-".to_owned(), duration));
        }
        let blocked = self.blocked_by.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        cells.push(match (self.tolerance, self.reached) {
            _ if !blocked.is_empty() => format!("blocked: {blocked}"),
            (Some(_), false) => "not reached".to_owned(),
            (Some(_), true) => "reached".to_owned(),
            (None, _) => "-".to_owned(),
        });
        cells
    }
}

/// Fewest and most partitions that brokers which may be used lead.
fn leaders(planned: &[Planned], answer: &Answer, load: impl Fn(&BrokerRow) -> Load) -> [usize; 2] {
    let used: BTreeSet<BrokerId> = planned.iter().flat_map(|one| &one.goal.brokers).copied().collect();
    let rows = answer.brokers.iter().filter(|row| used.contains(&row.broker) && row.part != Part::Gone);
    let all: BTreeSet<usize> = rows.map(|row| load(row).leaders).collect();
    [all.first().copied().unwrap_or(0), all.last().copied().unwrap_or(0)]
}

impl Choices {
    /// For a terminal; `age` is how long ago the cluster was looked at, where that is known.
    pub fn text(&self, age: Option<&str>, table: Table) -> String {
        let age = age.map_or(", read just now".to_owned(), |age| format!(", read {age} ago"));
        let mut head = vec!["TOLERANCE", "MOVES", "COPIED", "STORAGE OF A BROKER", "RANGE", "LEADERS MOVED", "LEADERS"];
        if self.throttle.is_some() {
            head.push("TIME");
        }
        head.push("ENDS");
        let rows: Vec<_> = self.choices.iter().map(|choice| choice.row(self.throttle.is_some())).collect();
        let at = self.throttle.map(|throttle| format!("; times at {throttle} a broker")).unwrap_or_default();
        format!(
            "cluster {}; sizes from {}{age}; capacity from {}\n\n{}\nchoose one with --tolerance; nothing is written{at}\n",
            self.cluster_id,
            self.sizes_from,
            self.capacity_from,
            table(&head, &rows)
        )
    }
}

/// The JSON schema of [`Choices`].
pub fn schema() -> Value {
    schemars::schema_for!(Choices).into()
}
