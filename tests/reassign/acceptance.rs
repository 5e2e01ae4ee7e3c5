//! The whole story on real clusters, with a producer that writes all the while: scale out by one, rebalance uneven
//! sizes, replace a killed broker, drain one, more replicas; each killed (SIGKILL) at random moments and run again. Each
//! ends verified, throttles gone, every record still there by count and checksum.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fastrand::Rng;
use kafka_toolbox::clients::kafka::live::Live;
use kafka_toolbox::clients::kafka::{Kafka, NewTopic};
use kafka_toolbox::cluster::broker::BrokerId;
use kafka_toolbox::cluster::config::{ConfigResource, ConfigSource};
use kafka_toolbox::cluster::metadata::TopicSelection;
use kafka_toolbox::cluster::topic::TopicName;

use crate::clients::kafka::contract::{create, name, topic};
use crate::clients::kafka::live::{PATIENT, open, wait};
use crate::live::kafka::records::{Digest, Writer, digest, fill, numbers};
use crate::live::kafka::{Cluster, Kind, Shape, Signal};
use crate::reassign::bench::plan;
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
const RUNS_MAX: usize = 30;

/// Replicas by topic and partition.
type Assignment = BTreeMap<(String, i32), Vec<i32>>;

struct Story {
    cluster: Cluster,
    kafka: Live,
    toolbox: Toolbox,
    rng: Rng,
}

#[test]
fn a_gigabyte_on_kafka_4_3_survives_every_move_and_every_kill() {
    tell(Kind::Kafka43Kraft, 1_000_000_000, 20);
}

#[test]
fn every_move_and_every_kill_on_kafka_3_9_with_kraft() {
    tell(Kind::Kafka39Kraft, 60_000_000, 6);
}

#[test]
fn every_move_and_every_kill_on_kafka_3_9_with_zookeeper() {
    tell(Kind::Kafka39Zookeeper, 60_000_000, 6);
}

fn tell(kind: Kind, bytes: u64, kills: usize) {
    let mut story = Story::begin(kind);
    story.fill(bytes);
    let before = story.digests();
    let writer = Writer::start(&story.cluster, WRITTEN, 200, 500).unwrap();

    let (one, rest) = (kills / 5, kills - kills / 5 * 5);
    story.phase("scale out by one", "40MB/s", one, |_, number, replicas| {
        // Every fourth partition gives a replica to broker 4.
        if number % 4 == 0 { swap(replicas, replicas[number / 4 % replicas.len()], 4) } else { replicas.to_vec() }
    });
    story.phase("rebalance", "60MB/s", one, |topic, number, replicas| {
        // The biggest topics turn by one broker of four.
        let turns = matches!(topic, "c" | "f") && number % 3 == 0;
        if turns { replicas.iter().map(|broker| broker % 4 + 1).collect() } else { replicas.to_vec() }
    });
    story.cluster.stop_broker(3, Signal::Kill).unwrap();
    story.cluster.await_brokers(&[1, 2, 4, 5]).unwrap();
    story.phase("replace a killed broker", "40MB/s", one, |_, _, replicas| swap(replicas, 3, 5));
    story.phase("drain", "none", one, |_, number, replicas| {
        let heir = [1, 4, 5, 1, 4, 5].into_iter().skip(number % 3).find(|broker| !replicas.contains(broker)).unwrap();
        swap(replicas, 2, heir)
    });
    story.phase("more replicas", "80MB/s", one + rest, |_, number, replicas| {
        let missing = 3_usize.saturating_sub(replicas.len());
        let more = [1, 4, 5, 1, 4].into_iter().skip(number % 3).filter(|broker| !replicas.contains(broker));
        replicas.iter().copied().chain(more.take(missing)).collect()
    });

    let written = writer.finish().unwrap();
    assert_eq!(story.digests(), before, "every record that was there is still readable");
    let found = numbers(&story.cluster, WRITTEN).unwrap();
    assert_eq!(u64::try_from(found.len()).unwrap(), written, "nothing that was acknowledged is lost");
    story.every_side_effect_has_one_outcome();
}

/// Another broker in one broker's place.
fn swap(replicas: &[i32], gone: i32, heir: i32) -> Vec<i32> {
    if replicas.contains(&heir) {
        return replicas.to_vec();
    }
    replicas.iter().map(|broker| if *broker == gone { heir } else { *broker }).collect()
}

impl Story {
    fn begin(kind: Kind) -> Self {
        let cluster = Cluster::start(kind, &Shape::racks(&["a", "b", "c", "a", "b"])).unwrap();
        let kafka = open(&cluster.bootstrap(), PATIENT);
        let toolbox = Toolbox::new(&cluster.bootstrap());
        let row = |number: usize, factor: usize| -> Vec<BrokerId> {
            (0..factor).map(|replica| BrokerId(i32::try_from((number + replica) % 3).unwrap() + 1)).collect()
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

    /// Moves every partition as `target` says, with so many kills on the way.
    fn phase(&mut self, words: &str, throttle: &str, kills: usize, target: impl Fn(&str, usize, &[i32]) -> Vec<i32>) {
        let before = self.assignment();
        let moves: Vec<_> = before
            .iter()
            .map(|((topic, partition), replicas)| {
                (topic.as_str(), *partition, replicas, target(topic, usize::try_from(*partition).unwrap(), replicas))
            })
            .filter(|(_, _, replicas, target)| *replicas != target)
            .collect();
        assert!(!moves.is_empty(), "{words}");
        let rows: Vec<_> =
            moves.iter().map(|(topic, number, from, to)| (*topic, *number, &from[..], &to[..], 0)).collect();
        let file = self.toolbox.file("plan.json", &plan(self.cluster.id(), &rows));
        let line = ["reassign", "execute", &file, "--yes", "--max-risk", "moves-data", "--throttle", throttle];
        let line = [&line[..], &["--tick", "1s", "--patience", "2m"]].concat();
        self.kill_again_and_again(&line, kills);
        let ran = self.toolbox.run(&line);
        assert_eq!(ran.code, Some(0), "{words} on {}: {ran:#?}", self.cluster.kind().name());
        self.toolbox.run(&["reassign", "verify", &file]).ends_with(0);
        let now = self.assignment();
        for (topic, number, _, to) in &moves {
            assert_eq!(&now[&((*topic).to_owned(), *number)], to, "{words}: {topic}-{number}");
        }
        self.no_throttle_is_left(words);
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

    fn no_throttle_is_left(&self, words: &str) {
        let metadata = wait(self.kafka.metadata(TopicSelection::All)).unwrap();
        let brokers = metadata.brokers.keys().copied().map(ConfigResource::Broker);
        let resources: Vec<_> = metadata.topics.keys().cloned().map(ConfigResource::Topic).chain(brokers).collect();
        let keys = ["leader", "follower"].map(|side| {
            [format!("{side}.replication.throttled.replicas"), format!("{side}.replication.throttled.rate")]
        });
        let keys: Vec<&str> = keys.iter().flatten().map(String::as_str).collect();
        for (resource, entries) in wait(self.kafka.configs(&resources, Some(&keys))).unwrap() {
            let set = entries.unwrap().into_iter();
            let set: Vec<_> =
                set.filter(|entry| matches!(entry.source, ConfigSource::Topic | ConfigSource::Broker)).collect();
            assert!(set.is_empty(), "{words}: {resource} has {set:?}");
        }
    }

    fn every_side_effect_has_one_outcome(&self) {
        for (id, outcomes) in self.toolbox.outcomes() {
            assert_eq!(outcomes.len(), 1, "side effect {id}: {outcomes:#?}");
        }
    }
}
