//! What dead runs left open on this run's cluster: the cluster is asked how their changes ended, whichever command made them,
//! before this run changes anything itself.
//!
//! The cluster's id alone says whose changes they are: two clusters may have one name, in two toolbox.yaml files, and one
//! cluster may have two. Intents without an id, which an older version wrote, are asked of nobody.
//!
//! Changes of StatefulSets and pods are asked of the API server, by whichever run reaches it. Changes of an ensemble are known
//! to the runs that look at it, those of a registry of ids to the runs that read it.

mod workloads;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::FutureExt;
use futures_util::future::join_all;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::time::sleep;
use uuid::Uuid;

use crate::change::carry_out::Ended;
use crate::change::event::{Event, Outcome};
use crate::change::settled::ensembles::{ShownEnsemble, settled_by_ensemble};
use crate::change::settled::identities::{ShownRegistry, settled_by_registry};
use crate::change::settled::{KeptOverrides, Shown, Subjects, Verdict, settled};
use crate::clients::kafka::Kafka;
use crate::cluster::address::Address;
use crate::cluster::broker::BrokerId;
use crate::cluster::config::ConfigResource;
use crate::cluster::metadata::TopicSelection;
use crate::cluster::overrides::Overrides;
use crate::cluster::reaction::Reaction;
use crate::cluster::topic::TopicName;
use crate::context::Context;
use crate::context::throttles::present_throttles;
use crate::state::document::Document;
use crate::state::documents::documents;
use crate::state::identity::{Identity, Purpose};
use crate::state::place::Place;

/// What is not shown as done is looked for once more after this time: the request may have been sent right before the death.
const SECOND_LOOK: Duration = Duration::from_millis(300);

/// How long a broker may take to answer a greeting.
const GREETING: Duration = Duration::from_secs(2);

/// Whom this run asks.
struct Asked {
    kafka: Arc<dyn Kafka>,
    cluster_id: String,
    /// Where records are; none where the settings do not lead there.
    records: Option<Records>,
}

/// The toolbox's own records of this cluster.
struct Records {
    place: Place,
    overrides: Identity,
    run_id: Uuid,
    clock: fn() -> Timestamp,
}

/// Of an owner's record only which topics it names; names have no characters that JSON escapes.
#[derive(Debug, Default, Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    #[expect(clippy::zero_sized_map_values, reason = "only the keys are read, and serde reads no set from a map")]
    topics: BTreeMap<&'a str, IgnoredAny>,
}

impl Context {
    /// Gives the changes of runs that died on this cluster their outcomes, as the cluster, the API server and this run's own look
    /// at its ensemble show them. Those of other clusters, and what nobody here can tell, are left open for a later run.
    pub(super) async fn settle_dead_runs(&mut self) {
        let asked = self.asked().await.map(Arc::new);
        let of_workloads = self.asked_of_workloads().await;
        let (ensemble, registry) = (self.shown_ensemble.clone(), self.shown_registry.clone());
        self.has_settled_dead_runs = asked.is_some() || ensemble != ShownEnsemble::default() || registry.is_some();
        let cluster_id = self.cluster_id.clone();
        let settle = |intents: Vec<Event>| {
            let by_ensemble = by_ensemble(&intents, cluster_id.as_deref(), &ensemble);
            let of_registry = |intent: &Event| settled_by_registry(intent, registry.as_ref());
            let by_registry: Vec<_> = intents.iter().map(of_registry).collect();
            let (asked, of_workloads) = (asked.clone(), of_workloads.clone());
            async move {
                let by_workloads = workloads::verdicts(of_workloads.as_ref(), &intents).await;
                let asked = verdicts(asked, intents).await;
                let all = asked.into_iter().zip(by_ensemble).zip(by_workloads).zip(by_registry);
                all.map(|(((asked, ensemble), workload), registry)| workload.or(ensemble).or(registry).unwrap_or(asked))
                    .collect()
            }
            .boxed()
        };
        self.recorder().mend(&settle).await;
    }

    /// Says what the membership of this run's ensemble is now, a `server.N: LINE` a line: by that, changes of runs that died are
    /// given their outcomes.
    pub fn shows_membership(&mut self, membership: String) {
        if self.shown_ensemble.membership.replace(membership).is_none() {
            // What was left open until now is settled before this run's next change.
            self.has_settled_dead_runs = false;
        }
    }

    /// Says what the record of this run's ensemble is now, `key: value` lines; nothing where there is no record.
    pub fn shows_record(&mut self, record: String) {
        if self.shown_ensemble.record.replace(record).is_none() {
            self.has_settled_dead_runs = false;
        }
    }

    /// Says which id the ensemble's own node has; nothing where there is none.
    pub fn shows_ensemble_id(&mut self, id: String) {
        if self.shown_ensemble.id.replace(id).is_none() {
            self.has_settled_dead_runs = false;
        }
    }

    /// Says what the registry of ids has, as it was read before this run's own changes.
    pub fn shows_registry(&mut self, registry: ShownRegistry) {
        if self.shown_registry.replace(registry).is_none() {
            self.has_settled_dead_runs = false;
        }
    }

    /// Forgets what was seen of the ensemble: without the lock, somebody else may change it.
    pub(super) fn forget_ensemble(&mut self) {
        self.shown_ensemble = ShownEnsemble::default();
    }

    /// The same, unless this run has done so.
    pub(super) async fn settle_dead_runs_once(&mut self) {
        if !self.has_settled_dead_runs {
            self.settle_dead_runs().await;
        }
    }

    /// Whom to ask; none before the cluster is connected and known.
    async fn asked(&self) -> Option<Asked> {
        let (kafka, cluster_id) = (self.kafka.get().map(Arc::clone)?, self.cluster_id.clone()?);
        let place = self.place().await.inspect_err(|error| tracing::debug!("there are no records: {error:#}"));
        let records = place.ok().map(|place| Records {
            place,
            overrides: self.identity(Purpose::Overrides, &cluster_id),
            run_id: self.run_id,
            clock: self.clock,
        });
        Some(Asked { kafka, cluster_id, records })
    }

    /// Whom to ask about StatefulSets and pods; none outside Kubernetes. Nothing is sent yet.
    async fn asked_of_workloads(&self) -> Option<workloads::Asked> {
        let cluster_id = self.cluster_id.clone().filter(|_| self.sees_kubernetes())?;
        let found = self.kubernetes().await.inspect_err(|error| tracing::debug!("no API server is asked: {error:#}"));
        Some(workloads::Asked { kubernetes: found.ok()?, cluster_id, limit: self.timeout() })
    }
}

/// What this run has seen of its ensemble, of the intents that are about an ensemble; none for all others. What such a look does
/// not show, no later one does.
fn by_ensemble(intents: &[Event], cluster_id: Option<&str>, shown: &ShownEnsemble) -> Vec<Option<Verdict>> {
    let nothing = ShownEnsemble::default();
    let is_here = |intent: &Event| cluster_id.is_some() && intent.cluster_id.as_deref() == cluster_id;
    let is_about_it = |intent: &Event| intent.kind.starts_with("ensemble.") && is_here(intent) && *shown != nothing;
    let one = |intent: &Event| {
        let known = settled_by_ensemble(intent, if is_here(intent) { shown } else { &nothing });
        known.or_else(|| is_about_it(intent).then_some(Verdict::NotShown))
    };
    intents.iter().map(one).collect()
}

/// One verdict an intent.
async fn verdicts(asked: Option<Arc<Asked>>, intents: Vec<Event>) -> Vec<Verdict> {
    let Some(asked) = asked else { return vec![Verdict::NotAsked; intents.len()] };
    let is_here = |intent: &Event| intent.cluster_id.as_ref() == Some(&asked.cluster_id);
    let here: Vec<_> = intents.iter().filter(|intent| is_here(intent)).collect();
    let found = if here.is_empty() { Ok(Vec::new()) } else { asked.ask(&here).await };
    let found = found.unwrap_or_else(|error| {
        tracing::warn!("the cluster does not say how the changes of a run that died ended: {error:#}");
        vec![Verdict::NotAsked; here.len()]
    });
    let mut found = found.into_iter();
    let one = |intent: &Event| if is_here(intent) { found.next() } else { None };
    intents.iter().map(one).map(|verdict| verdict.unwrap_or(Verdict::NotAsked)).collect()
}

impl Asked {
    /// Looks at the cluster and the records, twice where they do not show everything done.
    async fn ask(&self, intents: &[&Event]) -> anyhow::Result<Vec<Verdict>> {
        let subjects = Subjects::of(intents.iter().copied());
        if subjects.are_in_cluster()
            && let Err(error) = self.kafka.catch_up(&subjects.throttled_brokers).await
        {
            tracing::debug!(%error, "whether the brokers are up to date is not known");
        }
        let look = async || {
            let shown = self.look(&subjects).await?;
            anyhow::Ok(intents.iter().map(|intent| settled(intent, &shown)).collect::<Vec<_>>())
        };
        let verdicts = look().await?;
        let is_done = |verdict: &Verdict| matches!(verdict, Verdict::Ended(Ended { outcome: Outcome::Done, .. }));
        if !subjects.are_in_cluster() || verdicts.iter().all(is_done) {
            return Ok(verdicts);
        }
        sleep(SECOND_LOOK).await;
        look().await
    }

    async fn look(&self, subjects: &Subjects) -> anyhow::Result<Shown> {
        let mut shown = look_at_cluster(&*self.kafka, subjects).await?;
        let Some(records) = &self.records else { return Ok(shown) };
        let said = |error: &anyhow::Error| tracing::debug!("a record can't be read: {error:#}");
        if subjects.overrides {
            shown.overrides = records.overrides(&self.cluster_id).await.inspect_err(said).ok();
        }
        if !subjects.owned_topics.is_empty() {
            shown.owners = records.owners(&self.cluster_id, &subjects.owned_topics).await.inspect_err(said).ok();
        }
        Ok(shown)
    }
}

impl Records {
    /// The rates that people gave. That there are none is only known where all records may be listed.
    async fn overrides(&self, cluster_id: &str) -> anyhow::Result<KeptOverrides> {
        let mut document = Document::new(self.place.clone(), self.overrides.clone(), self.run_id, self.clock);
        if let Some(value) = document.load().await? {
            return Ok(KeptOverrides { value, saved_at: document.saved_at() });
        }
        let all = documents(&self.place, Purpose::Overrides).await?;
        let found = all.read::<Overrides>(cluster_id)?.into_iter().next();
        let kept = found.map(|found| KeptOverrides { value: found.document, saved_at: Some(found.saved_at) });
        Ok(kept.unwrap_or_default())
    }

    /// The owners whose records name these topics.
    async fn owners(
        &self,
        cluster_id: &str,
        topics: &BTreeSet<TopicName>,
    ) -> anyhow::Result<BTreeMap<TopicName, BTreeSet<String>>> {
        let words: Vec<_> = topics.iter().map(TopicName::as_str).collect();
        let all = documents(&self.place, Purpose::Topics).await?.about(&words);
        let mut owners: BTreeMap<TopicName, BTreeSet<String>> = BTreeMap::new();
        for record in all.read::<Named<'_>>(cluster_id)? {
            for name in topics.iter().filter(|name| record.document.topics.contains_key(name.as_str())) {
                owners.entry(name.clone()).or_default().insert(record.owner.clone());
            }
        }
        Ok(owners)
    }
}

async fn look_at_cluster(kafka: &dyn Kafka, subjects: &Subjects) -> anyhow::Result<Shown> {
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
    if !subjects.brokers.is_empty() {
        shown.brokers = Some(registered(kafka, &subjects.brokers).await?);
    }
    Ok(shown)
}

/// Those of the brokers that are registered, and whether they answer: a process that was killed is registered for a while still.
async fn registered(kafka: &dyn Kafka, wanted: &BTreeSet<BrokerId>) -> anyhow::Result<BTreeMap<BrokerId, bool>> {
    let metadata = kafka.metadata(TopicSelection::None).await.context("failed to read which brokers are registered")?;
    let asked = metadata.brokers.into_values().filter(|broker| wanted.contains(&broker.id)).map(async |broker| {
        let reaction = kafka.reaction(&Address::new(&broker.host, broker.port), GREETING).await;
        (broker.id, reaction == Reaction::Answered)
    });
    Ok(join_all(asked).await.into_iter().collect())
}
