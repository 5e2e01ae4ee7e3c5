//! What must be asked of the cluster beyond metadata and configs, because this plan needs it. A run that finds
//! nothing to do asks nothing more.

use std::collections::BTreeSet;

use crate::cluster::topic::TopicName;
use crate::commands::topics::observe::Observed;
use crate::commands::topics::plan::abreast::AllThere;
use crate::commands::topics::spec::{Spec, State};

/// Questions that only some plans have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a question of its own")]
pub struct Questions {
    /// Moves that are running: asked where partitions or replicas differ, or where replicas are not in sync.
    pub reassignments: bool,
    /// How large topics are: asked where a topic is to be deleted.
    pub sizes: bool,
    /// What every broker holds: asked where replicas differ.
    pub placement: bool,
    /// The brokers' own defaults: asked where a topic is created.
    pub broker_defaults: bool,
    /// Every config key that the brokers know: asked where one is not known.
    pub known_keys: bool,
    /// Topics that are to be deleted: asked who uses them.
    pub uses: BTreeSet<TopicName>,
    /// Topics that get more partitions or are to be deleted: asked what their partitions hold.
    pub logs: BTreeSet<TopicName>,
}

impl Questions {
    /// What is still to be asked.
    pub fn of(spec: &Spec, observed: &Observed) -> Self {
        let mut questions = Self::default();
        let mut all_there = AllThere::of(observed);
        for (name, declared) in &spec.topics {
            let there = all_there.at(name);
            let Some(topic) = there.topic else {
                questions.broker_defaults |= declared.state == State::Present;
                continue;
            };
            if declared.state == State::Absent {
                questions.sizes = true;
                questions.uses.insert(name.clone());
                questions.logs.insert(name.clone());
                continue;
            }
            let grows = declared
                .partitions
                .as_ref()
                .is_some_and(|desired| usize::try_from(desired.value) != Ok(topic.partitions.len()));
            let differs = declared.replication_factor.as_ref().is_some_and(|desired| {
                let desired = usize::try_from(desired.value);
                topic.partitions.iter().any(|partition| Ok(partition.replicas.len()) != desired)
            });
            // A replica that is being copied counts as one already, and is not in sync.
            let copies = declared.replication_factor.is_some()
                && topic.partitions.iter().any(|partition| partition.isr.len() < partition.replicas.len());
            questions.reassignments |= grows || differs || copies;
            if grows {
                questions.logs.insert(name.clone());
            }
            questions.placement |= differs;
            questions.known_keys |= there.unknown_keys(declared).next().is_some();
        }
        questions
    }
}
