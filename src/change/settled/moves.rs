//! Changes of `reassign`: moves, cancels, orders that are given back, elections.

use crate::change::event::Event;
use crate::change::settled::Shown;
use crate::cluster::broker::BrokerId;
use crate::cluster::topic::{TopicName, TopicPartition};

/// Whether the cluster shows it done; none where it shows neither.
pub(super) fn is_done(intent: &Event, shown: &Shown) -> Option<bool> {
    let key = partition(&intent.subject)?;
    let partitions = &shown.topics.get(&key.topic)?.partitions;
    let seen = partitions.iter().find(|one| one.partition == key.partition)?;
    let running = shown.moves.get(&key);
    let (before, after) = (replicas(intent.before.as_deref()), replicas(intent.after.as_deref()));
    match intent.kind.as_str() {
        "reassign.move_started" | "reassign.order_restored" => {
            let after = after?;
            match running {
                // The first phase of two has the new replicas first and the former ones behind.
                Some(running) => running.target().starts_with(&after).then_some(true),
                None if seen.replicas == after => Some(true),
                None => (Some(&seen.replicas) == before.as_ref()).then_some(false),
            }
        }
        // A move that is not there any more may have ended by itself.
        "reassign.move_cancelled" => {
            if let Some(running) = running {
                return (Some(running.target()) == before).then_some(false);
            }
            // KRaft gives the former replicas back in another order.
            let after = after?;
            (!same_set(&before?, &after) && same_set(&seen.replicas, &after)).then_some(true)
        }
        "reassign.leader_elected" | "reassign.unclean_leader_elected" => {
            let leader = intent.after.as_deref()?.strip_prefix("leader: ")?.parse().ok().map(BrokerId)?;
            Some(seen.leader == Some(leader))
        }
        _ => None,
    }
}

/// The partition of `partition:orders-3`.
pub(super) fn partition(subject: &str) -> Option<TopicPartition> {
    let (topic, partition) = subject.strip_prefix("partition:")?.rsplit_once('-')?;
    Some(TopicPartition { topic: TopicName::new(topic).ok()?, partition: partition.parse().ok()? })
}

fn same_set(one: &[BrokerId], two: &[BrokerId]) -> bool {
    one.len() == two.len() && one.iter().all(|broker| two.contains(broker))
}

/// The brokers of `replicas: [1,2]`.
fn replicas(text: Option<&str>) -> Option<Vec<BrokerId>> {
    let list = text?.strip_prefix("replicas: [")?.strip_suffix(']')?;
    list.split(',').map(|id| id.parse().ok().map(BrokerId)).collect()
}
