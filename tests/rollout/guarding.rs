//! The drain guard's decisions on a cluster and an API server in memory: what is allowed, what is denied and why, and what is
//! held meanwhile.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use clap::Parser;
use jiff::{SignedDuration, Timestamp};
use kafka_toolbox::agent::runtime::Why;
use kafka_toolbox::change::event::{Delivery, Event, Recorder};
use kafka_toolbox::cli::Cli;
use kafka_toolbox::clients::kafka::memory::Memory;
use kafka_toolbox::clients::kubernetes::{self, Facts, Kubernetes, Lease, ObjectName, Resource, Verb};
use kafka_toolbox::clients::tls_server::Certificates;
use kafka_toolbox::commands::identity::plan::Registry;
use kafka_toolbox::commands::rollout::agent::drain::board::Board;
use kafka_toolbox::commands::rollout::agent::drain::certificate::Certificate;
use kafka_toolbox::commands::rollout::agent::drain::guard::{Guard, Settings};
use kafka_toolbox::commands::rollout::observe::pod::Kinds;
use kafka_toolbox::commands::rollout::spec::review::{Answer, Eviction, PodName};
use kafka_toolbox::commands::rollout::verdict::Terms;
use kafka_toolbox::context::{Context, ControllerArgs};
use kafka_toolbox::state::identity::{ClusterRef, Identity, Purpose};
use kafka_toolbox::state::place::{CLUSTER_ID, COMPONENT};
use tokio::time::Instant;

use crate::clients::kubernetes::twin;

/// The Lease of disruptions.
const LOCK: &str = "toolbox-disruption-main";

/// Keeps what is recorded.
#[derive(Default, Clone)]
struct Kept(Arc<Mutex<Vec<Event>>>);

#[async_trait]
impl Recorder for Kept {
    async fn record(&mut self, events: &[Event]) {
        self.0.lock().unwrap().extend_from_slice(events);
    }

    async fn close(&mut self) -> Delivery {
        Delivery::default()
    }
}

/// Three brokers, their pods kafka-0 to kafka-2, and a guard.
struct World {
    kafka: Arc<Memory>,
    server: Arc<kubernetes::Memory>,
    context: Context,
    guard: Guard,
    kept: Kept,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new(apart: Duration) -> Self {
        let kafka = Arc::new(Memory::kraft(3).cluster_id("a").topic("orders", &[&[1, 2, 3], &[2, 3, 1]]));
        let (server, folder, kept) = (Arc::new(twin()), tempfile::tempdir().unwrap(), Kept::default());
        let state = folder.path().to_str().unwrap();
        let line = ["toolbox", "--state-folder", state, "--state", "kubernetes", "--cluster", "main", "rbac", "topics"];
        let flags = Cli::try_parse_from(line).unwrap().flags().clone();
        let context = Context::new(flags).with_kafka(kafka.clone()).with_kubernetes(server.clone());
        let mut context = context.with_recorder(Box::new(kept.clone()));
        "rollout drain-guard".clone_into(&mut context.command);
        let entries: Vec<_> = (0..3)
            .map(|pod| {
                format!(
                    r#""{}": {{"state": "assigned", "pod": "kafka-{pod}", "since": "2026-01-01T00:00:00Z"}}"#,
                    pod + 1
                )
            })
            .collect();
        let registry: Registry = serde_json::from_str(&format!(r#"{{"ids": {{{}}}}}"#, entries.join(","))).unwrap();
        let mut document = context.document(&Identity::of_brokers("main", "map1")).await.unwrap();
        document.load::<Registry>().await.unwrap();
        document.save(&registry).await.unwrap();
        let settings = Settings {
            namespace: "kafka".into(),
            kinds: Kinds { cluster: "main".into(), maps: vec!["map1".into()], ..Kinds::default() },
            terms: Terms::default(),
            apart,
            limit: Duration::from_mins(30),
            controllers: ControllerArgs::default(),
        };
        let certificates = Certificates::self_made(vec!["x".into()], context.now()).unwrap();
        let certificate = Certificate::new(Arc::new(certificates), None);
        let guard = Guard::new(Arc::new(settings), server.clone(), certificate, Arc::new(Board::default()));
        let world = Self { kafka, server, context, guard, kept, _folder: folder };
        (0..3).for_each(|pod| {
            world.pod(&format!("kafka-{pod}"), Facts { uid: format!("old-{pod}"), ..Facts::default() });
        });
        world
    }

    fn pod(&self, name: &str, facts: Facts) {
        self.server.add_facts(Resource::Pods, ObjectName::new("kafka", name), facts);
    }

    async fn ask(&mut self, namespace: &str, pod: &str, is_dry_run: bool) -> Answer {
        let pod = PodName { namespace: namespace.into(), name: pod.into() };
        let eviction = Eviction { uid: "u".into(), pod, is_dry_run, user: "ann".into() };
        self.guard.answer(&mut self.context, &eviction, Instant::now() + Duration::from_secs(8)).await
    }

    async fn evict(&mut self, pod: &str) -> Answer {
        self.ask("kafka", pod, false).await
    }

    async fn tick(&mut self) {
        self.guard.tick(&mut self.context, Why::Due).await.unwrap();
    }

    async fn is_locked(&self) -> bool {
        let lease = self.server.lease(&ObjectName::new("kafka", LOCK)).await.unwrap();
        lease.is_some_and(|lease| lease.holder.is_some())
    }

    /// The same with another clock.
    fn at(self, clock: fn() -> Timestamp) -> Self {
        Self { context: self.context.with_clock(clock), ..self }
    }

    fn kinds(&self) -> Vec<String> {
        self.kept.0.lock().unwrap().iter().map(|event| event.kind.clone()).collect()
    }
}

#[track_caller]
fn denied(answer: &Answer, words: &str) {
    assert!(matches!(answer, Answer::NotNow(why) if why.contains(words)), "{words}: {answer:?}");
}

#[tokio::test]
async fn one_server_goes_and_the_next_one_when_it_is_back_in_sync() {
    let mut world = World::new(Duration::ZERO).await;
    assert!(world.evict("kafka-0").await.is_allowed());
    assert!(world.is_locked().await);
    denied(&world.evict("kafka-1").await, "E_DISRUPTION: pod kafka-0 (broker 1) is out: its eviction was allowed");
    assert!(world.evict("kafka-0").await.is_allowed(), "the same pod may go again: a budget may have kept it");
    world.server.remove_facts(Resource::Pods, &ObjectName::new("kafka", "kafka-0"));
    world.kafka.edit(|cluster| cluster.stop_broker(1));
    world.tick().await;
    denied(&world.evict("kafka-1").await, "its successor does not run yet");
    world.pod("kafka-0", Facts { uid: "new-0".into(), ..Facts::default() });
    world.tick().await;
    denied(&world.evict("kafka-1").await, "its server is not back in sync");
    assert!(world.is_locked().await);
    world.kafka.edit(|cluster| cluster.start_broker(1));
    world.tick().await;
    assert!(!world.is_locked().await);
    assert!(world.evict("kafka-1").await.is_allowed());
    let allowed = "rollout.eviction_allowed";
    assert_eq!(world.kinds(), [allowed, "rollout.refused", allowed, "rollout.eviction_ended", allowed]);
}

#[tokio::test]
async fn one_look_is_not_enough_and_the_second_one_decides() {
    let mut world = World::new(Duration::from_secs(1)).await;
    denied(&world.evict("kafka-0").await, "a second look in 1 s decides");
    assert!(!world.is_locked().await);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert!(world.evict("kafka-0").await.is_allowed());
}

#[tokio::test]
async fn a_server_stays_while_another_one_is_out_and_that_is_recorded_once() {
    let mut world = World::new(Duration::ZERO).await;
    world.kafka.edit(|cluster| cluster.stop_broker(2));
    for _ in 0..3 {
        denied(
            &world.evict("kafka-0").await,
            "E_MAY_NOT_STOP: broker 1 may not stop now: other brokers are not registered: 2",
        );
    }
    assert!(!world.is_locked().await);
    assert_eq!(world.kinds(), ["rollout.refused"]);
}

#[tokio::test]
async fn a_dry_run_is_answered_and_leaves_no_trace() {
    let mut world = World::new(Duration::from_secs(10)).await;
    assert!(world.ask("kafka", "kafka-0", true).await.is_allowed(), "by one look");
    assert!(!world.is_locked().await && world.kinds().is_empty());
    assert!(!world.guard.is_open());
    denied(&world.evict("kafka-0").await, "a second look");
    world.kafka.edit(|cluster| cluster.stop_broker(2));
    denied(&world.ask("kafka", "kafka-0", true).await, "E_MAY_NOT_STOP");
}

#[tokio::test]
async fn a_pod_in_which_nothing_runs_goes_without_a_look() {
    let mut world = World::new(Duration::ZERO).await;
    world.kafka.edit(|cluster| cluster.stop_broker(2));
    let facts = || Facts { uid: "x".into(), ..Facts::default() };
    world.pod("kafka-0", Facts { is_pending: true, ..facts() });
    world.pod("kafka-1", Facts { is_being_deleted: true, ..facts() });
    world.pod("kafka-2", Facts { has_ended: true, ..facts() });
    for pod in ["kafka-0", "kafka-1", "kafka-2", "kafka-9"] {
        assert!(world.evict(pod).await.is_allowed(), "{pod}");
    }
    assert!(!world.is_locked().await && !world.guard.is_open());
}

#[tokio::test]
async fn what_the_guard_does_not_know_stays_until_a_person_decides() {
    let mut world = World::new(Duration::ZERO).await;
    world.pod("kafka-7", Facts { uid: "x".into(), ..Facts::default() });
    let forbidden = |answer: Answer, words: &str| {
        assert!(matches!(&answer, Answer::Forbidden(why) if why.contains(words)), "{words}: {answer:?}");
    };
    forbidden(world.evict("kafka-7").await, "E_UNKNOWN_POD");
    forbidden(
        world.ask("other", "kafka-0", false).await,
        "E_NOT_GUARDED: this guard judges pods of namespace kafka alone",
    );
    world.kafka.edit(|cluster| cluster.stop_broker(2));
    world.server.set_down(true);
    denied(&world.evict("kafka-0").await, "E_UNREADABLE: pod kafka/kafka-0 can't be read");
}

/// By how many hours the machine's clock is wrong.
static WRONG_BY: AtomicI64 = AtomicI64::new(0);

#[tokio::test]
async fn a_clock_that_jumps_forward_and_back_lets_no_second_server_go() {
    let jumping = || Timestamp::now() + SignedDuration::from_hours(WRONG_BY.load(Ordering::SeqCst));
    let mut world = World::new(Duration::from_secs(30)).await.at(jumping);
    denied(&world.evict("kafka-0").await, "a second look in 30 s decides");
    WRONG_BY.store(24, Ordering::SeqCst);
    denied(&world.evict("kafka-0").await, "a second look in 30 s decides");
    let mut world = World::new(Duration::ZERO).await.at(jumping);
    assert!(world.evict("kafka-0").await.is_allowed());
    world.server.remove_facts(Resource::Pods, &ObjectName::new("kafka", "kafka-0"));
    world.kafka.edit(|cluster| cluster.stop_broker(1));
    for hours in [48, -48, 24 * 365] {
        WRONG_BY.store(hours, Ordering::SeqCst);
        // The certificate is looked after by the machine's clock: what becomes of it is not the point here.
        drop(world.guard.tick(&mut world.context, Why::Due).await);
        assert!(world.guard.is_open() && world.is_locked().await, "{hours} h");
        denied(&world.evict("kafka-1").await, "its successor does not run yet");
    }
}

#[tokio::test]
async fn another_run_that_stops_servers_comes_first() {
    let mut world = World::new(Duration::ZERO).await;
    let now = Some(world.context.now());
    let lease = Lease {
        holder: Some("toolbox-1_run".into()),
        duration_seconds: 30,
        acquired: now,
        renewed: now,
        ..Lease::new(ObjectName::new("kafka", LOCK))
    };
    world.server.create_lease(&lease).await.unwrap();
    denied(&world.evict("kafka-0").await, "E_LOCKED: another run stops servers of this cluster or changes who votes");
    denied(&world.ask("kafka", "kafka-0", true).await, "held by toolbox-1_run");
    assert!(!world.guard.is_open());
}

/// The lock of disruptions of a cluster, by a name of it, as a run holds it that renewed it just now.
fn lock_of(id: &str, name: &str, renewed: Timestamp) -> Lease {
    let cluster = ClusterRef { id: id.into(), name: Some(name.into()) };
    let identity = Identity { purpose: Purpose::Disruption, cluster, owner: None };
    let labels = [(COMPONENT.to_owned(), "run-lock".to_owned()), (CLUSTER_ID.to_owned(), identity.cluster_label())];
    Lease {
        holder: Some("toolbox-1_run".into()),
        duration_seconds: 30,
        acquired: Some(renewed),
        renewed: Some(renewed),
        labels: labels.into(),
        ..Lease::new(ObjectName::new("kafka", identity.object_name()))
    }
}

#[tokio::test]
async fn a_run_that_has_another_name_for_the_cluster_comes_first_and_one_of_another_cluster_does_not() {
    let mut world = World::new(Duration::ZERO).await;
    let now = world.context.now();
    world.server.create_lease(&lock_of("b", "payments", now)).await.unwrap();
    assert!(world.ask("kafka", "kafka-0", true).await.is_allowed(), "that is the lock of another cluster");
    let held = world.server.create_lease(&lock_of("a", "orders", now)).await.unwrap();
    let words = "E_LOCKED: another run stops servers of this cluster or changes who votes: the Lease \
                 kafka/toolbox-disruption-orders is held by toolbox-1_run since ";
    denied(&world.evict("kafka-0").await, words);
    denied(&world.ask("kafka", "kafka-0", true).await, words);
    assert!(!world.is_locked().await && !world.guard.is_open());
    world.server.replace_lease(&Lease { holder: None, ..held }).await.unwrap();
    assert!(world.evict("kafka-0").await.is_allowed());
}

#[tokio::test]
async fn a_dead_lock_that_the_role_does_not_name_denies_evictions_and_says_how_it_is_removed() {
    let mut world = World::new(Duration::ZERO).await;
    let dead = lock_of("a", "orders", world.context.now() - SignedDuration::from_hours(1));
    world.server.create_lease(&dead).await.unwrap();
    world.server.forbid_object(Verb::Get, Resource::Leases, dead.name.clone());
    for _ in 0..2 {
        denied(&world.evict("kafka-0").await, "does not name it. Nothing was changed. Wait until that run ends");
    }
    denied(&world.evict("kafka-0").await, "`kubectl --namespace kafka delete lease toolbox-disruption-orders`");
    assert!(!world.is_locked().await && !world.guard.is_open());
}

#[tokio::test]
async fn an_eviction_that_does_not_come_gives_the_lock_back() {
    let mut world = World::new(Duration::ZERO).await;
    assert!(world.evict("kafka-0").await.is_allowed());
    world.tick().await;
    assert!(world.is_locked().await, "it may still come");
    let mut world = world.at(|| Timestamp::now() + SignedDuration::from_secs(31));
    world.tick().await;
    assert!(!world.is_locked().await && !world.guard.is_open());
    let last = world.kept.0.lock().unwrap().last().cloned().unwrap();
    assert!(last.title.contains("the pod was not evicted: a PodDisruptionBudget may keep it"), "{last:?}");
}

#[tokio::test]
async fn a_server_that_does_not_come_back_keeps_others_waiting_up_to_the_limit() {
    let mut world = World::new(Duration::ZERO).await;
    assert!(world.evict("kafka-0").await.is_allowed());
    world.server.remove_facts(Resource::Pods, &ObjectName::new("kafka", "kafka-0"));
    world.kafka.edit(|cluster| cluster.stop_broker(1));
    let mut world = world.at(|| Timestamp::now() + SignedDuration::from_mins(29));
    world.tick().await;
    assert!(world.guard.is_open());
    let mut world = world.at(|| Timestamp::now() + SignedDuration::from_mins(31));
    world.tick().await;
    assert!(!world.guard.is_open() && !world.is_locked().await);
    denied(&world.evict("kafka-1").await, "other brokers are not registered: 1");
}
