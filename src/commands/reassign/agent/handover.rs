//! Moves beside a running `throttle run`: that agent paces them. Each batch is handed over to it first, and submitted once
//! the cluster shows lists and rates for it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::handover::Handover;
use crate::cluster::topic::TopicPartition;
use crate::commands::reassign::agent::Agent;
use crate::commands::reassign::plan::next::Next;
use crate::commands::reassign::plan::paced::{concerned, unpaced};
use crate::commands::reassign::plan::preflight::count;
use crate::commands::reassign::plan::seen::Observed;
use crate::commands::reassign::plan::step::ReassignStep;
use crate::context::Context;
use crate::context::throttles::present_throttles;
use crate::context::watched::KeptHandover;
use crate::exit::Stop;
use crate::state::identity::Purpose;

/// After so long without throttles for a batch, it is said, and looked whether the agent still runs.
const LATE: Duration = Duration::from_secs(30);

/// A batch that waits is handed over again after so long: the agent forgets what is not submitted for two minutes.
const AGAIN: Duration = Duration::from_mins(1);

/// The agent that paces the moves of an execution, and what it was told last.
#[derive(Debug)]
pub(in crate::commands::reassign) struct Paced {
    kept: KeptHandover,
    cluster_id: String,
    /// Who the agent is, in words.
    agent: String,
    /// Since when a batch waits for its throttles; none while none waits.
    waits_since: Option<Instant>,
    /// When it was last said that it waits.
    said: Option<Instant>,
    /// Why no agent will ever read what is handed over, if that is so.
    pub(super) stranded: Option<String>,
}

impl Paced {
    /// Hands over to the agent that holds the lock of throttles.
    pub(in crate::commands::reassign) async fn open(
        context: &Context,
        cluster_id: &str,
        agent: String,
    ) -> anyhow::Result<Self> {
        let kept = KeptHandover::open(context, cluster_id).await?;
        Ok(Self { kept, cluster_id: cluster_id.to_owned(), agent, waits_since: None, said: None, stranded: None })
    }

    /// Tells the agent that nothing is about to be submitted any more.
    pub(in crate::commands::reassign) async fn close(&mut self) {
        if let Err(error) = self.kept.change(|_| Handover::default()).await {
            tracing::warn!(%error, "the hand-over could not be removed; the agent drops it after two minutes");
        }
    }
}

impl Agent<'_> {
    /// Takes out of what is next the moves that the agent does not pace yet, and hands them over to it.
    pub(super) async fn hand_over(&mut self, context: &mut Context, observed: &Observed, next: &mut Next) {
        let Some(mut paced) = self.paced.take() else { return };
        let held = self.unpaced_of(context, observed, &next.moves, &mut paced).await;
        next.moves.retain(|step| !held.contains_key(step.partition()));
        if held.is_empty() {
            (paced.waits_since, paced.said) = (None, None);
        } else {
            self.say_waiting(context, &mut paced, held.len()).await;
        }
        next.held.extend(held);
        self.paced = Some(paced);
    }

    /// The moves of a batch that are not paced yet, each with the reason; none that copy nothing.
    async fn unpaced_of(
        &self,
        context: &Context,
        observed: &Observed,
        batch: &[ReassignStep],
        paced: &mut Paced,
    ) -> BTreeMap<TopicPartition, String> {
        let batch: BTreeSet<_> = batch.iter().map(ReassignStep::partition).collect();
        let of_batch = self.terms.moves.iter().filter(|one| batch.contains(&one.partition));
        let moves: Vec<_> = of_batch.filter(|one| !observed.arriving(one).is_empty()).collect();
        if moves.is_empty() {
            return BTreeMap::new();
        }
        let all = |why: String| moves.iter().map(|one| (one.partition.clone(), why.clone())).collect();
        let waited = paced.waits_since.map(|since| since.elapsed()).unwrap_or_default();
        let told = Handover {
            run_id: context.run_id.to_string(),
            moves: moves.iter().map(|one| (*one).clone()).collect(),
            round: waited.as_secs() / AGAIN.as_secs(),
        };
        if paced.kept.value != told
            && let Err(error) = paced.kept.change(|_| told.clone()).await
        {
            return all(format!("it could not be handed over to the throttle agent: {error:#}"));
        }
        let (brokers, topics) = concerned(&moves);
        match present_throttles(self.kafka, &brokers, &topics).await {
            Ok(seen) => unpaced(&moves, observed, &seen),
            Err(error) => all(format!("its throttles can't be read: {error:#}")),
        }
    }

    /// Says now and then that moves wait for the agent, and whether it still runs.
    async fn say_waiting(&mut self, context: &Context, paced: &mut Paced, waiting: usize) {
        let since = *paced.waits_since.get_or_insert_with(Instant::now);
        let is_due = paced.said.is_none_or(|said| said.elapsed() >= LATE) && since.elapsed() >= LATE;
        if !is_due {
            return;
        }
        paced.said = Some(Instant::now());
        let what_next = match who_paces(context, &paced.cluster_id).await {
            Err(error) if error.is::<Stop>() => {
                paced.stranded = Some(format!("{error:#}"));
                return;
            }
            Ok(Some(agent)) => {
                paced.agent = agent;
                format!("look at the log of the agent ({})", paced.agent)
            }
            Ok(None) => {
                "the agent has ended: start it again, or stop this run and start it with --throttle RATE".to_owned()
            }
            Err(error) => format!("whether the agent still runs is not known ({error:#})"),
        };
        self.line.say(&format!(
            "! {} not begun: the throttle agent has not set the throttles for {} s; {what_next}",
            count(waiting, "move"),
            since.elapsed().as_secs()
        ));
    }
}

/// The agent that paces now, in words; refused where it keeps its records elsewhere than this run.
async fn who_paces(context: &Context, cluster_id: &str) -> anyhow::Result<Option<String>> {
    let mut record = context.document(&context.identity(Purpose::Throttle, cluster_id)).await?;
    record.load::<serde::de::IgnoredAny>().await?;
    Ok(context.check_same_place(&record).await?.map(|holder| holder.words))
}
