//! Deleting: only with `state: absent`, and only past every guard.

use crate::change::plan::Plan;
use crate::cluster::internal::keeper;
use crate::cluster::topic::Topic;
use crate::commands::topics::observe::{Observed, Use};
use crate::commands::topics::plan::Options;
use crate::commands::topics::plan::step::{TopicStep, count, subject};

/// Plans the deletion of topics that should be absent and are there.
pub fn plan(absent: &[&Topic], observed: &Observed, options: &Options, plan: &mut Plan<TopicStep>) {
    let mut steps = Vec::new();
    for topic in absent {
        match guard(topic, observed, options) {
            Some(reason) => plan.refuse(subject(&topic.name), "delete", reason),
            None => steps.push(TopicStep::Delete {
                name: topic.name.clone(),
                partitions: topic.partitions.len(),
                bytes: observed.bytes_of(&topic.name),
            }),
        }
    }
    if steps.len() <= options.max_deletes {
        plan.steps.extend(steps);
        return;
    }
    let reason = format!(
        "{} would be deleted, more than --max-deletes {}: none is; look at the spec, then raise the limit",
        count(steps.len(), "topic"),
        options.max_deletes
    );
    for step in steps {
        plan.refuse(subject(step.name()), "delete", reason.clone());
    }
}

/// Why a topic may not be deleted.
fn guard(topic: &Topic, observed: &Observed, options: &Options) -> Option<String> {
    if topic.internal || topic.name.as_str().starts_with("__") {
        return Some("Kafka keeps this topic for itself; it is never deleted".to_owned());
    }
    if let Some(keeper) = keeper(&topic.name).filter(|_| !options.internal_topics.contains(&topic.name)) {
        let name = &topic.name;
        return Some(format!("{keeper} keeps its own data in it; --internal-topic {name} lets it be deleted"));
    }
    if options.named_deletes.contains(&topic.name) {
        return None;
    }
    let way_out = format!("--delete {} deletes it nonetheless", topic.name);
    let Some(Use { groups, newest, unclear, has_append_times }) = observed.uses.get(&topic.name) else {
        return Some(format!("whether it is in use was not looked at; {way_out}"));
    };
    if let Some(why) = unclear {
        return Some(format!("whether it is in use could not be found out ({why}); {way_out}"));
    }
    if let [first, rest @ ..] = &groups[..] {
        let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
        return Some(format!("consumer group {first}{more} reads it now; stop it first, or {way_out}"));
    }
    if let Some(newest) = newest {
        return Some(format!("it has records from {newest}, newer than --min-idle {}; {way_out}", options.min_idle));
    }
    match observed.records(&topic.name) {
        None => Some(format!("how many records it holds could not be read; {way_out}")),
        Some(0) => None,
        // Brokers gave the records their times: none was appended since.
        Some(_) if *has_append_times => None,
        Some(records) => appended(topic, records, observed, options).map(|why| format!("{why}, or {way_out}")),
    }
}

/// Why nobody knows that nothing was appended to a topic with records for long enough. The times of its records are what
/// producers say: a record that is written now may have a time of last month.
fn appended(topic: &Topic, records: u64, observed: &Observed, options: &Options) -> Option<String> {
    let watched = observed.last_applied.as_ref().and_then(|last| last.watched.get(&topic.name));
    let ends = observed.ends(&topic.name);
    let watched = watched.filter(|seen| Some(&seen.ends) == ends.as_ref() && seen.topic_id == topic.id);
    let Options { min_idle, idle_since, .. } = options;
    let records = count(usize::try_from(records).unwrap_or(usize::MAX), "record");
    match watched {
        Some(seen) if idle_since.is_some_and(|since| seen.since <= since) => None,
        Some(seen) => Some(format!(
            "it holds {records}, whose times are what producers say, and its end offsets are known to stand still since {:.0} \
             only; run again when that is --min-idle {min_idle} ago",
            seen.since
        )),
        None => Some(format!(
            "it holds {records}, whose times are what producers say, and nobody knows when they were appended; its end \
             offsets are noted now: run again in --min-idle {min_idle}"
        )),
    }
}
