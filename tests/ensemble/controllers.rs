//! `ensemble` of real quorums of controllers that are no brokers, while clients write all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kafka_toolbox::change::event::{Event, Outcome};
use kafka_toolbox::clients::kafka::live::Live;
use kafka_toolbox::clients::kafka::settings::{Given, Settings};
use kafka_toolbox::clients::kafka::{Cluster as _, Mode, NewTopic, Topics as _};
use kafka_toolbox::cluster::metadata::TopicSelection;
use kafka_toolbox::cluster::topic::TopicName;
use serde_json::Value;

use crate::ensemble::bed::is_wanted;
use crate::live::kafka::records::{Writer, numbers_at};
use crate::live::kafka::wait::say;
use crate::live::kafka::{Kind, Quorum, QuorumShape, Signal, Voters};
use crate::support::toolbox::{Ran, Toolbox};

/// Longest wait for something that a server is to do.
const PATIENCE: Duration = Duration::from_mins(1);

/// Longest run of `apply`.
const APPLY_LIMIT: Duration = Duration::from_mins(4);

/// A quorum, and a toolbox that may change it.
pub(super) struct Bed {
    pub(super) quorum: Quorum,
    pub(super) toolbox: Toolbox,
}

impl Bed {
    pub(super) fn start(kind: Kind, shape: QuorumShape) -> Self {
        Self::of(Quorum::start(kind, shape).unwrap())
    }

    /// Of controllers that others started.
    pub(super) fn of(quorum: Quorum) -> Self {
        let toolbox = Toolbox::alone()
            .with("TOOLBOX_BOOTSTRAP_CONTROLLER", &quorum.controllers())
            .with("TOOLBOX_ENSEMBLE_REST", "1s");
        let bed = Self { quorum, toolbox };
        // Controllers that have not read the level of metadata.version yet describe nobody.
        let begun = Instant::now();
        while bed.run(&["plan"]).code != Some(4) {
            assert!(begun.elapsed() < PATIENCE, "{:#?}", bed.run(&["plan"]));
            std::thread::sleep(Duration::from_millis(250));
        }
        bed
    }

    pub(super) fn run(&self, words: &[&str]) -> Ran {
        self.toolbox.run_within(APPLY_LIMIT, &[&["ensemble"], words, &["--yes"]].concat())
    }

    /// Single passes until one changes something.
    #[track_caller]
    pub(super) fn pass_until_done(&self) -> Ran {
        let begun = Instant::now();
        loop {
            let ran = self.run(&["apply", "--once"]);
            if ran.code == Some(0) {
                return ran;
            }
            assert!(matches!(ran.code, Some(4 | 5)) && begun.elapsed() < PATIENCE, "{ran:#?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// How many changes of the voters were about to be sent, by what was written down before.
    pub(super) fn intents(&self) -> usize {
        let is_intent = |event: &&Event| event.kind == "ensemble.reconfigured" && event.outcome == Outcome::Planned;
        self.toolbox.audit().iter().filter(is_intent).count()
    }

    /// How many changes the record remembers.
    pub(super) fn changes(&self) -> usize {
        self.record()["history"].as_array().map_or(0, Vec::len)
    }

    /// The record.
    pub(super) fn record(&self) -> Value {
        let folder = std::fs::read_dir(self.toolbox.state().join("records")).unwrap();
        let mut paths = folder.map(|file| file.unwrap().path());
        let is_record = |path: &std::path::PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with("ensemble-") && path.extension().is_some_and(|ending| ending == "json")
        };
        let text = std::fs::read_to_string(paths.find(is_record).unwrap()).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["document"].clone()
    }

    /// Passes until nothing is left or only a person can go on.
    fn apply(&self, within: &str) -> Ran {
        let ran = self.run(&["apply", "--within", within]);
        assert!(matches!(ran.code, Some(0 | 5)), "{ran:#?}");
        ran
    }

    /// A controller is started, and should vote once it follows.
    pub(super) fn joins(&self, id: i32, size: &str) {
        let directory = self.quorum.start_joiner(id).unwrap();
        self.run(&["join", &format!("{id}={directory}"), "--size", size]).ends_with(0);
    }

    /// What `ensemble status` shows; nothing while nobody answers.
    pub(super) fn page(&self) -> Value {
        let ran = self.toolbox.run(&["ensemble", "status", "-o", "json"]);
        serde_json::from_str(&ran.out).unwrap_or_default()
    }

    /// The voters, and which of them leads.
    pub(super) fn voters(&self) -> (Vec<i64>, i64) {
        let page = self.page();
        let rows = page["replicas"].as_array().cloned().unwrap_or_default();
        let votes = rows.iter().filter(|row| row["role"] != "observer");
        (votes.map(|row| row["node"].as_i64().unwrap()).collect(), page["leader"].as_i64().unwrap_or_default())
    }

    #[track_caller]
    pub(super) fn has_voters(&self, wanted: &[i64]) {
        let begun = Instant::now();
        while self.voters().0 != wanted {
            assert!(begun.elapsed() < PATIENCE, "{:#}", self.page());
            std::thread::sleep(Duration::from_millis(250));
        }
    }

    fn follower(&self, among: &[i64]) -> i32 {
        let leader = self.voters().1;
        i32::try_from(*among.iter().find(|id| **id != leader).unwrap()).unwrap()
    }
}

pub(super) fn shape(voters: Voters, controllers: &[i32], reserved: &[i32], brokers: &[i32]) -> QuorumShape {
    QuorumShape {
        voters,
        controllers: controllers.to_vec(),
        reserved: reserved.to_vec(),
        brokers: brokers.to_vec(),
        properties: Vec::new(),
    }
}

/// Creates topics one after the other until it is stopped, and remembers those that were acknowledged.
struct Creator {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Created>,
}

/// What was acknowledged, and the longest time without that.
struct Created {
    topics: Vec<TopicName>,
    longest: Duration,
}

fn client(bootstrap: &str) -> Live {
    let given = Given { bootstrap_server: Some(bootstrap), timeout: Some(Duration::from_secs(20)), ..Given::default() };
    Live::new(Settings::load(None, given).unwrap()).unwrap()
}

pub(super) fn block<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn create(kafka: &Live, name: &TopicName, partitions: i32) -> impl Future<Output = bool> {
    let topic = NewTopic {
        name: name.clone(),
        partitions: Some(partitions),
        replication_factor: Some(1),
        assignment: None,
        config: std::collections::BTreeMap::new(),
    };
    async move {
        let done = kafka.create_topics(&[topic], Mode::Apply).await;
        done.iter().all(Result::is_ok)
    }
}

impl Creator {
    fn start(bootstrap: &str) -> Self {
        let (stop, bootstrap) = (Arc::new(AtomicBool::new(false)), bootstrap.to_owned());
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || block(Self::creates(&bootstrap, &stopped)));
        Self { stop, thread }
    }

    /// Creates topics until it is stopped.
    async fn creates(bootstrap: &str, stopped: &AtomicBool) -> Created {
        let kafka = client(bootstrap);
        let mut created = Created { topics: Vec::new(), longest: Duration::ZERO };
        let mut last = Instant::now();
        for number in 0.. {
            if stopped.load(Ordering::Relaxed) {
                break;
            }
            let name: TopicName = format!("created-{number}").parse().unwrap();
            if create(&kafka, &name, 1).await {
                created.longest = created.longest.max(last.elapsed());
                last = Instant::now();
                created.topics.push(name);
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        created
    }

    fn finish(self) -> Created {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

#[test]
fn a_quorum_of_kafka_4_3_grows_and_gets_a_new_disk_and_loses_nothing_that_was_acknowledged() {
    grows_and_shrinks(Kind::Kafka43Kraft);
}

#[test]
fn a_quorum_of_kafka_3_9_grows_shrinks_and_gets_a_new_disk_in_acceptance() {
    if is_wanted() {
        grows_and_shrinks(Kind::Kafka39Kraft);
    }
}

fn grows_and_shrinks(kind: Kind) {
    let bed = Bed::start(kind, shape(Voters::Standalone, &[101], &[102, 103, 104, 105], &[1]));
    let bootstrap = bed.quorum.bootstrap();
    let records: TopicName = "records".parse().unwrap();
    assert!(block(async { create(&client(&bootstrap), &records, 2).await }));
    let writer = Writer::start_at(&bootstrap, "records", 200, 200).unwrap();
    let creator = Creator::start(&bootstrap);

    bed.run(&["apply", "--once"]).ends_with(4);
    bed.run(&["adopt", "--size", "3"]).ends_with(0);
    bed.joins(102, "3");
    bed.joins(103, "3");
    // Killed after the change was sent: the next run finds it made, and makes no other one.
    let sent = bed.toolbox.run_until("ensemble.sent:1", &["ensemble", "apply", "--yes", "--within", "1m"]);
    assert_eq!(sent.code, None, "{sent:#?}");
    let settled = bed.run(&["apply", "--within", "1m"]).ends_with(0);
    assert!(settled.out.contains("was applied: confirm and record it"), "{settled:#?}");
    bed.has_voters(&[101, 102, 103]);
    bed.run(&["plan"]).ends_with(0);
    assert_eq!((bed.intents(), bed.changes()), (2, 2), "two controllers were added, and one run was killed");
    gets_a_new_disk(&bed);
    if is_wanted() {
        grows_to_five_and_back(&bed);
    }

    let Created { topics, longest } = creator.finish();
    let written = writer.finish().unwrap();
    let found = numbers_at(&bootstrap, "records").unwrap();
    let missing: Vec<_> = (0..written).filter(|number| !found.contains(number)).collect();
    assert!(missing.is_empty() && written > 0, "of {written} records that were acknowledged are missing: {missing:?}");
    let there = block(async { client(&bootstrap).metadata(TopicSelection::All).await.unwrap() });
    let missing: Vec<_> = topics.iter().filter(|topic| !there.topics.contains_key(*topic)).collect();
    assert!(missing.is_empty() && topics.len() > 10, "acknowledged and gone: {missing:?} of {}", topics.len());
    let (records, count) = (found.len(), topics.len());
    say(&format!(
        "{}: {records} records and {count} topics are all there; the longest time without a new topic was {} ms",
        kind.name(),
        longest.as_millis()
    ));
}

/// A follower comes back with an empty disk: its old directory is removed before the new one is added.
fn gets_a_new_disk(bed: &Bed) {
    let all = [101, 102, 103];
    let id = bed.follower(&all);
    bed.quorum.stop(id, Signal::Kill).unwrap();
    let directory = bed.quorum.replace_disk(id).unwrap();
    bed.quorum.launch(id).unwrap();
    bed.run(&["join", &format!("{id}={directory}")]).ends_with(0);
    let ran = bed.apply("2m");
    assert!(ran.out.contains("FORGET-DISK") && ran.out.contains("ADD"), "{ran:#?}");
    assert_eq!((bed.intents(), bed.changes()), (4, 4), "removed, and added");
    bed.has_voters(&all);
    let page = bed.page();
    let row = page["replicas"].as_array().unwrap().iter().find(|row| row["node"] == id).unwrap().clone();
    assert_eq!((&row["directory"], row["role"] == "observer"), (&Value::from(directory), false), "{page:#}");
}

fn grows_to_five_and_back(bed: &Bed) {
    let (intents, changes) = (bed.intents(), bed.changes());
    bed.joins(104, "5");
    bed.joins(105, "5");
    bed.apply("2m");
    bed.has_voters(&[101, 102, 103, 104, 105]);
    assert_eq!((bed.intents() - intents, bed.changes() - changes), (2, 2), "one change a controller");
    let leader = bed.voters().1;
    let other = i64::from(bed.follower(&[101, 102, 103, 104, 105]));
    let (first, second) = (leader.to_string(), other.to_string());
    bed.run(&["leave", &first, &second, "--size", "3"]).ends_with(0);
    // Auto-join is off: they are removed while they run, the leader last, then stopped by hand.
    let (intents, changes) = (bed.intents(), bed.changes());
    let ran = bed.apply("30s");
    let at = |change: String| ran.out.find(&change).unwrap_or_else(|| panic!("no {change}: {ran:#?}"));
    let follower = at(format!("- SHRINK: controller {other}"));
    assert!(follower < at(format!("- SHRINK-L: controller {leader}")), "the leader last: {ran:#?}");
    assert_eq!((bed.intents() - intents, bed.changes() - changes), (2, 2), "one change a controller");
    let mut left = vec![101, 102, 103, 104, 105];
    left.retain(|id| *id != leader && *id != other);
    bed.has_voters(&left);
    for id in [leader, other] {
        bed.quorum.stop(i32::try_from(id).unwrap(), Signal::Term).unwrap();
    }
    bed.run(&["apply", "--within", "1m"]).ends_with(0);
}

#[test]
fn a_static_quorum_is_recognised_and_refused_with_the_way_to_upgrade() {
    let kinds: &[Kind] = if is_wanted() { &[Kind::Kafka39Kraft, Kind::Kafka43Kraft] } else { &[Kind::Kafka39Kraft] };
    for kind in kinds {
        let bed = Bed::start(*kind, shape(Voters::Static, &[101], &[], &[]));
        let begun = Instant::now();
        while bed.page()["leader"] != 101 {
            assert!(begun.elapsed() < PATIENCE, "{:#}", bed.page());
            std::thread::sleep(Duration::from_millis(250));
        }
        assert_eq!(bed.page()["static"], true);
        let refused = bed.run(&["adopt", "--dev"]).ends_with(4);
        assert!(refused.out.contains("E_STATIC_QUORUM") && refused.out.contains("kraft.version=1"), "{refused:#?}");
    }
}

#[test]
fn with_auto_join_a_live_controller_is_stopped_before_it_is_removed() {
    let auto_join = ("controller.quorum.auto.join.enable".to_owned(), "true".to_owned());
    let shape = QuorumShape { properties: vec![auto_join], ..shape(Voters::Initial, &[101, 102, 103], &[104], &[]) };
    let bed = Bed::start(Kind::Kafka43Kraft, shape);
    bed.has_voters(&[101, 102, 103]);
    bed.run(&["adopt"]).ends_with(0);
    is_recorded_once_by_the_id_of_its_cluster(&bed);
    bed.quorum.start_joiner(104).unwrap();
    bed.has_voters(&[101, 102, 103, 104]);
    let regressed = bed.run(&["apply", "--once"]).ends_with(4);
    assert!(regressed.out.contains("E_MEMBERSHIP_REGRESSED"), "nobody declared it: {regressed:#?}");
    bed.run(&["adopt", "--size", "3"]).ends_with(0);
    bed.run(&["leave", "104"]).ends_with(0);
    let refused = bed.run(&["apply", "--once"]).ends_with(4);
    assert!(refused.out.contains("E_AUTO_JOIN") && refused.out.contains("Stop the controller first"), "{refused:#?}");
    bed.has_voters(&[101, 102, 103, 104]);
    if is_wanted() {
        bed.quorum.stop(104, Signal::Term).unwrap();
        // For some seconds the leader takes it for one that runs.
        let stopped = Instant::now();
        while bed.run(&["plan"]).out.contains("E_AUTO_JOIN") {
            assert!(stopped.elapsed() < PATIENCE, "{:#?}", bed.run(&["plan"]));
            std::thread::sleep(Duration::from_millis(250));
        }
        let begun = Instant::now();
        let ran = bed.apply("2m");
        assert!(begun.elapsed() > Duration::from_mins(1), "it is watched for a minute: {ran:#?}");
        bed.has_voters(&[101, 102, 103]);
    }
}

/// A second name leads to no second record; a record of another cluster is refused.
fn is_recorded_once_by_the_id_of_its_cluster(bed: &Bed) {
    let folder = bed.toolbox.state().join("records");
    let mut files = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
    let only = files.find(|path| path.extension().is_some_and(|ending| ending == "json")).unwrap();
    let mut record: Value = serde_json::from_str(&std::fs::read_to_string(only).unwrap()).unwrap();
    let id = record["document"]["clusterId"].as_str().unwrap().to_owned();
    let file = bed.toolbox.file("names.yaml", "clusters: {second: {bootstrapServers: \"127.0.0.1:1\"}}\n");
    let second = ["--toolbox-file", file.as_str(), "--cluster", "second"];
    let refused = bed.run(&[&["adopt"], &second[..]].concat()).ends_with(4);
    assert!(refused.out.contains("E_CONFLICT membership: it is recorded already"), "{refused:#?}");
    (record["cluster_id"], record["cluster_name"], record["owner"]) =
        ("second".into(), "second".into(), "second-controllers".into());
    record["document"]["clusterId"] = "another".into();
    let other = folder.join("ensemble-second-second-controllers.json");
    std::fs::write(&other, record.to_string()).unwrap();
    let refused = bed.run(&[&["plan"], &second[..]].concat()).ends_with(4);
    assert!(
        refused.out.contains("E_WRONG_ENSEMBLE") && refused.out.contains("of cluster another, and"),
        "{refused:#?}"
    );
    assert!(refused.out.contains(&format!("are the quorum of cluster {id}: check --cluster")), "{refused:#?}");
    std::fs::remove_file(other).unwrap();
}

/// Fault 37.
#[test]
fn while_no_controller_answers_a_latched_broker_stays_ready_and_a_strict_look_waits() {
    loses_its_controllers(Kind::Kafka43Kraft);
}

#[test]
fn without_controllers_a_broker_of_kafka_3_9_waits_too_in_acceptance() {
    if is_wanted() {
        loses_its_controllers(Kind::Kafka39Kraft);
    }
}

/// Probes of broker 1 of a bed.
struct Probes<'a> {
    bed: &'a Bed,
    latch: String,
    pid: String,
}

impl<'a> Probes<'a> {
    /// Of the process that runs now.
    fn new(bed: &'a Bed) -> Self {
        let latch = bed.toolbox.state().join("latch.json").display().to_string();
        Self { bed, latch, pid: bed.quorum.pid(1).unwrap().to_string() }
    }

    fn run(&self, what: &[&str]) -> Ran {
        let address = self.bed.quorum.address(1);
        let last = ["--timeout", "5s", "--address", &address];
        self.bed.toolbox.run(&[&["probe", "kafka"], what, &last].concat())
    }

    fn strict(&self) -> Ran {
        self.run(&["ready", "--broker", "1", "--strict"])
    }

    fn latched(&self) -> Ran {
        self.run(&["ready", "--broker", "1", "--latch", &self.latch, "--pid", &self.pid])
    }

    fn live(&self) -> Ran {
        self.run(&["live", "--pid", &self.pid, "--startup-window", "30m"])
    }

    #[track_caller]
    fn until_ready(&self, look: impl Fn(&Self) -> Ran) -> Ran {
        let begun = Instant::now();
        loop {
            let ran = look(self);
            if ran.code == Some(0) {
                return ran;
            }
            assert!(begun.elapsed() < PATIENCE, "{ran:#?}");
            std::thread::sleep(Duration::from_millis(250));
        }
    }
}

fn loses_its_controllers(kind: Kind) {
    let bed = Bed::start(kind, shape(Voters::Standalone, &[101], &[], &[1]));
    let probes = Probes::new(&bed);
    probes.until_ready(Probes::strict);
    probes.until_ready(Probes::latched);
    bed.quorum.stop(101, Signal::Kill).unwrap();
    probes.live().ends_with(0);
    let strict = probes.strict();
    assert!(matches!(strict.code, Some(1 | 5)), "{strict:#?}");
    let latched = probes.latched().ends_with(0);
    assert!(latched.out.contains("was in sync and is ready since "), "{latched:#?}");
    let refused = bed.run(&["adopt", "--dev"]);
    assert!(matches!(refused.code, Some(1 | 4)), "{refused:#?}");
    if is_wanted() {
        restarts_without_controllers(&bed);
    } else {
        bed.quorum.launch(101).unwrap();
        probes.until_ready(Probes::strict);
    }
}

/// The broker is restarted meanwhile: it waits for a controller, is not killed for that, and is ready once there is one.
fn restarts_without_controllers(bed: &Bed) {
    bed.quorum.stop(1, Signal::Kill).unwrap();
    bed.quorum.launch(1).unwrap();
    let probes = Probes::new(bed);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(8) {
        probes.live().ends_with(0);
        for look in [probes.strict(), probes.latched()] {
            assert!(matches!(look.code, Some(1 | 5)), "the latch was that of the process before: {look:#?}");
        }
    }
    assert_eq!(bed.quorum.pid(1).map(|pid| pid.to_string()), Some(probes.pid.clone()), "it still waits");
    bed.quorum.launch(101).unwrap();
    probes.until_ready(Probes::strict);
    let latched = probes.until_ready(Probes::latched);
    assert!(latched.out.starts_with("ready: broker 1 "), "{latched:#?}");
}
