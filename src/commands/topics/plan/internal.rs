//! Topics that Kafka, Strimzi or Connect keep for themselves: changed only where each is named.

use crate::change::plan::Plan;
use crate::cluster::internal::{Keeper, keeper};
use crate::cluster::topic::{Topic, TopicName};
use crate::commands::topics::plan::Options;
use crate::commands::topics::plan::abreast::There;
use crate::commands::topics::plan::configs;
use crate::commands::topics::plan::step::{Cause, ConfigEdit, TopicStep, subject};
use crate::commands::topics::spec::TopicSpec;

/// Who keeps a topic for itself, by its name and by what the brokers say.
pub fn keeper_of(name: &TopicName, topic: Option<&Topic>) -> Option<Keeper> {
    keeper(name).or_else(|| topic.filter(|topic| topic.internal).map(|_| Keeper::Kafka))
}

/// Whether a declared topic is left as it is because nobody named it: then what would change is refused.
pub fn is_left_alone(declared: &TopicSpec, there: &There<'_>, options: &Options, plan: &mut Plan<TopicStep>) -> bool {
    let name = &declared.name.value;
    let Some(keeper) = keeper_of(name, there.topic) else { return false };
    if options.internal_topics.contains(name) {
        return false;
    }
    let changes = match there.topic {
        Some(topic) => changes(declared, (topic, there)),
        // Who sets up Connect creates its topics; Kafka and Strimzi create theirs.
        None if keeper == Keeper::Connect => return false,
        None => vec!["create".to_owned()],
    };
    if !changes.is_empty() {
        let reason = format!(
            "{keeper} keeps its own data in this topic; --internal-topic {name} lets it be changed. Its replicas are moved \
             by `toolbox mapping` and `toolbox reassign`"
        );
        plan.refuse(subject(name), &changes.join(", "), reason);
    }
    true
}

/// What would change, in words.
fn changes(declared: &TopicSpec, (topic, there): (&Topic, &There<'_>)) -> Vec<String> {
    let mut changes = Vec::new();
    let now = topic.partitions.len();
    if let Some(desired) = declared.partitions.as_ref().filter(|desired| usize::try_from(desired.value) != Ok(now)) {
        changes.push(format!("partitions {now} -> {}", desired.value));
    }
    let now = topic.replication_factor();
    if let Some(desired) =
        declared.replication_factor.as_ref().filter(|desired| usize::try_from(desired.value) != Ok(now))
    {
        changes.push(format!("replication factor {now} -> {}", desired.value));
    }
    let edits = configs::edits(declared, there.config.unwrap_or_default(), there.last);
    changes.extend(edits.iter().filter(|edit| is_kept_edit(edit)).map(ToString::to_string));
    changes
}

/// Takes out what `strict` would unset: keys of such a topic are its keeper's.
pub fn keep_keys(name: &TopicName, topic: &Topic, edits: &mut Vec<ConfigEdit>) {
    if keeper_of(name, Some(topic)).is_some() {
        edits.retain(is_kept_edit);
    }
}

fn is_kept_edit(edit: &ConfigEdit) -> bool {
    edit.cause != Cause::Strict
}
