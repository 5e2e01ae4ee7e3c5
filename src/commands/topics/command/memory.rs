//! What a run remembers of the one before: what was last applied; and its lock.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::change::carry_out::Ended;
use crate::change::event::Outcome;
use crate::change::plan::Step;
use crate::cluster::metadata::Metadata;
use crate::cluster::topic::TopicName;
use crate::commands::topics::command::sources::SourceArgs;
use crate::commands::topics::observe::{Begun, Declared, Observed};
use crate::commands::topics::plan::last::{LastApplied, Owners};
use crate::commands::topics::plan::step::{TopicBatch, TopicStep};
use crate::commands::topics::spec::Spec;
use crate::context::Context;
use crate::context::rights::Workload;
use crate::exit::Stop;
use crate::output;
use crate::state::document::Document;
use crate::state::documents::{Documents, Owned};
use crate::state::identity::{Identity, Purpose};

/// Who declares topics of a cluster, by topic; of the topics that are wanted.
pub(super) fn declared(
    documents: &Documents,
    cluster_id: &str,
    wanted: impl Fn(&TopicName) -> bool,
) -> anyhow::Result<BTreeMap<TopicName, Vec<Declared>>> {
    let mut declared: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for Owned { owner, document, .. } in documents.read::<Owners<'_>>(cluster_id)? {
        let topics = document.topics.into_iter().filter_map(|(name, owned)| Some((TopicName::new(name).ok()?, owned)));
        let topics = topics.filter(|(name, _)| wanted(name));
        for (name, owned) in topics {
            declared
                .entry(name)
                .or_default()
                .push(Declared { owner: owner.clone(), source: owned.source.into_owned() });
        }
    }
    Ok(declared)
}

/// The sources that declare topics, by topic, for a list: where the records can't be read, there are none.
pub(super) fn sources(
    documents: anyhow::Result<Documents>,
    cluster_id: &str,
    (about, wanted): (&[&str], impl Fn(&TopicName) -> bool),
) -> BTreeMap<TopicName, String> {
    let documents = documents.map(|documents| if about.is_empty() { documents } else { documents.about(about) });
    let found = documents.and_then(|documents| declared(&documents, cluster_id, wanted));
    let found = found.inspect_err(|error| tracing::debug!(%error, "who declares topics can't be read"));
    let first = |(name, declared): (TopicName, Vec<Declared>)| Some((name, declared.into_iter().next()?.source));
    found.unwrap_or_default().into_iter().filter_map(first).collect()
}

/// A record with these topics as they were in the last one.
fn without(mut record: LastApplied, names: &BTreeSet<TopicName>, last: Option<&LastApplied>) -> LastApplied {
    record.topics.retain(|name, _| !names.contains(name));
    let before = last.iter().flat_map(|last| &last.topics).filter(|(name, _)| names.contains(*name));
    record.topics.extend(before.map(|(name, applied)| (name.clone(), applied.clone())));
    record
}

/// What of the declared topics was worked on.
pub(super) struct Part<'a> {
    /// The topics.
    pub(super) spec: &'a Spec,
    /// Whether sources were left out.
    pub(super) is_partial: bool,
    /// Topics that were left out for a fault.
    pub(super) faulty: BTreeSet<TopicName>,
    /// Whether topics of other owners were taken over.
    pub(super) takes_ownership: bool,
}

/// The cluster at the beginning of a run, and what was last applied to it.
pub(super) struct Memory {
    metadata: Metadata,
    /// What was last applied of this spec, where there is a record.
    last: Option<LastApplied>,
    document: Document,
    /// Declared topics that other owners declare, too.
    declared_by_others: BTreeMap<TopicName, Vec<Declared>>,
    /// The cluster's id.
    cluster_id: String,
    /// What this run keeps there, if that is something else.
    claimed: Option<LastApplied>,
    /// Records of the owners that topics are taken over from.
    former: BTreeMap<String, Document>,
    /// Ids of topics that this run has created, as far as the brokers have shown them.
    pub(super) created_ids: BTreeMap<TopicName, Uuid>,
}

impl Memory {
    /// Makes sure that this is the cluster that is meant, and that no other run works on it for the same owner; reads what was
    /// last applied, and who else declares these topics. A dry run changes nothing, so it needs no lock.
    pub(super) async fn open(
        context: &mut Context,
        sources: &SourceArgs,
        spec: &Spec,
        metadata: Metadata,
    ) -> anyhow::Result<Self> {
        context.is_cluster(&metadata.cluster_id)?;
        let identity =
            Identity { owner: Some(sources.owner()), ..context.identity(Purpose::Topics, &metadata.cluster_id) };
        if !context.is_dry_run() {
            let mut setup = context.rights_setup(&metadata.cluster_id);
            (setup.owner, setup.reads_config_maps) = (sources.owner(), sources.reads_config_maps());
            context.check_rights(Workload::Topics, &setup).await?;
            context.lock(&identity).await?;
        }
        let mut document = context.document(&identity).await?;
        let last = document.load().await?;
        let cluster_id = metadata.cluster_id.clone();
        let mut memory = Self {
            metadata,
            last,
            document,
            declared_by_others: BTreeMap::new(),
            cluster_id,
            claimed: None,
            former: BTreeMap::new(),
            created_ids: BTreeMap::new(),
        };
        memory.declared_by_others = memory.others(|name| spec.topics.contains_key(name)).await?;
        Ok(memory)
    }

    /// Who else declares these topics now.
    async fn others(&self, wanted: impl Fn(&TopicName) -> bool) -> anyhow::Result<BTreeMap<TopicName, Vec<Declared>>> {
        let others = self.document.of_others().await?;
        declared(&others, &self.cluster_id, wanted).map_err(|error| {
            Stop::refused(format!(
                "whether another owner declares the same topics is not known: {error:#}. Nothing was changed. Repair that \
                 record, or delete it if its owner declares nothing any more"
            ))
            .into()
        })
    }

    /// Topics of this owner's record that another owner has claimed since this run looked, in words; none where there is
    /// none. Records are written before they are compared: of two owners that begin at one moment, at least one sees the
    /// other.
    async fn contested(&self, record: &LastApplied) -> anyhow::Result<Option<(BTreeSet<TopicName>, String)>> {
        let is_new = |name: &TopicName| record.topics.contains_key(name) && !self.declared_by_others.contains_key(name);
        let found = self.others(is_new).await?;
        let Some((name, first)) = found.iter().next() else { return Ok(None) };
        let owner = first.first().map_or("", |declared| &declared.owner);
        let words = format!("owner `{owner}` declares topic {name}, too, and applies it at this moment");
        Ok(Some((found.into_keys().collect(), words)))
    }

    /// Hands over what an observation begins with.
    pub(super) fn hand_over(&mut self) -> Begun {
        Begun {
            metadata: std::mem::take(&mut self.metadata),
            last_applied: self.last.take(),
            declared_by_others: self.declared_by_others.clone(),
        }
    }

    /// Keeps which keys are about to be set, so that they are ours even if this run is killed. Without that nothing is
    /// changed: the keys would never be unset.
    pub(super) async fn claim(&mut self, last: Option<&LastApplied>, claim: &LastApplied) -> Result<(), Ended> {
        if self.claimed.as_ref().or(last) != Some(claim) {
            let saved = self.document.save(claim).await;
            saved.map_err(|error| {
                Ended::failed(format!("nothing is changed without a record in {}: {error:#}", self.document.place()))
            })?;
            let contested = self.contested(claim).await.map_err(|error| Ended::refused(format!("{error:#}")))?;
            if let Some((names, words)) = contested {
                let back = without(claim.clone(), &names, last);
                let withdrawn = self.document.save(&back).await;
                let failed = withdrawn.err().map(|error| format!(" ({error:#})")).unwrap_or_default();
                return Err(Ended::refused(format!("{words}{failed}; remove it from one of the two")));
            }
            self.claimed = Some(claim.clone());
        }
        Ok(())
    }

    /// Keeps what is in force now: of topics with a fault, or with a step that was not done, what was kept before.
    pub(super) async fn settle(
        mut self,
        context: &Context,
        part: &Part<'_>,
        (observed, claim): (&Observed, &LastApplied),
        ended: &[(TopicStep, Ended)],
    ) -> bool {
        let Part { spec, is_partial, faulty, takes_ownership } = part;
        let is_done = |ended: &Ended| ended.outcome == Outcome::Done;
        let open = ended.iter().filter(|(_, ended)| !is_done(ended)).map(|(step, _)| step.name());
        let of_others = self.declared_by_others.keys().filter(|_| !takes_ownership);
        // A change that was refused is not what was last applied.
        let refused = observed.eligible.iter().filter(|(_, partitions)| !partitions.is_empty()).map(|(name, _)| name);
        let unsettled = open.chain(faulty).chain(of_others).chain(refused).cloned().collect();
        let done = ended.iter().filter(|(step, ended)| step.batch() == TopicBatch::Create && is_done(ended));
        let created: BTreeSet<_> = done.map(|(step, _)| step.name()).collect();
        let exists = |name: &TopicName| observed.metadata.topics.contains_key(name) || created.contains(name);
        let mut ids = observed.ids();
        ids.append(&mut self.created_ids);
        let settled = claim.settled(spec, &unsettled, exists, &ids);
        let mut settled = settled.watching(claim, spec, observed, context.now());
        let deleted = ended.iter().filter(|(step, ended)| step.batch() == TopicBatch::Delete && is_done(ended));
        for (step, _) in deleted {
            settled.watched.remove(step.name());
        }
        if *is_partial {
            let left_out = claim.topics.iter().filter(|(name, _)| !spec.topics.contains_key(*name));
            settled.topics.extend(left_out.map(|(name, applied)| (name.clone(), applied.clone())));
        }
        let last = observed.last_applied.as_ref();
        self.claimed.as_ref().or(last) == Some(&settled)
            || (context.keep(&mut self.document, &settled).await && self.is_alone(context, &settled, last).await)
    }

    /// Whether no other owner has claimed these topics meanwhile; else they leave this owner's record again.
    async fn is_alone(&mut self, context: &Context, settled: &LastApplied, last: Option<&LastApplied>) -> bool {
        if self.claimed.is_some() {
            return true;
        }
        match self.contested(settled).await {
            Ok(None) => true,
            Ok(Some((names, words))) => {
                output::complain(&format!("{words}; remove it from one of the two"));
                context.keep(&mut self.document, &without(settled.clone(), &names, last)).await;
                false
            }
            Err(error) => {
                output::complain_lines(&format!("{error:#}"));
                false
            }
        }
    }

    /// Opens the records of the owners that topics are taken over from.
    pub(super) async fn open_former(&mut self, context: &Context, steps: &[TopicStep]) -> anyhow::Result<()> {
        for owner in steps.iter().flat_map(former_owners) {
            if !self.former.contains_key(owner) {
                let identity = Identity { owner: Some(owner.clone()), ..self.document.identity().clone() };
                self.former.insert(owner.clone(), context.document(&identity).await?);
            }
        }
        Ok(())
    }

    /// Takes topics out of the records of their former owners. One ending a step.
    pub(super) async fn take_from_former(&mut self, steps: &[TopicStep]) -> Vec<Ended> {
        let mut failed: BTreeMap<&String, String> = BTreeMap::new();
        for (owner, document) in &mut self.former {
            let is_theirs = |step: &&TopicStep| former_owners(step).contains(owner);
            let names: BTreeSet<_> = steps.iter().filter(is_theirs).map(TopicStep::name).collect();
            let without = |mut last: LastApplied| {
                last.topics.retain(|name, _| !names.contains(name));
                last
            };
            if let Err(error) = document.update(without).await {
                failed.insert(owner, format!("{error:#}"));
            }
        }
        let ending = |step: &TopicStep| match former_owners(step).iter().find_map(|owner| failed.get_key_value(owner)) {
            None => Ended::done(),
            Some((owner, why)) => Ended::failed(format!(
                "the record of owner `{owner}` still names it ({why}); run the same command again"
            )),
        };
        steps.iter().map(ending).collect()
    }
}

/// The owners that a step takes a topic from.
fn former_owners(step: &TopicStep) -> &[String] {
    match step {
        TopicStep::TakeOwnership { from, .. } => from,
        _ => &[],
    }
}
