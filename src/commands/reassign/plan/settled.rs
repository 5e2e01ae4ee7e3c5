//! The outcomes of the changes of an execution that died, from what the cluster shows: (intent, observation) in, outcome out.
//! Pure.

use crate::change::carry_out::Ended;
use crate::change::event::Event;
use crate::cluster::broker::BrokerId;
use crate::cluster::topic::{TopicName, TopicPartition};
use crate::commands::reassign::plan::seen::{Observed, target_of};

/// How an intent of a dead run ended; none where the observation does not tell.
pub fn settled(intent: &Event, observed: &Observed) -> Option<Ended> {
    if intent.kind.starts_with("reassign.") && intent.kind.ends_with(".started") {
        return Some(Ended::failed("the run died before its end"));
    }
    let (topic, partition) = intent.subject.strip_prefix("partition:")?.rsplit_once('-')?;
    let key = TopicPartition { topic: TopicName::new(topic).ok()?, partition: partition.parse().ok()? };
    let seen = observed.partitions.get(&key)?;
    let running = observed.running.get(&key);
    let (before, after) = (replicas(intent.before.as_deref()), replicas(intent.after.as_deref()));
    match intent.kind.as_str() {
        "reassign.move_started" | "reassign.order_restored" => {
            let after = after?;
            let is_done = match running {
                // The first phase of two has the new replicas first and the former ones behind.
                Some(running) => target_of(running).starts_with(&after).then_some(true),
                None if seen.replicas == after => Some(true),
                None => (Some(&seen.replicas) == before.as_ref()).then_some(false),
            };
            is_done.map(Ended::settled)
        }
        // A move that is not there any more may have ended by itself.
        "reassign.move_cancelled" => match running {
            Some(running) if Some(target_of(running)) == before => Some(Ended::settled(false)),
            None if Some(&seen.replicas) == after.as_ref() => Some(Ended::settled(true)),
            _ => None,
        },
        "reassign.leader_elected" => {
            let leader = intent.after.as_deref()?.strip_prefix("leader: ")?.parse().ok().map(BrokerId)?;
            Some(Ended::settled(seen.leader == Some(leader)))
        }
        _ => None,
    }
}

/// The brokers of `replicas: [1,2]`.
fn replicas(text: Option<&str>) -> Option<Vec<BrokerId>> {
    let list = text?.strip_prefix("replicas: [")?.strip_suffix(']')?;
    list.split(',').map(|id| id.parse().ok().map(BrokerId)).collect()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::change::carry_out::Run;
    use crate::change::event::Outcome;
    use crate::cluster::metadata::Reassignment;
    use crate::commands::reassign::plan::seen::SeenPartition;

    fn ids(ids: &[i32]) -> Vec<BrokerId> {
        ids.iter().copied().map(BrokerId).collect()
    }

    /// How an intent about `orders-0` ended, whose replicas are these now; `to` is where it moves.
    fn ended((kind, before, after): (&str, &str, &str), now: &[i32], to: Option<&[i32]>) -> Option<Outcome> {
        let run = Run {
            id: Uuid::nil(),
            cluster: "main".to_owned(),
            actor: "user:ann".to_owned(),
            command: "reassign execute".to_owned(),
            clock: || jiff::Timestamp::UNIX_EPOCH,
        };
        let intent = run.event(kind, "partition:orders-0", Outcome::Planned, "");
        let intent = Event { before: Some(before.to_owned()), after: Some(after.to_owned()), ..intent };
        let key = TopicPartition { topic: TopicName::new("orders").unwrap(), partition: 0 };
        let mut observed = Observed::default();
        let seen = SeenPartition { leader: Some(BrokerId(now[0])), replicas: ids(now), isr: ids(now) };
        observed.partitions.insert(key.clone(), seen);
        if let Some(to) = to {
            let adding = ids(to).into_iter().filter(|one| !ids(now).contains(one)).collect::<Vec<_>>();
            let removing = ids(now).into_iter().filter(|one| !ids(to).contains(one)).collect();
            let replicas = [ids(to), ids(now).into_iter().filter(|one| !ids(to).contains(one)).collect()].concat();
            observed.running.insert(key, Reassignment { replicas, adding, removing });
        }
        settled(&intent, &observed).map(|ended| ended.outcome)
    }

    #[test]
    fn the_cluster_settles_what_it_shows_and_leaves_the_rest_unknown() {
        use Outcome::{Done, Failed};
        let moved = ("reassign.move_started", "replicas: [1,2]", "replicas: [3,1]");
        assert_eq!(ended(moved, &[3, 1], None), Some(Done));
        assert_eq!(ended(moved, &[1, 2], Some(&[3, 1])), Some(Done), "it is under way");
        assert_eq!(ended(moved, &[1, 2], None), Some(Failed));
        assert_eq!(ended(moved, &[1, 2], Some(&[4, 5])), None, "somebody else moves it");
        assert_eq!(ended(moved, &[4, 5], None), None);
        let cancelled = ("reassign.move_cancelled", "replicas: [3,1]", "replicas: [1,2]");
        assert_eq!(ended(cancelled, &[1, 2], None), Some(Done));
        assert_eq!(ended(cancelled, &[1, 2], Some(&[3, 1])), Some(Failed));
        assert_eq!(ended(cancelled, &[3, 1], None), None, "it ended by itself, before or after");
        let elected = ("reassign.leader_elected", "leader: 2", "leader: 1");
        assert_eq!((ended(elected, &[1, 2], None), ended(elected, &[2, 1], None)), (Some(Done), Some(Failed)));
        assert_eq!(ended(("reassign.execute.started", "", ""), &[1], None), Some(Failed));
    }
}
