//! What is kept of an execution: the plan with every partition's former replicas, and what others ask the run to do.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::cluster::assignment::{MovePlan, PartitionMove};
use crate::cluster::overrides::Overrides;
use crate::cluster::topic::TopicPartition;
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
}

impl Record {
    /// Every move that somebody may want to take back, by this plan or an earlier one.
    pub(crate) fn known(&self) -> Vec<PartitionMove> {
        self.plan.moves.iter().chain(&self.earlier).cloned().collect()
    }
}

/// What a run is asked to do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asked {
    /// Why no more moves are to begin.
    pub(crate) paused: Option<String>,
    /// Whether the run is to end, because its moves are being cancelled.
    pub(crate) stop: bool,
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

    /// Drops the rates that were asked for until nothing moves any more.
    pub(crate) async fn forget_rates(&mut self, now: Timestamp) {
        if let Err(error) = self.rates.change(|rates| rates.at(now, false).at(now, true)).await {
            tracing::warn!(%error, "the rates that somebody asked for can't be taken back");
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
