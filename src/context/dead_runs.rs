//! What dead runs left open on this run's cluster: the cluster is asked how their changes ended, whichever command made them,
//! before this run changes anything itself.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::FutureExt;
use tokio::time::sleep;

use crate::change::carry_out::Ended;
use crate::change::event::{Event, Outcome};
use crate::change::settled::{Shown, Subjects, Verdict, settled, settled_by_membership};
use crate::clients::kafka::Kafka;
use crate::cluster::config::ConfigResource;
use crate::cluster::metadata::TopicSelection;
use crate::cluster::topic::TopicName;
use crate::context::Context;
use crate::context::throttles::present_throttles;

/// What is not shown as done is looked for once more after this time: the request may have been sent right before the death.
const SECOND_LOOK: Duration = Duration::from_millis(300);

impl Context {
    /// Gives the changes of runs that died on this cluster their outcomes, as the cluster shows them. Those of other clusters,
    /// and all of them where this cluster is not connected or does not answer, are left open for a later run.
    pub(super) async fn settle_dead_runs(&mut self) {
        let names: BTreeSet<_> = self.cluster.iter().chain(&self.cluster_id).cloned().collect();
        let kafka = self.kafka.get().filter(|_| self.cluster_id.is_some()).map(Arc::clone);
        let membership = self.shown_membership.clone();
        self.has_settled_dead_runs = kafka.is_some() || membership.is_some();
        let settle = |intents: Vec<Event>| {
            let by_membership = by_membership(&intents, &names, membership.as_deref());
            let asked = verdicts(kafka.clone(), names.clone(), intents);
            async move {
                let both = asked.await.into_iter().zip(by_membership);
                both.map(|(asked, shown)| shown.unwrap_or(asked)).collect()
            }
            .boxed()
        };
        self.recorder().mend(&settle).await;
    }

    /// Says what the membership of this run's ensemble is now, a `server.N: LINE` a line: by that, changes of runs that died are
    /// given their outcomes.
    pub fn shows_membership(&mut self, membership: String) {
        self.shown_membership = Some(membership);
    }

    /// The same, unless this run has done so.
    pub(super) async fn settle_dead_runs_once(&mut self) {
        if !self.has_settled_dead_runs {
            self.settle_dead_runs().await;
        }
    }
}

/// What the present membership of this run's ensemble shows of intents that are about it.
fn by_membership(intents: &[Event], names: &BTreeSet<String>, membership: Option<&str>) -> Vec<Option<Verdict>> {
    let is_about_it = |intent: &Event| intent.kind.starts_with("ensemble.") && names.contains(&intent.cluster);
    let one = |intent: &Event| Some(settled_by_membership(intent, membership.filter(|_| is_about_it(intent))?));
    intents.iter().map(one).collect()
}

/// One verdict an intent. `names` are those of the cluster in events.
async fn verdicts(kafka: Option<Arc<dyn Kafka>>, names: BTreeSet<String>, intents: Vec<Event>) -> Vec<Verdict> {
    let is_here = |intent: &Event| names.contains(&intent.cluster);
    let here: Vec<_> = intents.iter().filter(|intent| is_here(intent)).collect();
    let found = match kafka {
        Some(kafka) if !here.is_empty() => ask(&*kafka, &here).await,
        _ => Ok(vec![Verdict::NotAsked; here.len()]),
    };
    let found = found.unwrap_or_else(|error| {
        tracing::warn!("the cluster does not say how the changes of a run that died ended: {error:#}");
        vec![Verdict::NotAsked; here.len()]
    });
    let mut found = found.into_iter();
    let one = |intent: &Event| if is_here(intent) { found.next() } else { None };
    intents.iter().map(one).map(|verdict| verdict.unwrap_or(Verdict::NotAsked)).collect()
}

/// Looks at the cluster, twice where it does not show everything done.
async fn ask(kafka: &dyn Kafka, intents: &[&Event]) -> anyhow::Result<Vec<Verdict>> {
    let subjects = Subjects::of(intents.iter().copied());
    if !subjects.is_empty()
        && let Err(error) = kafka.catch_up(&subjects.throttled_brokers).await
    {
        tracing::debug!(%error, "whether the brokers are up to date is not known");
    }
    let look = async || {
        let shown = look(kafka, &subjects).await?;
        anyhow::Ok(intents.iter().map(|intent| settled(intent, &shown)).collect::<Vec<_>>())
    };
    let verdicts = look().await?;
    let is_done = |verdict: &Verdict| matches!(verdict, Verdict::Ended(Ended { outcome: Outcome::Done, .. }));
    if subjects.is_empty() || verdicts.iter().all(is_done) {
        return Ok(verdicts);
    }
    sleep(SECOND_LOOK).await;
    look().await
}

async fn look(kafka: &dyn Kafka, subjects: &Subjects) -> anyhow::Result<Shown> {
    let mut shown = Shown::default();
    if subjects.moves {
        // First: what is not listed and not at its target afterwards has really not moved.
        shown.moves = kafka.reassignments().await.context("failed to list the moves")?;
    }
    if !subjects.topics.is_empty() {
        let names: Vec<TopicName> = subjects.topics.iter().cloned().collect();
        let metadata = kafka.metadata(TopicSelection::Named(&names)).await;
        shown.topics = metadata.context("failed to read the cluster's metadata")?.topics;
    }
    let configs: Vec<_> = subjects.configs.iter().filter(|name| shown.topics.contains_key(*name)).cloned().collect();
    if !configs.is_empty() {
        let resources: Vec<_> = configs.into_iter().map(ConfigResource::Topic).collect();
        let keys: Vec<_> = subjects.config_keys.iter().map(String::as_str).collect();
        let answers = kafka.configs(&resources, Some(&keys)).await.context("failed to read the topics' configs")?;
        for (resource, answer) in answers {
            if let (ConfigResource::Topic(topic), Ok(entries)) = (resource, answer) {
                shown.configs.insert(topic, entries);
            }
        }
    }
    shown.throttles = present_throttles(kafka, &subjects.throttled_brokers, &subjects.throttled_topics).await?;
    Ok(shown)
}
