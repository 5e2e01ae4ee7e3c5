//! Rolls of StatefulSets: on the API server in memory, whose controller makes pods anew, and on a real one, whose real
//! controller does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_toolbox::change::event::Outcome;
use kafka_toolbox::clients::kafka::memory::Memory;
use kafka_toolbox::clients::kubernetes::{
    self, Access, KubernetesError, Live, ObjectName, PodState, REVISION_LABEL, Resource, StatefulSet, Strategy, Verb,
    Version, Workloads,
};
use kafka_toolbox::cluster::broker::BrokerId;
use kafka_toolbox::exit::Exit;

use crate::clients::kubernetes::twin;
use crate::live::kafka::{Cluster, Kind, Shape};
use crate::live::kubernetes::control_plane::ControlPlane;
use crate::support::desk::{Desk, Said};
use crate::support::toolbox::Toolbox;

const ID: &str = "kafka-toolbox/broker-id";

/// Two StatefulSets with two pods each, of brokers 1 and 2, and 3 and 4.
struct Bed {
    desk: Desk,
    server: Arc<kubernetes::Memory>,
}

fn set(name: &str, strategy: Strategy) -> StatefulSet {
    StatefulSet {
        name: ObjectName::new("kafka", name),
        uid: format!("uid-{name}"),
        selector: format!("set={name}"),
        replicas: 2,
        strategy,
        update_revision: "new".to_owned(),
        is_observed: true,
        ..StatefulSet::default()
    }
}

fn pod(set: &str, ordinal: i32, id: i32) -> PodState {
    let labels = [("set", set), (REVISION_LABEL, "old"), (ID, &id.to_string())];
    PodState {
        name: ObjectName::new("kafka", format!("{set}-{ordinal}")),
        uid: format!("u{id}"),
        controller_uid: Some(format!("uid-{set}")),
        node: Some(format!("node-{id}")),
        labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>(),
        is_ready: true,
        ..PodState::default()
    }
}

impl Bed {
    fn new(strategy: Strategy) -> Self {
        let kafka = Memory::zookeeper(4).topic("orders", &[&[1, 2, 3], &[2, 3, 4]]).config(
            "orders",
            "min.insync.replicas",
            "2",
        );
        let server = Arc::new(twin());
        for (name, first) in [("one", 1), ("two", 3)] {
            server.add_stateful_set(set(name, strategy));
            server.add_pod(pod(name, 0, first));
            server.add_pod(pod(name, 1, first + 1));
        }
        Self { desk: Desk::new(kafka).in_kubernetes(server.clone()), server }
    }

    async fn roll(&self, wait_max: &str) -> Said {
        let line = ["rollout", "run", "--yes", "--set", "one", "--set", "two", "--events-to", "none"];
        let pace = ["--apart", "1ms", "--every", "10ms", "--wait-max", wait_max];
        self.desk.run(&[&line[..], &pace].concat()).await
    }

    fn deleted(&self) -> Vec<String> {
        self.server.deleted_pods().into_iter().map(|(name, uid)| format!("{} {uid}", name.name)).collect()
    }

    fn change(&self, set: &str, ordinal: i32, change: impl FnOnce(&mut PodState)) {
        let mut pod = self.server.peek_pod(&ObjectName::new("kafka", format!("{set}-{ordinal}"))).unwrap();
        change(&mut pod);
        self.server.add_pod(pod);
    }
}

#[tokio::test]
async fn pods_of_two_sets_are_deleted_one_by_one_by_uid_unready_ones_first_and_the_controller_last() {
    let bed = Bed::new(Strategy::OnDelete);
    bed.change("two", 1, |pod| pod.is_ready = false);
    let said = bed.roll("20s").await.ends_with(Exit::Done);
    assert_eq!(bed.deleted(), ["two-1 u4", "one-1 u2", "two-0 u3", "one-0 u1"], "broker 1 is the controller");
    assert!(said.out.contains("4 restarted"), "{}", said.out);
    let said = bed.roll("20s").await.ends_with(Exit::Done);
    assert_eq!((bed.deleted().len(), said.out.as_str()), (4, "nothing to do\n"), "the pods' revisions say it");
}

#[tokio::test]
async fn a_set_with_a_partition_is_stepped_from_its_highest_ordinal_down() {
    let bed = Bed::new(Strategy::Partition(2));
    bed.roll("20s").await.ends_with(Exit::Done);
    let deleted = bed.deleted();
    let at = |name: &str| deleted.iter().position(|it| it.starts_with(name)).unwrap();
    assert!(at("one-1") < at("one-0") && at("two-1") < at("two-0") && deleted.len() == 4, "{deleted:?}");
    let plain = Bed::new(Strategy::Partition(0));
    let said = plain.roll("20s").await.ends_with(Exit::Refused);
    assert!(said.out.contains("by readiness alone") && plain.deleted().is_empty(), "{said:?}");
}

/// A new template was applied a moment ago: the set still names its former revision, and all pods seem to have it.
#[tokio::test]
async fn a_set_whose_controller_has_not_seen_its_last_change_is_not_taken_for_done() {
    let bed = Bed::new(Strategy::OnDelete);
    let unseen = |revision: &str, is_observed| StatefulSet {
        update_revision: revision.to_owned(),
        is_observed,
        ..set("one", Strategy::OnDelete)
    };
    bed.server.add_stateful_set(unseen("old", false));
    let line = ["rollout", "run", "--yes", "--set", "one", "--events-to", "none", "--apart", "1ms", "--every", "10ms"];
    let said = bed.desk.run(&[&line[..], &["--timeout", "300ms"]].concat()).await.ends_with(Exit::Refused);
    assert!(said.err.contains("has not seen its last change") && bed.deleted().is_empty(), "{said:?}");
    let sees = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        bed.server.add_stateful_set(unseen("new", true));
    };
    let (said, ()) = tokio::join!(bed.desk.run(&line), sees);
    said.ends_with(Exit::Done);
    assert_eq!(bed.deleted(), ["one-1 u2", "one-0 u1"]);
}

/// The same two sets, where the first pod of one has the ordinal 5 (`spec.ordinals.start`).
fn beginning_at_five(strategy: Strategy) -> Bed {
    let bed = Bed::new(strategy);
    bed.server.add_stateful_set(StatefulSet { first_ordinal: 5, ..set("two", strategy) });
    for ordinal in 0..2 {
        bed.server.remove_pod(&ObjectName::new("kafka", format!("two-{ordinal}")));
        bed.server.add_pod(pod("two", ordinal + 5, ordinal + 3));
    }
    bed
}

#[tokio::test]
async fn a_set_whose_ordinals_begin_at_five_is_rolled_whole_by_deletions_and_by_steps() {
    let bed = beginning_at_five(Strategy::OnDelete);
    bed.roll("20s").await.ends_with(Exit::Done);
    assert_eq!(bed.deleted(), ["one-1 u2", "two-5 u3", "two-6 u4", "one-0 u1"]);
    let bed = beginning_at_five(Strategy::Partition(2));
    bed.roll("20s").await.ends_with(Exit::Done);
    let deleted = bed.deleted();
    let at = |name: &str| deleted.iter().position(|it| it.starts_with(name)).unwrap();
    assert!(at("two-6") < at("two-5") && deleted.len() == 4, "one pod a step: {deleted:?}");
    let bed = beginning_at_five(Strategy::OnDelete);
    bed.server.remove_pod(&ObjectName::new("kafka", "two-6"));
    let said = bed.roll("300ms").await.ends_with(Exit::Unhealthy);
    assert!(said.out.contains("pod two-6 is not there now") && bed.deleted().is_empty(), "{said:?}");
}

#[tokio::test]
async fn a_pod_that_its_set_does_not_have_any_more_is_waited_for() {
    let bed = Bed::new(Strategy::OnDelete);
    bed.server.add_stateful_set(StatefulSet { replicas: 1, ..set("one", Strategy::OnDelete) });
    let said = bed.roll("300ms").await.ends_with(Exit::Unhealthy);
    assert!(said.out.contains("pod one-1 is one more than StatefulSet kafka/one is to have"), "{said:?}");
    assert!(bed.deleted().is_empty());
}

/// A run that dies after its last restart leaves no pod to replace: what it began is finished all the same.
#[tokio::test]
async fn what_a_killed_run_has_restarted_is_waited_for_and_leads_again() {
    let all_new = || {
        let bed = Bed::new(Strategy::OnDelete);
        for (set, ordinal) in [("one", 0), ("one", 1), ("two", 0), ("two", 1)] {
            bed.change(set, ordinal, |pod| {
                pod.labels.insert(REVISION_LABEL.to_owned(), "new".to_owned());
            });
        }
        bed
    };
    let bed = all_new();
    bed.desk.kafka.edit(|model| model.topics.values_mut().next().unwrap().partitions[0].leader = Some(BrokerId(2)));
    let said = bed.roll("20s").await.ends_with(Exit::Done);
    assert!(said.out.contains("0 restarted, 1 leaders elected; all are in sync"), "{said:?}");
    assert_eq!(bed.roll("20s").await.ends_with(Exit::Done).out, "nothing to do\n");

    let bed = all_new();
    bed.change("two", 1, |pod| pod.is_ready = false);
    let said = bed.roll("300ms").await.ends_with(Exit::Unhealthy);
    assert!(said.out.contains("~ pod two-1 (broker 4): wait until it is back in sync"), "{said:?}");
    assert!(said.out.contains("paused: 0 restarted") && said.out.contains("its pod is not ready"), "{said:?}");
    bed.change("two", 1, |pod| pod.is_ready = true);
    assert_eq!(bed.roll("20s").await.ends_with(Exit::Done).out, "nothing to do\n");

    bed.server.remove_pod(&ObjectName::new("kafka", "two-1"));
    let said = bed.roll("300ms").await.ends_with(Exit::Unhealthy);
    assert!(said.out.contains("~ pod two-1: wait until it is back in sync"), "{said:?}");
    assert!(bed.deleted().is_empty());
}

#[tokio::test]
async fn an_annotation_pauses_the_roll_and_a_roll_that_waits_too_long_ends_with_5() {
    let bed = Bed::new(Strategy::OnDelete);
    let annotations = BTreeMap::from([("kafka-toolbox/rollout-paused".to_owned(), "ann looks".to_owned())]);
    bed.server.add_stateful_set(StatefulSet { annotations, ..set("two", Strategy::OnDelete) });
    let said = bed.roll("300ms").await.ends_with(Exit::Unhealthy);
    assert!(said.out.contains("ann looks") && bed.deleted().is_empty(), "{said:?}");
}

#[tokio::test]
async fn a_stuck_pod_of_the_new_revision_stops_the_roll_and_one_of_the_old_is_replaced() {
    let bed = Bed::new(Strategy::OnDelete);
    bed.change("one", 1, |pod| {
        pod.is_ready = false;
        pod.stuck = Some("CrashLoopBackOff".to_owned());
        pod.labels.insert(REVISION_LABEL.to_owned(), "new".to_owned());
    });
    let said = bed.roll("300ms").await.ends_with(Exit::Unhealthy);
    assert!(said.out.contains("CrashLoopBackOff") && bed.deleted().is_empty(), "{said:?}");
    bed.change("one", 1, |pod| {
        pod.labels.insert(REVISION_LABEL.to_owned(), "old".to_owned());
    });
    bed.roll("20s").await.ends_with(Exit::Done);
    assert_eq!(bed.deleted()[0], "one-1 u2");
}

#[tokio::test]
async fn two_pods_with_one_id_a_pod_without_an_id_and_a_missing_right_are_refused() {
    let bed = Bed::new(Strategy::OnDelete);
    bed.change("two", 0, |pod| {
        pod.labels.insert(ID.to_owned(), "1".to_owned());
    });
    let said = bed.roll("20s").await.ends_with(Exit::Refused);
    assert!(said.err.contains("two pods have broker id 1: kafka/one-0 and kafka/two-0"), "{}", said.err);
    bed.change("two", 0, |pod| {
        pod.labels.remove(ID);
    });
    let said = bed.roll("20s").await.ends_with(Exit::Refused);
    assert!(said.err.contains("the id of pod kafka/two-0 is not known"), "{}", said.err);
    let bed = Bed::new(Strategy::OnDelete);
    bed.server.forbid(Verb::Delete, Resource::Pods);
    let said = bed.roll("20s").await.ends_with(Exit::Refused);
    assert!(said.err.contains("verbs: [list, delete]") && bed.deleted().is_empty(), "{}", said.err);
}

#[tokio::test]
async fn a_pod_that_is_missing_is_waited_for() {
    let bed = Bed::new(Strategy::OnDelete);
    bed.server.add_stateful_set(StatefulSet { replicas: 3, ..set("one", Strategy::OnDelete) });
    let said = bed.roll("300ms").await.ends_with(Exit::Unhealthy);
    assert!(said.out.contains("pod one-2 is not there now"), "{said:?}");
}

const STATEFUL_SET: &str = "apiVersion: apps/v1
kind: StatefulSet
metadata: {name: kafka, labels: {app: kafka}}
spec:
  serviceName: kafka
  replicas: 2
  podManagementPolicy: Parallel
  updateStrategy: STRATEGY
  selector: {matchLabels: {app: kafka}}
  template:
    metadata: {labels: {app: kafka}, annotations: {version: 'VERSION'}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: kafka, image: kafka}]
";

/// Pods have no node here: they stay pending, which is enough to be read, deleted and made anew.
#[tokio::test]
async fn a_real_api_server_shows_sets_and_pods_deletes_by_uid_and_steps_a_partition() {
    let cluster = ControlPlane::shared();
    let namespace = cluster.namespace("rollout");
    let apply = |version: &str, strategy: &str| {
        let text = STATEFUL_SET.replace("VERSION", version).replace("STRATEGY", strategy);
        cluster.kubectl_with_input(&["--namespace", &namespace, "apply", "--validate=strict", "-f", "-"], &text);
    };
    apply("1", "{type: OnDelete}");
    let access = Access {
        kubeconfig: Some(cluster.admin_kubeconfig()),
        namespace: Some(namespace.clone()),
        ..Access::default()
    };
    let door = Live::connect(&access, Duration::from_secs(10)).await.unwrap();
    let name = ObjectName::new(namespace.clone(), "kafka");
    assert_eq!(door.stateful_set(&ObjectName::new(namespace.clone(), "other")).await.unwrap(), None);
    let pods = until(async || {
        let set = door.stateful_set(&name).await.unwrap().filter(|set| set.is_observed)?;
        let pods = door.pods(&namespace, &set.selector).await.unwrap();
        (pods.len() == 2).then_some(pods)
    })
    .await;
    apply("2", "{type: OnDelete}");
    let set = until(async || {
        let set = door.stateful_set(&name).await.unwrap()?;
        (set.is_observed && pods[0].revision() != Some(&set.update_revision)).then_some(set)
    })
    .await;
    assert_eq!((set.strategy, set.replicas, set.selector.as_str()), (Strategy::OnDelete, 2, "app=kafka"));
    assert_eq!((pods[1].ordinal(), pods[1].controller_uid.as_ref()), (Some(1), Some(&set.uid)));
    door.delete_pod(&pods[0].name, "another-uid").await.unwrap_err();
    door.delete_pod(&pods[0].name, &pods[0].uid).await.unwrap();
    let anew = until(async || {
        let pods = door.pods(&namespace, "app=kafka").await.unwrap();
        pods.into_iter().find(|pod| pod.name == name_of(&namespace, 0) && pod.revision() == Some(&set.update_revision))
    })
    .await;
    assert_ne!(anew.uid, pods[0].uid);

    apply("3", "{type: RollingUpdate, rollingUpdate: {partition: 2}}");
    let set = until(async || {
        let set = door.stateful_set(&name).await.unwrap()?;
        (set.is_observed && set.strategy == Strategy::Partition(2)).then_some(set)
    })
    .await;
    door.set_partition(&StatefulSet { resource_version: "1".to_owned(), ..set.clone() }, 1).await.unwrap_err();
    door.set_partition(&set, 1).await.unwrap();
    let stepped = door.stateful_set(&name).await.unwrap().unwrap();
    assert_eq!(stepped.strategy, Strategy::Partition(1));
    replicas_are_lowered(&door, &name, &set).await;
}

/// With `spec.ordinals.start` a partition counts the set's pods, not their ordinals: what the controller itself does.
#[tokio::test]
async fn a_partition_counts_pods_from_the_first_one_whatever_its_ordinal() {
    let cluster = ControlPlane::shared();
    let namespace = cluster.namespace("ordinals");
    let apply = |version: &str| {
        let text =
            STATEFUL_SET.replace("VERSION", version).replace("  replicas: 2", "  replicas: 2\n  ordinals: {start: 5}");
        let text = text.replace("STRATEGY", "{type: RollingUpdate, rollingUpdate: {partition: 2}}");
        cluster.kubectl_with_input(&["--namespace", &namespace, "apply", "--validate=strict", "-f", "-"], &text);
    };
    apply("1");
    let access = Access {
        kubeconfig: Some(cluster.admin_kubeconfig()),
        namespace: Some(namespace.clone()),
        ..Access::default()
    };
    let live = Live::connect(&access, Duration::from_secs(10)).await.unwrap();
    let name = ObjectName::new(namespace.clone(), "kafka");
    let first = until(async || {
        let set = live.stateful_set(&name).await.unwrap().filter(|set| set.is_observed)?;
        let pods = live.pods(&namespace, &set.selector).await.unwrap();
        (pods.len() == 2).then_some(set)
    })
    .await;
    assert_eq!((first.first_ordinal, first.strategy), (5, Strategy::Partition(2)));
    let uid = async |ordinal: u32| live.pod(&name_of(&namespace, ordinal)).await.unwrap().map(|pod| pod.uid);
    let before = [uid(5).await.unwrap(), uid(6).await.unwrap()];
    apply("2");
    // The controller has decided whom to replace before it says that it has seen the change.
    let set = until(async || {
        let set = live.stateful_set(&name).await.unwrap()?;
        (set.is_observed && set.update_revision != first.update_revision).then_some(set)
    })
    .await;
    assert_eq!([uid(5).await, uid(6).await], before.clone().map(Some), "none, with as many as there are pods");
    live.set_partition(&set, 1).await.unwrap();
    until(async || uid(6).await.filter(|uid| *uid != before[1])).await;
    assert_eq!(uid(5).await.as_ref(), Some(&before[0]), "the first one is left");
}

/// For the version that was read, and for no other.
async fn replicas_are_lowered(door: &Live, name: &ObjectName, former: &StatefulSet) {
    let of = |set: &StatefulSet| Version { uid: set.uid.clone(), resource_version: set.resource_version.clone() };
    let stale = door.set_replicas(name, &of(former), 1).await.unwrap_err();
    assert!(matches!(stale, KubernetesError::Conflict { .. }), "{stale:?}");
    let there = door.stateful_set(name).await.unwrap().unwrap();
    let other = Version { uid: "another".to_owned(), ..of(&there) };
    assert!(matches!(door.set_replicas(name, &other, 1).await.unwrap_err(), KubernetesError::Conflict { .. }));
    let lowered = until(async || {
        let set = door.stateful_set(name).await.unwrap()?;
        // Its status may change in between: then it is read again.
        door.set_replicas(name, &of(&set), 1).await.ok()?;
        door.stateful_set(name).await.unwrap()
    })
    .await;
    assert_eq!((lowered.replicas, lowered.first_ordinal), (1, 0));
    let first = door.pod(&name_of(&name.namespace, 0)).await.unwrap().unwrap();
    assert_eq!((first.stateful_set.as_deref(), first.claims.len()), (Some("kafka"), 0));
    assert_eq!(door.pod(&name_of(&name.namespace, 7)).await.unwrap(), None);
}

/// The uids of the pods of [`STATEFUL_SET`], once there are two.
fn uids(cluster: &ControlPlane, namespace: &str) -> BTreeMap<String, String> {
    let path = "jsonpath={range .items[*]}{.metadata.name} {.metadata.uid}{\"\\n\"}{end}";
    let words = ["--namespace", namespace, "get", "pods", "-o", path];
    let begun = Instant::now();
    loop {
        let text = cluster.kubectl(&words);
        let pods = text.lines().filter_map(|line| line.split_once(' '));
        let pods: BTreeMap<_, _> = pods.map(|(name, uid)| (name.to_owned(), uid.to_owned())).collect();
        if pods.len() == 2 {
            return pods;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "{text}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_roll_that_is_killed_while_it_replaces_a_pod_is_settled_by_the_next_one_and_the_pod_is_deleted_once() {
    let cluster = ControlPlane::shared();
    let kafka = Cluster::start(Kind::Kafka43Kraft, &Shape::racks(&["a", "b", "c"])).unwrap();
    let namespace = cluster.namespace("rollkill");
    let apply = |version: &str| {
        let text = STATEFUL_SET.replace("VERSION", version).replace("STRATEGY", "{type: OnDelete}");
        cluster.kubectl_with_input(&["--namespace", &namespace, "apply", "-f", "-"], &text);
    };
    apply("1");
    let before = uids(cluster, &namespace);
    let ready = r#"{"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}"#;
    for pod in before.keys() {
        let words = ["patch", "pod", pod, "--subresource=status", "--type=merge", "-p", ready];
        cluster.kubectl(&[&["--namespace", namespace.as_str()], &words[..]].concat());
    }
    apply("2");
    // A Lease of a dead run is waited for; a file is free at once.
    let toolbox = Toolbox::new(&kafka.bootstrap())
        .with("TOOLBOX_STATE", "kubernetes")
        .with("TOOLBOX_LOCK", "file")
        .with("TOOLBOX_KUBECONFIG", cluster.admin_kubeconfig().to_str().unwrap())
        .with("TOOLBOX_NAMESPACE", &namespace);
    let line = ["rollout", "run", "--yes", "--set", "kafka", "--first-id", "1", "--apart", "100ms", "--every", "200ms"];
    let ended = || {
        let events = toolbox.audit().into_iter();
        let ended = events.filter(|event| event.kind == "rollout.pod_deleted" && !event.is_intent());
        ended.map(|event| event.outcome).collect::<Vec<_>>()
    };
    let died = toolbox.run_until("rollout.replacing:1", &line);
    assert_eq!((died.code, ended(), uids(cluster, &namespace)), (None, vec![], before.clone()), "{died:#?}");
    let died = toolbox.run_until("rollout.replaced:1", &line);
    assert_eq!((died.code, ended()), (None, vec![Outcome::Failed]), "{died:#?}");
    let once = uids(cluster, &namespace);
    assert_eq!(before.iter().filter(|(pod, uid)| once.get(*pod) != Some(*uid)).count(), 1, "{before:?} {once:?}");
    // Nobody makes the new pod ready: the other one stays.
    let waits = toolbox.run(&[&line[..], &["--wait-max", "1s"]].concat());
    assert_eq!((waits.code, ended()), (Some(5), vec![Outcome::Failed, Outcome::Done]), "{waits:#?}");
    assert_eq!((uids(cluster, &namespace), toolbox.files("open")), (once, 0), "{waits:#?}");
}

fn name_of(namespace: &str, ordinal: u32) -> ObjectName {
    ObjectName::new(namespace, format!("kafka-{ordinal}"))
}

async fn until<T>(look: impl AsyncFn() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "it does not come");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
