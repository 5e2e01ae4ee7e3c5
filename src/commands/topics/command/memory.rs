//! What a run remembers of the one before: what was last applied; and that it is alone.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;

use crate::change::carry_out::Ended;
use crate::change::event::Outcome;
use crate::change::plan::Step;
use crate::clients::kafka::Kafka;
use crate::cluster::metadata::{Metadata, TopicSelection};
use crate::cluster::topic::TopicName;
use crate::commands::topics::observe::Observed;
use crate::commands::topics::plan::last::{LastApplied, Owners};
use crate::commands::topics::plan::step::TopicStep;
use crate::commands::topics::spec::Spec;
use crate::context::AllKept;
use crate::context::Context;
use crate::context::Kept;
use crate::context::Scope;

/// The sources that declare topics of a cluster, by topic; of the topics that are wanted.
pub(super) fn owners(
    kept: &AllKept,
    cluster_id: &str,
    wanted: impl Fn(&TopicName) -> bool,
) -> BTreeMap<TopicName, String> {
    let owners = kept.documents::<Owners<'_>>("topics", cluster_id).into_iter().flat_map(|owners| owners.topics);
    let owners = owners.filter_map(|(name, owner)| Some((TopicName::new(name).ok()?, owner)));
    owners.filter(|(name, _)| wanted(name)).map(|(name, owner)| (name, owner.source.into_owned())).collect()
}

/// What of the declared topics was worked on.
pub(super) struct Part<'a> {
    /// The topics.
    pub(super) spec: &'a Spec,
    /// Whether sources were left out.
    pub(super) is_partial: bool,
    /// Topics that were left out for a fault.
    pub(super) faulty: BTreeSet<TopicName>,
}

/// The cluster at the beginning of a run, and what was last applied to it.
pub(super) struct Memory {
    metadata: Metadata,
    /// What was last applied of this spec, where there is a record.
    last: Option<LastApplied>,
    kept: Kept,
    /// What this run keeps there, if that is something else.
    claimed: Option<LastApplied>,
}

impl Memory {
    /// Finds out which cluster this is, makes sure that no other run works on it by the same spec, and recalls what was
    /// last applied. A dry run changes nothing, so it needs not be alone.
    pub(super) async fn open(context: &mut Context, spec: String, kafka: &dyn Kafka) -> anyhow::Result<Self> {
        let metadata = kafka.metadata(TopicSelection::All).await.context("failed to read the cluster's metadata")?;
        context.is_cluster(&metadata.cluster_id)?;
        let cluster = context.cluster_name().unwrap_or(&metadata.cluster_id).to_owned();
        let scope = Scope { room: "topics", cluster, spec };
        if !context.is_dry_run() {
            context.be_alone(&scope).await?;
        }
        let mut kept = context.kept(&scope, &metadata.cluster_id).await?;
        let last = kept.load().await?;
        Ok(Self { metadata, last, kept, claimed: None })
    }

    /// Hands over what an observation begins with: the cluster's metadata, and what was last applied.
    pub(super) fn hand_over(&mut self) -> (Metadata, Option<LastApplied>) {
        (std::mem::take(&mut self.metadata), self.last.take())
    }

    /// Keeps which keys are about to be set, so that they are ours even if this run is killed.
    pub(super) async fn claim(&mut self, last: Option<&LastApplied>, claim: &LastApplied) {
        if self.claimed.as_ref().or(last) != Some(claim) {
            self.kept.keep(claim).await;
            self.claimed = Some(claim.clone());
        }
    }

    /// Keeps what is in force now: of topics with a fault, or with a step that was not done, what was kept before.
    pub(super) async fn settle(
        mut self,
        part: &Part<'_>,
        (observed, claim): (&Observed, &LastApplied),
        ended: &[(TopicStep, Ended)],
    ) {
        let Part { spec, is_partial, faulty } = part;
        let is_done = |ended: &Ended| ended.outcome == Outcome::Done;
        let open = ended.iter().filter(|(_, ended)| !is_done(ended)).map(|(step, _)| step.name());
        let unsettled = open.chain(faulty).cloned().collect();
        let done = ended.iter().filter(|(step, ended)| step.batch() == "create" && is_done(ended));
        let created: BTreeSet<_> = done.map(|(step, _)| step.name()).collect();
        let exists = |name: &TopicName| observed.metadata.topics.contains_key(name) || created.contains(name);
        let mut settled = claim.settled(spec, &unsettled, exists);
        if *is_partial {
            let left_out = claim.topics.iter().filter(|(name, _)| !spec.topics.contains_key(*name));
            settled.topics.extend(left_out.map(|(name, applied)| (name.clone(), applied.clone())));
        }
        if self.claimed.as_ref().or(observed.last_applied.as_ref()) != Some(&settled) {
            self.kept.keep(&settled).await;
        }
    }
}
