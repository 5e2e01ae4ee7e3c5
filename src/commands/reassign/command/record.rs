//! What is kept of an execution: the plan with every partition's former replicas, and what others ask the run to do.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use tokio::time::Instant;
use uuid::Uuid;

use crate::change::event::Severity;
use crate::cluster::assignment::{MovePlan, PartitionMove};
use crate::cluster::broker::BrokerId;
use crate::cluster::overrides::Overrides;
use crate::cluster::topic::{TopicName, TopicPartition};
use crate::commands::reassign::command::survey::still_running;
use crate::commands::reassign::plan::next::Bounds;
use crate::commands::reassign::plan::seen::{Observed, State, grown};
use crate::commands::reassign::plan::tick::Begun;
use crate::context::Context;
use crate::context::sources;
use crate::context::watched::KeptOverrides;
use crate::exit::Stop;
use crate::formats::reassignment_json::{Moves, read_either};
use crate::state::document::Document;
use crate::state::identity::Purpose;

/// The plan that is carried out, or was last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The plan. `from` of each move is what a cancel gives back.
    pub(crate) plan: MovePlan,
    /// Moves that were cancelled and are left out from then on.
    pub(crate) cancelled: BTreeSet<TopicPartition>,
    /// Moves of earlier plans that ran when this one began: a cancel gives their former replicas back, too.
    #[serde(default)]
    pub(crate) earlier: Vec<PartitionMove>,
    /// Moves that the cluster accepted, by topic, until all are done: `partition:bytes`, with `:first` where only the first
    /// phase of two has begun. A record with anything else there is refused: what has begun may not be begun again.
    #[serde(default, deserialize_with = "readable")]
    pub(crate) begun: BTreeMap<TopicName, String>,
    /// Ids of the topics when the execution began.
    #[serde(default)]
    pub(crate) topic_ids: BTreeMap<TopicName, Uuid>,
}

impl Record {
    /// The record of a plan that is about to be carried out. What an earlier run of the same plan began stays known;
    /// `is_taken_in` says that cancelled moves begin again.
    pub(super) fn of(
        (plan, cancelled): (MovePlan, BTreeSet<TopicPartition>),
        (before, is_taken_in): (Option<&Self>, bool),
        observed: &Observed,
    ) -> Self {
        let earlier = before.map(|before| still_running(before, &plan, observed)).unwrap_or_default();
        let mut record = Self { plan, cancelled, earlier, begun: BTreeMap::new(), topic_ids: BTreeMap::new() };
        let Some(before) = before.filter(|before| before.is_of(&record.plan)) else { return record };
        let mut begun = before.begun_moves();
        // What was cancelled and is taken in again has not begun.
        let waits = |one: &&PartitionMove| observed.state(one) == State::Waiting;
        let waiting: BTreeSet<_> = record.plan.moves.iter().filter(waits).map(|one| &one.partition).collect();
        begun.retain(|partition, _| {
            !(record.cancelled.contains(partition) || is_taken_in && waiting.contains(partition))
        });
        record.begun = record.begun_of(&begun);
        let topics = record.begun.keys();
        record.topic_ids = topics.filter_map(|topic| Some((topic.clone(), *before.topic_ids.get(topic)?))).collect();
        record
    }

    /// Whether it is the record of this plan: the same partitions to the same replicas.
    pub(super) fn is_of(&self, plan: &MovePlan) -> bool {
        let targets = |plan: &MovePlan| -> BTreeMap<TopicPartition, Vec<BrokerId>> {
            plan.moves.iter().map(|one| (one.partition.clone(), one.to.clone())).collect()
        };
        targets(&self.plan) == targets(plan)
    }

    /// The moves of the plan that have begun.
    pub(crate) fn begun_moves(&self) -> BTreeMap<TopicPartition, Begun> {
        let moves: BTreeMap<_, _> = self.plan.moves.iter().map(|one| (&one.partition, one)).collect();
        let mut begun = BTreeMap::new();
        for (topic, entries) in &self.begun {
            for (partition, bytes, is_first_phase) in entries.split(',').filter_map(begun_entry) {
                let partition = TopicPartition { topic: topic.clone(), partition };
                let Some(one) = moves.get(&partition) else { continue };
                let to = if is_first_phase { grown(one) } else { one.to.clone() };
                begun.insert(partition, Begun { to, bytes });
            }
        }
        begun
    }

    /// The same as it is kept.
    pub(crate) fn begun_of(&self, begun: &BTreeMap<TopicPartition, Begun>) -> BTreeMap<TopicName, String> {
        let mut kept: BTreeMap<TopicName, String> = BTreeMap::new();
        for one in &self.plan.moves {
            let Some(begun) = begun.get(&one.partition) else { continue };
            let entries = kept.entry(one.partition.topic.clone()).or_default();
            let comma = if entries.is_empty() { "" } else { "," };
            let phase = if begun.to == one.to { "" } else { ":first" };
            let _ = write!(entries, "{comma}{}:{}{phase}", one.partition.partition, begun.bytes);
        }
        kept
    }

    /// Every move that somebody may want to take back, by this plan or an earlier one.
    pub(crate) fn known(&self) -> Vec<PartitionMove> {
        self.plan.moves.iter().chain(&self.earlier).cloned().collect()
    }
}

/// An entry of moves that have begun: partition, bytes, whether only the first phase has. None for any other text.
fn begun_entry(text: &str) -> Option<(i32, u64, bool)> {
    let fields: Vec<_> = text.split(':').collect();
    match fields[..] {
        [partition, bytes] => Some((partition.parse().ok()?, bytes.parse().ok()?, false)),
        [partition, bytes, "first"] => Some((partition.parse().ok()?, bytes.parse().ok()?, true)),
        _ => None,
    }
}

fn readable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<TopicName, String>, D::Error> {
    let begun = BTreeMap::<TopicName, String>::deserialize(deserializer)?;
    for (topic, entries) in &begun {
        if let Some(wrong) = entries.split(',').find(|entry| begun_entry(entry).is_none()) {
            let why = format!("`{wrong}` of topic {topic} is no `partition:bytes` of a move that has begun");
            return Err(serde::de::Error::custom(why));
        }
    }
    Ok(begun)
}

/// What a run is asked to do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Asked {
    /// Why no more moves are to begin.
    pub(crate) paused: Option<String>,
    /// Whether the run is to end, because its moves are being cancelled.
    pub(crate) stop: bool,
    /// Bounds in place of those that the run was started with.
    #[serde(default)]
    pub(crate) bounds: Bounds,
}

/// What a run is asked to do, as it is kept.
#[derive(Debug)]
pub(crate) struct Control {
    document: Document,
    last: Option<(Instant, Asked)>,
    rates: KeptOverrides,
    rates_read: Instant,
}

/// Where the plan is kept.
pub(super) async fn document(context: &Context, cluster_id: &str) -> anyhow::Result<Document> {
    context.document(&context.identity(Purpose::Moves, cluster_id)).await
}

impl Control {
    /// Where it is kept.
    pub(super) async fn open(context: &Context, cluster_id: &str) -> anyhow::Result<Self> {
        let document = context.document(&context.identity(Purpose::Control, cluster_id)).await?;
        let rates = KeptOverrides::open(context, cluster_id).await?;
        Ok(Self { document, last: None, rates, rates_read: Instant::now() })
    }

    /// The rates that `throttle set` asks for and that hold now; read again after so long.
    pub(crate) async fn rates(&mut self, every: Duration, now: Timestamp) -> Overrides {
        if self.rates_read.elapsed() >= every {
            if let Err(error) = self.rates.reload().await {
                tracing::warn!(%error, "the rates that somebody asked for can't be read");
            }
            self.rates_read = Instant::now();
        }
        self.rates.value.at(now, false)
    }

    /// What is asked; read again after so long. What can't be read now is taken as it was.
    pub(crate) async fn read(&mut self, every: Duration) -> Asked {
        if let Some((read, asked)) = &self.last
            && read.elapsed() < every
        {
            return asked.clone();
        }
        let asked = match self.document.load().await {
            Ok(asked) => asked.unwrap_or_default(),
            Err(error) => {
                tracing::warn!(%error, "whether to pause can't be read");
                self.last.take().map(|(_, asked)| asked).unwrap_or_default()
            }
        };
        self.last = Some((Instant::now(), asked.clone()));
        asked
    }

    /// Drops the rates that were asked for until nothing moves any more, each an event.
    pub(crate) async fn forget_rates(&mut self, context: &mut Context) {
        let (now, before) = (context.now(), self.rates.value.clone());
        if let Err(error) = self.rates.change(|rates| rates.at(now, false).at(now, true)).await {
            tracing::warn!(%error, "the rates that somebody asked for can't be taken back");
            return;
        }
        for (subject, text) in before.without(&self.rates.value) {
            context.record_finding("throttle.override_ended", &subject, &text, Severity::Info).await;
        }
    }

    /// Drops what was asked of an execution that has ended: rates and bounds. A pause stays.
    pub(crate) async fn ends(&mut self, context: &mut Context) {
        self.forget_rates(context).await;
        let asked = self.read(Duration::ZERO).await;
        if asked.bounds != Bounds::default()
            && let Err(error) = self.ask(&Asked { bounds: Bounds::default(), ..asked }).await
        {
            tracing::warn!(%error, "the bounds that somebody asked for can't be taken back");
        }
    }

    /// Asks for something else.
    pub(super) async fn ask(&mut self, asked: &Asked) -> anyhow::Result<()> {
        let now = self.read(Duration::ZERO).await;
        if now != *asked {
            self.document.save(asked).await.context("failed to keep what the run is asked to do")?;
            self.last = Some((Instant::now(), asked.clone()));
        }
        Ok(())
    }
}

/// Reads a file of moves: a plan of `mapping`, or Kafka's own; packed by gzip or not.
pub(super) fn read(path: &Path) -> anyhow::Result<Moves> {
    read_either(&sources::load_plan(path)?).map_err(|faults| Stop::usage(faults.to_string()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_does_not_say_which_moves_have_begun_is_refused() {
        let read = |begun: &str| {
            let plan = serde_json::json!({
                "version": 1, "tool_version": "0.1.0", "cluster_id": "c", "observed_at": "", "made_by": "",
                "moves": [{ "topic": "t", "partition": 0, "from": [1], "to": [2], "bytes": 7 }],
            });
            let record = serde_json::json!({ "plan": plan, "cancelled": [], "begun": { "t": begun } });
            serde_json::from_value::<Record>(record)
        };
        for (begun, to) in [("0:7", vec![2]), ("0:7:first", vec![2, 1])] {
            let record = read(begun).unwrap();
            let moves = record.begun_moves();
            let begun_move = moves.values().next().unwrap();
            assert_eq!((begun_move.bytes, &begun_move.to), (7, &to.into_iter().map(BrokerId).collect::<Vec<_>>()));
            assert_eq!(record.begun_of(&moves), record.begun, "it is kept as it was read");
        }
        for wrong in ["", "0", "0:", "x:7", "0:7:second", "0:7,", "0:7:first:more"] {
            let error = read(wrong).unwrap_err().to_string();
            assert!(error.contains("is no `partition:bytes` of a move that has begun"), "{wrong}: {error}");
        }
    }
}
