//! The whole story on real clusters, with a producer that writes all the while: rebalance uneven sizes, scale out by one,
//! replace a killed broker, drain one, more replicas. `mapping` plans each one from the live cluster, `reassign execute`
//! carries its plan.json out, killed (SIGKILL) at random moments and run again; at last beside agents of `throttle run`
//! that are killed again and again. Each ends verified, throttles gone, every record still there by count and checksum.
//!
//! How much and how often is a setting: see [`Size`]. `make acceptance` tells it with a gigabyte on each kind of cluster.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fastrand::Rng;
use kafka_toolbox::clients::kafka::live::Live;
use kafka_toolbox::clients::kafka::{Cluster as _, Configs, Factor, NewTopic, Reassignments};
use kafka_toolbox::cluster::assignment::{MovePlan, PartitionMove};
use kafka_toolbox::cluster::broker::BrokerId;
use kafka_toolbox::cluster::config::{ConfigResource, ConfigSource};
use kafka_toolbox::cluster::metadata::TopicSelection;
use kafka_toolbox::cluster::size::Bytes;
use kafka_toolbox::cluster::topic::{TopicName, TopicPartition};

use crate::clients::kafka::contract::{create, name, topic};
use crate::clients::kafka::live::{PATIENT, open, wait};
use crate::live::kafka::records::{Digest, Writer, digest, fill, numbers};
use crate::live::kafka::{Cluster, Kind, Shape, Signal};
use crate::reassign::others_live::cancel_with_kafkas_tool;
use crate::support::toolbox::Toolbox;

/// Partitions of each topic that holds data.
const PARTITIONS: usize = 25;

/// Topics that hold data; each holds a share of its own, so that sizes are uneven.
const TOPICS: [(&str, u64); 8] = [("a", 2), ("b", 1), ("c", 5), ("d", 2), ("e", 1), ("f", 4), ("g", 3), ("h", 2)];

/// The topic that is written to all the while.
const WRITTEN: &str = "written";

/// Bytes of a record.
const RECORD: u64 = 4_000;

/// Runs that are tried to be killed in one phase, at most.
const RUNS_MAX: usize = 60;

/// The topics, as `--topics` takes them.
const NAMED: &str = "a,b,c,d,e,f,g,h,written";

/// How much data there is and how often runs are killed.
#[derive(Debug, Clone, Copy)]
struct Size {
    bytes: u64,
    /// Kills of `reassign execute`, spread over the phases.
    kills: usize,
    /// Kills of `throttle run`.
    agent_kills: usize,
}

impl Size {
    /// As `TOOLBOX_TEST_BYTES` (1MB to 20GB) and `TOOLBOX_TEST_KILLS` (5 to 100) say, else as given.
    fn of(usual: Self) -> Self {
        let kills = variable("TOOLBOX_TEST_KILLS").map(|text| text.parse::<usize>().unwrap());
        let bytes = bytes_or(usual.bytes);
        assert!(kills.is_none_or(|kills| (5..=100).contains(&kills)), "TOOLBOX_TEST_KILLS is from 5 to 100");
        Self { bytes, kills: kills.unwrap_or(usual.kills), agent_kills: kills.unwrap_or(usual.agent_kills) }
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// How much is moved: as `TOOLBOX_TEST_BYTES` says, else this.
pub(crate) fn bytes_or(usual: u64) -> u64 {
    let bytes = variable("TOOLBOX_TEST_BYTES").map_or(usual, |text| text.parse::<Bytes>().unwrap().0);
    assert!((1_000_000..=20_000_000_000).contains(&bytes), "TOOLBOX_TEST_BYTES is from 1MB to 20GB");
    bytes
}

/// From so many bytes on, moves take longer than Kafka's tool does to start: a fetch takes up to 1 MB whatever the throttle.
const TOOL_FROM: u64 = 500_000_000;

/// How somebody else cancels a move.
#[derive(Debug, Clone, Copy)]
enum Cancel {
    /// With `kafka-reassign-partitions --cancel`.
    WithKafkasTool,
    /// With its request alone.
    AtOnce,
}

/// Replicas by topic and partition.
type Assignment = BTreeMap<(String, i32), Vec<i32>>;

struct Story {
    cluster: Cluster,
    kafka: Live,
    toolbox: Toolbox,
    rng: Rng,
}

#[test]
fn every_move_and_every_kill_on_kafka_4_3() {
    tell(Kind::Kafka43Kraft, Size { bytes: 200_000_000, kills: 8, agent_kills: 4 });
}

#[test]
fn every_move_and_every_kill_on_kafka_3_9_with_kraft() {
    tell(Kind::Kafka39Kraft, Size { bytes: 60_000_000, kills: 5, agent_kills: 3 });
}

#[test]
fn every_move_and_every_kill_on_kafka_3_9_with_zookeeper() {
    tell(Kind::Kafka39Zookeeper, Size { bytes: 60_000_000, kills: 5, agent_kills: 3 });
}

fn tell(kind: Kind, usual: Size) {
    let began = Instant::now();
    let Size { bytes, kills, agent_kills } = Size::of(usual);
    let mut story = Story::begin(kind);
    story.fill(bytes);
    let before = story.digests();
    let writer = Writer::start(&story.cluster, WRITTEN, 200, 500).unwrap();

    let (one, last) = (kills / 4, kills - kills / 4 * 3);
    story.phase("rebalance uneven sizes", &["rebalance", "--brokers", "1-4", "--tolerance", "2%"], "60MB/s", one);
    story.phase("scale out by one", &["scale", "--brokers", "1-5"], "40MB/s", one);
    story.cluster.stop_broker(3, Signal::Kill).unwrap();
    story.cluster.await_brokers(&[1, 2, 4, 5]).unwrap();
    story.phase("replace a killed broker", &["replace", "3=5"], "auto", one);
    let way = if bytes >= TOOL_FROM { Cancel::WithKafkasTool } else { Cancel::AtOnce };
    story.cancelled("drain one", &["evacuate", "--brokers", "2"], way, last);
    story.beside_agents("more replicas", &["rebuild", "--replication", "3", "--brokers", "1,4,5"], agent_kills);

    let written = writer.finish().unwrap();
    assert_eq!(story.digests(), before, "every record that was there is still readable");
    let found = numbers(&story.cluster, WRITTEN).unwrap();
    assert_eq!(u64::try_from(found.len()).unwrap(), written, "nothing that was acknowledged is lost");
    let effects = story.every_side_effect_has_one_outcome();
    show(&format!(
        "{}: {} in {} partitions, {kills} kills of execute, {agent_kills} of throttle run, {effects} side effects with \
         one outcome each, {written} records written meanwhile: all verified in {:.0} s",
        kind.name(),
        Bytes(bytes),
        TOPICS.len() * PARTITIONS + 6,
        began.elapsed().as_secs_f64()
    ));
}

#[expect(clippy::print_stdout, reason = "figures for whoever runs `make acceptance`")]
fn show(text: &str) {
    println!("{text}");
}

/// Waits until nothing is left to say against it.
fn settles(what: &str, against: impl Fn() -> Option<String>) {
    let began = Instant::now();
    while let Some(left) = against() {
        assert!(began.elapsed() < Duration::from_secs(10), "{what}: {left}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

impl Story {
    fn begin(kind: Kind) -> Self {
        let cluster = Cluster::start(kind, &Shape::racks(&["a", "b", "c", "a", "c"])).unwrap();
        let kafka = open(&cluster.bootstrap(), PATIENT);
        let toolbox = Toolbox::new(&cluster.bootstrap());
        // Broker 4 shares rack a with broker 1, and holds far less than it; broker 5 holds nothing.
        let row = |number: usize, factor: usize| -> Vec<BrokerId> {
            let broker = |replica| i32::try_from((number + replica) % 3).unwrap() + 1;
            let shares = |broker| if broker == 1 && number.is_multiple_of(6) { 4 } else { broker };
            (0..factor).map(|replica| BrokerId(shares(broker(replica)))).collect()
        };
        let rows = |partitions: usize, factor| Some((0..partitions).map(|number| row(number, factor)).collect());
        wait(async {
            for (named, _) in TOPICS {
                create(&kafka, NewTopic { assignment: rows(PARTITIONS, 2), ..topic(named) }).await;
            }
            let config = BTreeMap::from([("min.insync.replicas".to_owned(), "2".to_owned())]);
            create(&kafka, NewTopic { assignment: rows(6, 3), config, ..topic(WRITTEN) }).await;
        });
        Self { cluster, kafka, toolbox, rng: Rng::with_seed(7) }
    }

    fn fill(&self, bytes: u64) {
        let shares: u64 = TOPICS.iter().map(|(_, share)| share).sum();
        for (topic, share) in TOPICS {
            fill(&self.cluster, topic, bytes * share / shares / RECORD, RECORD).unwrap();
        }
    }

    fn digests(&self) -> Vec<Digest> {
        TOPICS.iter().map(|(topic, _)| digest(&self.cluster, topic).unwrap()).collect()
    }

    fn assignment(&self) -> Assignment {
        let metadata = wait(self.kafka.metadata(TopicSelection::All)).unwrap();
        let named = TOPICS.iter().map(|(topic, _)| *topic).chain([WRITTEN]);
        let topics: Vec<TopicName> = named.map(name).collect();
        let partitions = topics.iter().flat_map(|topic| {
            metadata.topics[topic].partitions.iter().map(move |one| {
                ((topic.to_string(), one.partition), one.replicas.iter().map(|broker| broker.0).collect())
            })
        });
        partitions.collect()
    }

    /// Has `mapping` plan; the plan's file, its moves, and where each partition is to be.
    fn plan(&self, words: &str, verb: &[&str]) -> (String, MovePlan) {
        let folder = self.toolbox.state().with_file_name(words.replace(' ', "-"));
        let folder = folder.to_str().unwrap();
        let ran = self.toolbox.run(&[&["mapping"], verb, &["--topics", NAMED, "--out", folder]].concat());
        assert_eq!(ran.code, Some(0), "{words} on {}: {ran:#?}", self.cluster.kind().name());
        let file = format!("{folder}/plan.json");
        let plan: MovePlan = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        assert!(!plan.moves.is_empty(), "{words}: {ran:#?}");
        (file, plan)
    }

    /// Plans, carries out with so many kills on the way, and verifies.
    fn phase(&mut self, words: &str, verb: &[&str], throttle: &str, kills: usize) {
        let began = Instant::now();
        let (file, plan) = self.plan(words, verb);
        let line = ["reassign", "execute", &file, "--yes", "--max-risk", "moves-data", "--throttle", throttle];
        let line = [&line[..], &["--capacity", "100MB/s", "--tick", "1s", "--patience", "80s"]].concat();
        self.kill_again_and_again(&line, kills);
        let ran = self.toolbox.run(&line);
        assert_eq!(ran.code, Some(0), "{words} on {}: {ran:#?}", self.cluster.kind().name());
        self.is_as_planned(words, (&file, &plan), (began, kills));
    }

    /// The same, and in the middle somebody cancels a move: it is given up and said, and comes back only when that is asked
    /// for.
    fn cancelled(&mut self, words: &str, verb: &[&str], way: Cancel, kills: usize) {
        let began = Instant::now();
        let (file, plan) = self.plan(words, verb);
        let line =
            ["reassign", "execute", &file, "--yes", "--max-risk", "moves-data", "--tick", "1s", "--patience", "80s"];
        let slowly = [&line[..], &["--throttle", "1kB/s"]].concat();
        let mut executing = self.toolbox.command(&slowly).spawn().unwrap();
        let copies = |one: &&PartitionMove| one.adding().next().is_some() && one.bytes > 0;
        let running = loop {
            assert!(executing.try_wait().unwrap().is_none(), "{words}: it runs");
            let running = wait(self.kafka.reassignments()).unwrap();
            let found = plan.moves.iter().filter(copies).find(|one| running.contains_key(&one.partition));
            if let Some(found) = found.filter(|found| self.is_cancelled(found, way)) {
                break found;
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        self.toolbox.run(&["throttle", "set", "500MB/s"]).ends_with(0);
        let ended = executing.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{words}: {said}");
        assert!(said.contains(&format!("partition {}: cancelled by somebody else", running.partition)), "{said}");
        let taken_in = [&line[..], &["--throttle", "none", "--include-cancelled"]].concat();
        self.kill_again_and_again(&taken_in, kills);
        self.toolbox.run(&taken_in).ends_with(0);
        self.is_as_planned(words, (&file, &plan), (began, kills));
    }

    /// Cancels as somebody else; whether there was anything left to cancel.
    fn is_cancelled(&self, one: &PartitionMove, way: Cancel) -> bool {
        match way {
            Cancel::WithKafkasTool => {
                let to: Vec<i32> = one.to.iter().map(|broker| broker.0).collect();
                cancel_with_kafkas_tool(&self.cluster, &self.toolbox, (&one.partition, &to));
                true
            }
            Cancel::AtOnce => {
                let nothing = [(one.partition.clone(), None)];
                wait(self.kafka.alter_reassignments(&nothing, Factor::MayChange)).iter().all(Result::is_ok)
            }
        }
    }

    /// The same beside agents that pace the moves and are killed: the execution itself sets no throttle.
    fn beside_agents(&mut self, words: &str, verb: &[&str], kills: usize) {
        let began = Instant::now();
        let (file, plan) = self.plan(words, verb);
        let line = ["reassign", "execute", &file, "--yes", "--max-risk", "moves-data", "--throttle", "none"];
        let line = [&line[..], &["--partitions-per-broker", "2", "--tick", "1s", "--patience", "80s"]].concat();
        let mut executor = self.toolbox.command(&line).spawn().unwrap();
        let agent = ["throttle", "run", "--interval", "1s", "--capacity", "60MB/s"];
        // A second one that addresses the cluster by another broker: it stands by, and leads whenever the first one dies.
        let bootstrap = self.cluster.bootstrap();
        let other = bootstrap.rsplit(',').next().unwrap();
        let beside = [&agent[..], &["--bootstrap-server", other]].concat();
        let mut second = self.toolbox.command(&beside).spawn().unwrap();
        self.kill_again_and_again(&agent, kills);
        assert!(second.try_wait().unwrap().is_none(), "{words}: the second agent stands by or leads");
        second.kill().unwrap();
        second.wait().unwrap();
        let until_idle = self.toolbox.run(&[&agent[..], &["--until-idle"]].concat());
        assert_eq!(executor.wait().unwrap().code(), Some(0), "{words}: {until_idle:#?}");
        // The moves may have begun after the last look of that one.
        self.toolbox.run(&[&agent[..], &["--until-idle"]].concat()).ends_with(0);
        self.is_as_planned(words, (&file, &plan), (began, kills));
    }

    fn is_as_planned(&self, words: &str, (file, plan): (&str, &MovePlan), (began, kills): (Instant, usize)) {
        self.toolbox.run(&["reassign", "verify", file]).ends_with(0);
        let is_in_place = |one: &PartitionMove, now: &Assignment| {
            let to: Vec<i32> = one.to.iter().map(|broker| broker.0).collect();
            let TopicPartition { topic, partition } = &one.partition;
            now[&(topic.to_string(), *partition)] == to
        };
        // Each broker shows changes in its own time.
        settles(&format!("{words}: every replica in its place"), || {
            let now = self.assignment();
            plan.moves.iter().find(|one| !is_in_place(one, &now)).map(|one| format!("{one:?}"))
        });
        settles(&format!("{words}: no throttle"), || self.throttle_left());
        let (kind, moves) = (self.cluster.kind().name(), plan.moves.len());
        show(&format!("{kind}: {words}: {moves} moves, {kills} kills, {:.0} s", began.elapsed().as_secs_f64()));
    }

    /// Runs and kills at random moments, so many times. A run that ended by itself first does not count: then everything
    /// is in place, and the next ones are killed sooner.
    fn kill_again_and_again(&mut self, line: &[&str], kills: usize) {
        let (mut hits, mut longest) = (0, 1_500);
        for _ in 0..RUNS_MAX {
            if hits == kills {
                return;
            }
            let mut child = self.toolbox.command(line).spawn().unwrap();
            let limit = Duration::from_millis(self.rng.u64(2..longest));
            let start = Instant::now();
            while start.elapsed() < limit && child.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_millis(2));
            }
            if child.try_wait().unwrap().is_none() {
                child.kill().unwrap();
                hits += 1;
            } else {
                longest = (longest / 2).max(20);
            }
            child.wait().unwrap();
        }
        panic!("{hits} of {kills} kills hit a run");
    }

    /// A throttle that is set, if there is one.
    fn throttle_left(&self) -> Option<String> {
        let metadata = wait(self.kafka.metadata(TopicSelection::All)).unwrap();
        let brokers = metadata.brokers.keys().copied().map(ConfigResource::Broker);
        let resources: Vec<_> = metadata.topics.keys().cloned().map(ConfigResource::Topic).chain(brokers).collect();
        let keys = ["leader", "follower"].map(|side| {
            [format!("{side}.replication.throttled.replicas"), format!("{side}.replication.throttled.rate")]
        });
        let keys: Vec<&str> = keys.iter().flatten().map(String::as_str).collect();
        wait(self.kafka.configs(&resources, Some(&keys))).unwrap().into_iter().find_map(|(resource, entries)| {
            let set = entries.unwrap().into_iter();
            let set: Vec<_> =
                set.filter(|entry| matches!(entry.source, ConfigSource::Topic | ConfigSource::Broker)).collect();
            (!set.is_empty()).then(|| format!("{resource} has {set:?}"))
        })
    }

    /// How many side effects there were.
    fn every_side_effect_has_one_outcome(&self) -> usize {
        let effects = self.toolbox.outcomes();
        for (id, outcomes) in &effects {
            assert_eq!(outcomes.len(), 1, "side effect {id}: {outcomes:#?}");
        }
        effects.len()
    }
}
