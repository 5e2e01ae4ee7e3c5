//! Real servers that `rollout run` restarts: its two commands leave a file each, and a thread of the test does what the file
//! says and takes it away. Beside a cluster somebody watches every ISR.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kafka_toolbox::clients::kafka::live::Live;
use kafka_toolbox::clients::kafka::settings::{Given, Settings};
use kafka_toolbox::clients::kafka::{Cluster as _, Kafka};
use kafka_toolbox::cluster::broker::BrokerId;
use kafka_toolbox::cluster::metadata::{Metadata, TopicSelection};
use kafka_toolbox::cluster::topic::{TopicName, TopicPartition};

use crate::live::kafka::{Cluster, Signal};
use crate::support::toolbox::{Ran, Toolbox};

/// Longest wait for a roll, or for a part of one.
pub(super) const LIMIT: Duration = Duration::from_mins(5);

/// How often files and ISRs are looked at.
const EVERY: Duration = Duration::from_millis(50);

/// Somebody who stops and starts servers as the commands of `rollout run` ask.
pub(super) struct Hands {
    folder: PathBuf,
    thread: Option<JoinHandle<()>>,
    is_over: Arc<AtomicBool>,
    /// While it is set, what was done is not confirmed: the command goes on waiting.
    pub(super) holds: Arc<AtomicBool>,
    done: Arc<Mutex<Vec<String>>>,
}

impl Hands {
    /// Begins to do what files in a folder ask for; `act` gets `stop` or `start`, and the id of a server.
    pub(super) fn start(folder: PathBuf, act: impl Fn(&str, i32) -> anyhow::Result<()> + Send + 'static) -> Self {
        let (is_over, done, holds) =
            (Arc::new(AtomicBool::new(false)), Arc::default(), Arc::new(AtomicBool::new(false)));
        let (over, list, held, place) = (Arc::clone(&is_over), Arc::clone(&done), Arc::clone(&holds), folder.clone());
        let worker = Worker { folder: place, is_over: over, holds: held, done: list };
        let thread = Some(std::thread::spawn(move || worker.work(&act)));
        Self { folder, thread, is_over, holds, done }
    }

    /// The command line of a roll.
    pub(super) fn line(&self, more: &[&str]) -> Vec<String> {
        let command = |verb: &str| {
            let file = self.folder.join(format!("{verb}-{{id}}")).display().to_string();
            format!("touch {file}; while [ -e {file} ]; do sleep 0.1; done; [ ! -e {file}.failed ]")
        };
        let (stop, start) = (command("stop"), command("start"));
        let line = ["rollout", "run", "--yes", "--stop-cmd", &stop, "--start-cmd", &start];
        let apart: &[&str] = if more.contains(&"--apart") { &[] } else { &["--apart", "2s"] };
        let pace = ["--every", "500ms", "--wait-max", "4m", "--timeout", "5s"];
        line.iter().chain(apart).chain(&pace).chain(more).map(|word| (*word).to_owned()).collect()
    }

    /// What was stopped and started so far, as `stop 2`.
    pub(super) fn done(&self) -> Vec<String> {
        locked(&self.done).clone()
    }

    /// The servers that were stopped so far, in order.
    pub(super) fn stops(&self) -> Vec<i32> {
        self.done().iter().filter_map(|it| it.strip_prefix("stop ")?.parse().ok()).collect()
    }

    /// Waits until so many stops and starts have ended.
    pub(super) fn await_done(&self, count: usize) {
        self.await_that(|done| done.len() >= count);
    }

    /// Waits until that holds for what was stopped and started.
    pub(super) fn await_that(&self, holds: impl Fn(&[String]) -> bool) {
        let begun = Instant::now();
        while !holds(&self.done()) {
            assert!(begun.elapsed() < LIMIT, "{:?}", self.done());
            std::thread::sleep(EVERY);
        }
    }

    /// Checks that each server was stopped once and started before another one was stopped.
    #[track_caller]
    pub(super) fn each_was_restarted_once(&self, servers: usize) {
        let (done, stops) = (self.done(), self.stops());
        let ids: std::collections::BTreeSet<_> = stops.iter().collect();
        assert_eq!((stops.len(), ids.len()), (servers, servers), "{done:?}");
        let mut out: Option<&str> = None;
        for it in &done {
            match it.split_once(' ').unwrap() {
                ("stop", id) => {
                    assert_eq!(out, None, "another one is out: {done:?}");
                    out = Some(id);
                }
                (_, id) => {
                    assert!(out.is_none_or(|other| other == id), "{done:?}");
                    out = None;
                }
            }
        }
    }
}

impl Drop for Hands {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A cluster, somebody who restarts its brokers, and the toolbox.
pub(super) struct Bed {
    pub(super) cluster: Arc<Cluster>,
    pub(super) toolbox: Toolbox,
    pub(super) hands: Hands,
}

impl Bed {
    pub(super) fn new(cluster: Cluster) -> Self {
        let toolbox = Toolbox::new(&cluster.bootstrap());
        let folder = cluster.folder().join("hands");
        std::fs::create_dir(&folder).unwrap();
        let cluster = Arc::new(cluster);
        let hand = Arc::clone(&cluster);
        let hands = Hands::start(folder, move |verb, id| match (verb, hand.pid(id)) {
            ("stop", Some(_)) => hand.stop_broker(id, Signal::Term),
            ("start", None) => hand.start_broker(id),
            _ => Ok(()),
        });
        Self { cluster, toolbox, hands }
    }

    /// Creates a topic with three replicas a partition, of which two must be in sync, and waits until each broker knows it: a
    /// producer that asks one behind the others gives up.
    pub(super) fn create(&self, topic: &str, assignment: &str) {
        let bootstrap = self.cluster.bootstrap();
        let line = ["--bootstrap-server", &bootstrap, "--create", "--topic", topic, "--replica-assignment", assignment];
        let minimum = ["--config", "min.insync.replicas=2"];
        self.cluster.tool("org.apache.kafka.tools.TopicCommand", &[&line[..], &minimum].concat()).unwrap();
        let begun = Instant::now();
        while !knows_everywhere(&self.cluster, topic) {
            assert!(begun.elapsed() < LIMIT, "{topic} is not known to each broker");
            std::thread::sleep(EVERY);
        }
    }

    pub(super) fn roll(&self, more: &[&str]) -> Ran {
        let line = self.hands.line(more);
        self.toolbox.run_within(LIMIT, &line.iter().map(String::as_str).collect::<Vec<_>>())
    }

    pub(super) fn begin(&self, more: &[&str]) -> Child {
        let line = self.hands.line(more);
        self.toolbox.command(&line.iter().map(String::as_str).collect::<Vec<_>>()).spawn().unwrap()
    }

    /// Waits until each replica of a topic is in sync.
    pub(super) fn await_in_sync(&self, topic: &str) {
        let begun = Instant::now();
        loop {
            let lacking = lacking(&self.cluster, topic);
            if lacking.is_empty() {
                return;
            }
            assert!(begun.elapsed() < LIMIT, "not in sync: {lacking:?}");
            std::thread::sleep(EVERY);
        }
    }

    /// Waits until a roll has ended, and gives its exit code.
    pub(super) fn ended(&self, roll: &mut Child) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = roll.try_wait().unwrap() {
                return status.code();
            }
            assert!(begun.elapsed() < LIMIT, "{:?}", self.hands.done());
            std::thread::sleep(EVERY);
        }
    }
}

fn locked<T>(list: &Mutex<T>) -> MutexGuard<'_, T> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whoever does what files ask for.
struct Worker {
    folder: PathBuf,
    is_over: Arc<AtomicBool>,
    holds: Arc<AtomicBool>,
    done: Arc<Mutex<Vec<String>>>,
}

impl Worker {
    /// Does what files ask for, until it is over.
    fn work(&self, act: &dyn Fn(&str, i32) -> anyhow::Result<()>) {
        while !self.is_over() {
            for entry in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
                self.obey(act, &entry.file_name().into_string().unwrap_or_default());
            }
            std::thread::sleep(EVERY);
        }
    }

    /// Does what one file asks for, as `stop-2`, and takes it away.
    fn obey(&self, act: &dyn Fn(&str, i32) -> anyhow::Result<()>, name: &str) {
        let asked = name.split_once('-').and_then(|(verb, id)| Some((verb, id.parse::<i32>().ok()?)));
        let Some((verb, id)) = asked else { return };
        if let Err(error) = act(verb, id) {
            let _ = std::fs::write(self.folder.join(format!("{name}.failed")), format!("{error:#}"));
        }
        locked(&self.done).push(format!("{verb} {id}"));
        while self.holds.load(Ordering::Relaxed) && !self.is_over() {
            std::thread::sleep(EVERY);
        }
        let _ = std::fs::remove_file(self.folder.join(name));
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

/// Watches the ISR of every partition, by the view of any broker, and keeps the least number of replicas in sync.
pub(super) struct Guard {
    least: JoinHandle<BTreeMap<TopicPartition, usize>>,
    is_over: Arc<AtomicBool>,
}

impl Guard {
    pub(super) fn start(cluster: &Cluster) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let (bootstrap, over) = (cluster.bootstrap(), Arc::clone(&is_over));
        let least = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(watch(&bootstrap, &over))
        });
        Self { least, is_over }
    }

    /// The least number of replicas in sync that each partition had.
    pub(super) fn least(self) -> BTreeMap<TopicPartition, usize> {
        self.is_over.store(true, Ordering::Relaxed);
        self.least.join().unwrap()
    }
}

async fn watch(bootstrap: &str, is_over: &AtomicBool) -> BTreeMap<TopicPartition, usize> {
    let given = Given { bootstrap_server: Some(bootstrap), timeout: Some(Duration::from_secs(3)), ..Given::default() };
    let kafka = Live::new(Settings::load(None, given).unwrap()).unwrap();
    let mut least = BTreeMap::new();
    while !is_over.load(Ordering::Relaxed) {
        kafka.begin_look();
        let Ok(view) = kafka::metadata(&kafka).await else { continue };
        for topic in view.topics.values() {
            for partition in &topic.partitions {
                let key = TopicPartition { topic: topic.name.clone(), partition: partition.partition };
                let in_sync = partition.isr.len();
                least.entry(key).and_modify(|kept: &mut usize| *kept = in_sync.min(*kept)).or_insert(in_sync);
            }
        }
        tokio::time::sleep(EVERY).await;
    }
    least
}

/// The cluster as any broker shows it.
mod kafka {
    use super::{Kafka, Metadata, TopicSelection};
    use kafka_toolbox::clients::kafka::KafkaError;

    pub(super) async fn metadata(kafka: &dyn Kafka) -> Result<Metadata, KafkaError> {
        kafka.metadata(TopicSelection::All).await
    }
}

/// A consumer group of one, which reads a topic from its first record on.
pub(super) struct Reader {
    child: Child,
    file: PathBuf,
}

impl Reader {
    pub(super) fn start(bed: &Bed, topic: &str) -> Self {
        let file = bed.cluster.folder().join(format!("read-{topic}"));
        let (bootstrap, group) = (bed.cluster.bootstrap(), format!("readers-{topic}"));
        let line =
            ["600", "kcat", "-b", &bootstrap, "-G", &group, "-X", "auto.offset.reset=earliest", "-q", "-u", topic];
        let mut command = std::process::Command::new("timeout");
        let child = command.args(line).stdout(std::fs::File::create(&file).unwrap()).spawn().unwrap();
        Self { child, file }
    }

    /// Waits until it has read every number below this one.
    #[track_caller]
    pub(super) fn await_all(&self, count: u64) {
        let begun = Instant::now();
        loop {
            let text = std::fs::read_to_string(&self.file).unwrap();
            let numbers = text.lines().filter_map(|line| line.split(' ').next()?.parse::<u64>().ok());
            let read = numbers.filter(|number| *number < count).collect::<std::collections::BTreeSet<_>>().len();
            if u64::try_from(read).unwrap() == count {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(90), "{read} of {count} were read");
            std::thread::sleep(Duration::from_millis(300));
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The partitions of a topic that are led by another broker than the preferred one.
pub(super) fn led_elsewhere(cluster: &Cluster) -> Vec<(String, Option<BrokerId>)> {
    let view = seen(cluster);
    let topics = view.topics.values().flat_map(|topic| topic.partitions.iter().map(move |it| (topic, it)));
    topics
        .filter(|(_, partition)| partition.leader.as_ref() != partition.replicas.first())
        .map(|(topic, partition)| (format!("{}-{}", topic.name, partition.partition), partition.leader))
        .collect()
}

/// The partitions of a topic that have replicas out of sync.
fn lacking(cluster: &Cluster, topic: &str) -> Vec<i32> {
    let view = seen(cluster);
    let partitions = view.topics.values().filter(|it| it.name.as_str() == topic).flat_map(|it| &it.partitions);
    partitions.filter(|it| it.isr.len() < it.replicas.len()).map(|it| it.partition).collect()
}

/// Whether each broker shows a topic.
fn knows_everywhere(cluster: &Cluster, topic: &str) -> bool {
    let name = TopicName::new(topic).unwrap();
    ask(cluster, async |live| {
        for broker in live.metadata(TopicSelection::None).await.unwrap().brokers.keys() {
            let shown = live.metadata_of(*broker, TopicSelection::All).await.unwrap();
            if !shown.topics.contains_key(&name) {
                return false;
            }
        }
        true
    })
}

fn seen(cluster: &Cluster) -> Metadata {
    ask(cluster, async |live| kafka::metadata(live).await.unwrap())
}

/// Asks a cluster on connections of its own.
fn ask<T>(cluster: &Cluster, question: impl AsyncFnOnce(&Live) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let bootstrap = cluster.bootstrap();
        let given = Given { bootstrap_server: Some(&bootstrap), ..Given::default() };
        question(&Live::new(Settings::load(None, given).unwrap()).unwrap()).await
    })
}
