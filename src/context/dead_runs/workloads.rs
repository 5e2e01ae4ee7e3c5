//! What the API server shows of StatefulSets and pods that dead runs changed: read one by one, within limits. What can't be read is
//! left open for a later run.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::change::carry_out::Ended;
use crate::change::event::{Event, Outcome};
use crate::change::settled::Verdict;
use crate::change::settled::workloads::{
    Placed, ShownPod, ShownSet, ShownWorkloads, Workloads, is_of_workload, settled_by_workloads,
};
use crate::clients::kubernetes::{Kubernetes, KubernetesError, ObjectName, Strategy};
use crate::context::dead_runs::SECOND_LOOK;

/// Most StatefulSets, and most pods, that are read at one look; the rest is left open.
const OBJECTS_MAX: usize = 100;

/// Who is asked.
#[derive(Clone)]
pub(super) struct Asked {
    /// The API server.
    pub(super) kubernetes: Arc<dyn Kubernetes>,
    /// The cluster or ensemble that this run is about: the changes of others are left open.
    pub(super) cluster_id: String,
    /// Longest wait for all answers together.
    pub(super) limit: Duration,
}

/// One verdict for each change of a StatefulSet or a pod; none for other intents.
pub(super) async fn verdicts(asked: Option<&Asked>, intents: &[Event]) -> Vec<Option<Verdict>> {
    let is_here = |intent: &Event| asked.is_some_and(|asked| intent.cluster_id.as_ref() == Some(&asked.cluster_id));
    let wanted = Workloads::of(intents.iter().filter(|intent| is_here(intent)));
    let judge = |shown: &ShownWorkloads| {
        let one = |intent: &Event| {
            let known = is_here(intent).then(|| settled_by_workloads(intent, shown));
            is_of_workload(intent).then(|| known.unwrap_or(Verdict::NotAsked))
        };
        intents.iter().map(one).collect::<Vec<_>>()
    };
    let Some(asked) = asked.filter(|_| !wanted.is_empty()) else { return judge(&ShownWorkloads::default()) };
    let deadline = Instant::now() + asked.limit;
    let verdicts = judge(&look(asked, &wanted, deadline).await);
    let is_not_done = |verdict: &Option<Verdict>| matches!(verdict, Some(Verdict::Ended(Ended { outcome, .. })) if *outcome != Outcome::Done);
    if !verdicts.iter().any(is_not_done) {
        return verdicts;
    }
    // The request may have been sent right before the death.
    sleep(SECOND_LOOK).await;
    judge(&look(asked, &wanted, deadline.max(Instant::now() + SECOND_LOOK)).await)
}

/// Reads what it can before the deadline.
async fn look(asked: &Asked, wanted: &Workloads, deadline: Instant) -> ShownWorkloads {
    let mut shown = ShownWorkloads::default();
    let read = timeout_at(deadline, read(asked, wanted, &mut shown)).await;
    let why = match read {
        Ok(Ok(())) => return shown,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it did not answer in time".to_owned(),
    };
    tracing::warn!("the Kubernetes API does not say how the changes of a run that died ended: {why}");
    shown
}

/// Reads all. An error that passes ends it: the server is in trouble. Any other one leaves that object out.
async fn read(asked: &Asked, wanted: &Workloads, shown: &mut ShownWorkloads) -> Result<(), KubernetesError> {
    let kubernetes = asked.kubernetes.as_ref();
    let mut last = Ok(());
    for name in wanted.sets.iter().take(OBJECTS_MAX) {
        match kubernetes.stateful_set(&object(kubernetes, name)).await {
            Ok(set) => {
                let set = set.map(|set| ShownSet {
                    uid: set.uid,
                    replicas: set.replicas,
                    partition: match set.strategy {
                        Strategy::OnDelete => None,
                        Strategy::Partition(from) => Some(from),
                    },
                });
                shown.sets.insert(name.clone(), set);
            }
            Err(error) if error.is_passing() => return Err(error),
            Err(error) => last = Err(error),
        }
    }
    for name in wanted.pods.iter().take(OBJECTS_MAX) {
        match kubernetes.pod(&object(kubernetes, name)).await {
            Ok(pod) => {
                let pod = pod.map(|pod| ShownPod { uid: pod.uid, is_deleting: pod.is_deleting });
                shown.pods.insert(name.clone(), pod);
            }
            Err(error) if error.is_passing() => return Err(error),
            Err(error) => last = Err(error),
        }
    }
    last
}

fn object(kubernetes: &dyn Kubernetes, name: &Placed) -> ObjectName {
    let own = || kubernetes.identity().namespace.clone();
    ObjectName::new(name.namespace.clone().unwrap_or_else(own), name.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::carry_out::Run;
    use crate::clients::kubernetes::{Identity, Memory, PodState, Resource, StatefulSet, Verb};

    /// A server with StatefulSet `zk` of three replicas and pod `kafka-1`.
    fn server() -> Memory {
        let server = Memory::new(Identity {
            namespace: "kafka".to_owned(),
            pod: None,
            service_account: None,
            source: "memory".to_owned(),
            server: "memory".to_owned(),
        });
        let (name, uid) = (ObjectName::new("kafka", "zk"), "u".to_owned());
        server.add_stateful_set(StatefulSet { name, uid, replicas: 3, ..StatefulSet::default() });
        server.add_pod(PodState {
            name: ObjectName::new("kafka", "kafka-1"),
            uid: "new".to_owned(),
            ..PodState::default()
        });
        server
    }

    fn intent(cluster_id: &str, kind: &str, subject: &str, (before, after): (&str, &str)) -> Event {
        let run = Run {
            id: uuid::Uuid::nil(),
            cluster: "main".to_owned(),
            cluster_id: Some(cluster_id.to_owned()),
            actor: "ann".to_owned(),
            command: "ensemble apply".to_owned(),
            clock: || jiff::Timestamp::UNIX_EPOCH,
        };
        let event = run.event(kind, subject, Outcome::Planned, "");
        Event { before: Some(before.to_owned()), after: Some(after.to_owned()), ..event }
    }

    /// What the replicas were and should be.
    fn lowered(cluster_id: &str, from: u32, to: u32) -> Event {
        let lines = |count| format!("statefulset: kafka/zk\nstatefulset uid: u\nreplicas: {count}");
        intent(cluster_id, "ensemble.replicas_lowered", "server:4", (&lines(from), &lines(to)))
    }

    fn deleted(uid: &str) -> Event {
        intent("one", "rollout.pod_deleted", "pod:kafka/kafka-1", (&format!("uid: {uid}\nnode: n"), "revision: 2"))
    }

    async fn ends(server: Memory, intents: &[Event]) -> Vec<Option<Verdict>> {
        let limit = Duration::from_secs(5);
        let asked = Asked { kubernetes: Arc::new(server), cluster_id: "one".to_owned(), limit };
        verdicts(Some(&asked), intents).await
    }

    fn ended(is_done: bool) -> Verdict {
        Verdict::Ended(Ended::settled(is_done))
    }

    #[tokio::test(start_paused = true)]
    async fn the_api_server_says_how_changes_of_workloads_ended_and_is_not_asked_about_others() {
        let declared = intent("one", "ensemble.declared", "server:4", ("", ""));
        let intents = [
            lowered("one", 4, 3),
            lowered("one", 3, 2),
            deleted("old"),
            deleted("new"),
            lowered("other", 4, 3),
            declared,
        ];
        let expected = [
            Some(ended(true)),
            Some(ended(false)),
            Some(ended(true)),
            Some(ended(false)),
            Some(Verdict::NotAsked),
            None,
        ];
        assert_eq!(ends(server(), &intents).await, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_api_server_does_not_say_is_left_open() {
        let intents = [lowered("one", 4, 3), deleted("old")];
        let open = || Some(Verdict::NotAsked);
        let broken = server();
        broken.set_broken(Verb::Get, Resource::StatefulSets, true);
        assert_eq!(ends(broken, &intents).await, [open(), open()], "a server in trouble is asked nothing more");
        let forbidding = server();
        forbidding.forbid(Verb::Get, Resource::StatefulSets);
        assert_eq!(ends(forbidding, &intents).await, [open(), Some(ended(true))]);
        let down = server();
        down.set_down(true);
        assert_eq!(ends(down, &intents).await, [open(), open()]);
        assert_eq!(verdicts(None, &intents).await, [open(), open()], "there is no API server");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_was_under_way_at_the_death_is_looked_for_twice() {
        let server = Arc::new(server());
        let (kubernetes, limit) = (Arc::clone(&server) as Arc<dyn Kubernetes>, Duration::from_secs(5));
        let asked = Asked { kubernetes, cluster_id: "one".to_owned(), limit };
        let arrives = async {
            sleep(SECOND_LOOK / 2).await;
            let (name, uid) = (ObjectName::new("kafka", "zk"), "u".to_owned());
            server.add_stateful_set(StatefulSet { name, uid, replicas: 2, ..StatefulSet::default() });
        };
        let intents = [lowered("one", 3, 2)];
        let (verdicts, ()) = tokio::join!(verdicts(Some(&asked), &intents), arrives);
        assert_eq!(verdicts, [Some(ended(true))]);
    }
}
