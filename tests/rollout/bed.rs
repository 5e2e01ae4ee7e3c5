//! A real cluster that `rollout run` restarts: its two commands leave a file each, and a thread of the test does what the
//! file says and takes it away. Beside it somebody watches every ISR.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kafka_toolbox::clients::kafka::Kafka;
use kafka_toolbox::clients::kafka::live::Live;
use kafka_toolbox::clients::kafka::settings::{Given, Settings};
use kafka_toolbox::cluster::broker::BrokerId;
use kafka_toolbox::cluster::metadata::TopicSelection;
use kafka_toolbox::cluster::topic::TopicPartition;

use crate::live::kafka::{Cluster, Signal};
use crate::support::toolbox::{Ran, Toolbox};

/// Longest wait for a roll, or for a part of one.
pub(super) const LIMIT: Duration = Duration::from_mins(5);

/// How often files and ISRs are looked at.
const EVERY: Duration = Duration::from_millis(50);

/// A cluster, somebody who restarts its brokers, and the toolbox.
pub(super) struct Bed {
    pub(super) cluster: Arc<Cluster>,
    pub(super) toolbox: Toolbox,
    folder: PathBuf,
    hands: Option<JoinHandle<()>>,
    is_over: Arc<AtomicBool>,
    /// While it is set, what was done is not confirmed: the command goes on waiting.
    pub(super) holds: Arc<AtomicBool>,
    done: Arc<Mutex<Vec<String>>>,
}

impl Bed {
    pub(super) fn new(cluster: Cluster) -> Self {
        let toolbox = Toolbox::new(&cluster.bootstrap());
        let folder = cluster.folder().join("hands");
        std::fs::create_dir(&folder).unwrap();
        let (cluster, is_over, done) = (Arc::new(cluster), Arc::new(AtomicBool::new(false)), Arc::default());
        let (hand, over, list, place) = (Arc::clone(&cluster), Arc::clone(&is_over), Arc::clone(&done), folder.clone());
        let holds = Arc::new(AtomicBool::new(false));
        let held = Arc::clone(&holds);
        let hands = Hands { folder: place, is_over: over, holds: held, done: list };
        let hands = Some(std::thread::spawn(move || hands.work(&hand)));
        Self { cluster, toolbox, folder, hands, is_over, holds, done }
    }

    /// Creates a topic with three replicas a partition, of which two must be in sync.
    pub(super) fn create(&self, topic: &str, assignment: &str) {
        let bootstrap = self.cluster.bootstrap();
        let line = ["--bootstrap-server", &bootstrap, "--create", "--topic", topic, "--replica-assignment", assignment];
        let minimum = ["--config", "min.insync.replicas=2"];
        self.cluster.tool("org.apache.kafka.tools.TopicCommand", &[&line[..], &minimum].concat()).unwrap();
    }

    /// The command line of a roll.
    pub(super) fn line(&self, more: &[&str]) -> Vec<String> {
        let command = |verb: &str| {
            let file = self.folder.join(format!("{verb}-{{id}}")).display().to_string();
            format!("touch {file}; while [ -e {file} ]; do sleep 0.1; done; [ ! -e {file}.failed ]")
        };
        let (stop, start) = (command("stop"), command("start"));
        let line = ["rollout", "run", "--yes", "--stop-cmd", &stop, "--start-cmd", &start];
        let pace = ["--apart", "2s", "--every", "500ms", "--wait-max", "4m", "--timeout", "5s"];
        line.iter().chain(&pace).chain(more).map(|word| (*word).to_owned()).collect()
    }

    pub(super) fn roll(&self, more: &[&str]) -> Ran {
        let line = self.line(more);
        self.toolbox.run_within(LIMIT, &line.iter().map(String::as_str).collect::<Vec<_>>())
    }

    pub(super) fn begin(&self, more: &[&str]) -> Child {
        let line = self.line(more);
        self.toolbox.command(&line.iter().map(String::as_str).collect::<Vec<_>>()).spawn().unwrap()
    }

    /// What was stopped and started so far, as `stop 2`.
    pub(super) fn done(&self) -> Vec<String> {
        locked(&self.done).clone()
    }

    /// Waits until so many restarts have ended.
    pub(super) fn await_done(&self, count: usize) {
        let begun = Instant::now();
        while self.done().len() < count {
            assert!(begun.elapsed() < LIMIT, "{:?}", self.done());
            std::thread::sleep(EVERY);
        }
    }

    /// Checks that each broker was stopped once and started before another one was stopped.
    #[track_caller]
    pub(super) fn each_was_restarted_once(&self, brokers: usize) {
        let done = self.done();
        let stops: Vec<_> = done.iter().filter(|it| it.starts_with("stop")).collect();
        let names: std::collections::BTreeSet<_> = stops.iter().collect();
        assert_eq!((stops.len(), names.len()), (brokers, brokers), "{done:?}");
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

impl Drop for Bed {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(hands) = self.hands.take() {
            let _ = hands.join();
        }
    }
}

fn locked<T>(list: &Mutex<T>) -> MutexGuard<'_, T> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who restarts brokers.
struct Hands {
    folder: PathBuf,
    is_over: Arc<AtomicBool>,
    holds: Arc<AtomicBool>,
    done: Arc<Mutex<Vec<String>>>,
}

impl Hands {
    /// Does what files ask for, until it is over.
    fn work(&self, cluster: &Cluster) {
        while !self.is_over.load(Ordering::Relaxed) {
            for entry in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
                let name = entry.file_name().into_string().unwrap_or_default();
                let Some((verb, id)) =
                    name.split_once('-').and_then(|(verb, id)| Some((verb, id.parse::<i32>().ok()?)))
                else {
                    continue;
                };
                let result = match (verb, cluster.pid(id)) {
                    ("stop", Some(_)) => cluster.stop_broker(id, Signal::Term),
                    ("start", None) => cluster.start_broker(id),
                    _ => Ok(()),
                };
                if let Err(error) = result {
                    eprintln!("{name}: {error:#}");
                    let _ = std::fs::write(self.folder.join(format!("{name}.failed")), "");
                }
                locked(&self.done).push(format!("{verb} {id}"));
                while self.holds.load(Ordering::Relaxed) && !self.is_over.load(Ordering::Relaxed) {
                    std::thread::sleep(EVERY);
                }
                let _ = std::fs::remove_file(entry.path());
            }
            std::thread::sleep(EVERY);
        }
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
    use super::{Kafka, TopicSelection};
    use kafka_toolbox::clients::kafka::KafkaError;
    use kafka_toolbox::cluster::metadata::Metadata;

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
        let file = bed.folder.with_file_name(format!("read-{topic}"));
        let bootstrap = bed.cluster.bootstrap();
        let line =
            ["600", "kcat", "-b", &bootstrap, "-G", "readers", "-X", "auto.offset.reset=earliest", "-q", "-u", topic];
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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let bootstrap = cluster.bootstrap();
        let given = Given { bootstrap_server: Some(&bootstrap), ..Given::default() };
        let live = Live::new(Settings::load(None, given).unwrap()).unwrap();
        let view = kafka::metadata(&live).await.unwrap();
        let topics = view.topics.values().flat_map(|topic| topic.partitions.iter().map(move |it| (topic, it)));
        topics
            .filter(|(_, partition)| partition.leader.as_ref() != partition.replicas.first())
            .map(|(topic, partition)| (format!("{}-{}", topic.name, partition.partition), partition.leader))
            .collect()
    })
}
