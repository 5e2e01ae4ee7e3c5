//! Builds a twin: each method adds one thing and gives the twin back. Bad names are a mistake of the test: they panic.
#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a test that names an impossible topic should stop right there"
)]

use std::collections::BTreeSet;

use crate::clients::kafka::memory::Memory;
use crate::clients::kafka::memory::Model;
use crate::clients::kafka::memory::ModelDir;
use crate::clients::kafka::memory::ModelTopic;
use crate::clients::kafka::memory::moves;
use crate::cluster::broker::BrokerId;
use crate::cluster::broker::Rack;
use crate::cluster::group::LOCK_PROTOCOL_TYPE;
use crate::cluster::group::LiveGroup;
use crate::cluster::topic::TopicName;
use crate::cluster::topic::TopicPartition;

impl Memory {
    /// A KRaft cluster of brokers 1 to `brokers` in racks `a`, `b`, `c`, …
    #[must_use]
    pub fn kraft(brokers: i32) -> Self {
        Self::of(Model::new(true, brokers))
    }

    /// A cluster in ZooKeeper mode of brokers 1 to `brokers` in racks `a`, `b`, `c`, …
    #[must_use]
    pub fn zookeeper(brokers: i32) -> Self {
        Self::of(Model::new(false, brokers))
    }

    /// With another cluster id.
    #[must_use]
    pub fn cluster_id(self, id: &str) -> Self {
        self.with(|model| id.clone_into(&mut model.cluster_id))
    }

    /// With one broker in another rack, or in none.
    #[must_use]
    pub fn rack(self, broker: i32, rack: Option<&str>) -> Self {
        self.with(|model| {
            let broker = model.brokers.get_mut(&BrokerId(broker)).expect("the broker is there");
            broker.rack = rack.map(|rack| Rack(rack.to_owned()));
        })
    }

    /// With a topic; a row of brokers for each partition, the preferred leader first.
    #[must_use]
    pub fn topic(self, name: &str, replicas: &[&[i32]]) -> Self {
        self.with(|model| {
            let partitions = replicas.iter().map(|row| model.partition(row.iter().copied().map(BrokerId).collect()));
            let topic = ModelTopic { partitions: partitions.collect(), ..ModelTopic::default() };
            model.topics.insert(topic_name(name), topic);
        })
    }

    /// With a topic that Kafka keeps for itself.
    #[must_use]
    pub fn internal_topic(self, name: &str, replicas: &[&[i32]]) -> Self {
        self.topic(name, replicas).with(|model| topic(model, name).internal = true)
    }

    /// With a config key set on a topic.
    #[must_use]
    pub fn config(self, name: &str, key: &str, value: &str) -> Self {
        self.with(|model| {
            topic(model, name).config.insert(key.to_owned(), value.to_owned());
        })
    }

    /// With a config key set on all brokers at run time.
    #[must_use]
    pub fn broker_default(self, key: &str, value: &str) -> Self {
        self.with(|model| {
            model.broker_defaults.insert(key.to_owned(), value.to_owned());
        })
    }

    /// With records in a partition: the timestamp of each, in milliseconds since 1970.
    #[must_use]
    pub fn records(self, name: &str, partition: usize, timestamps: &[i64]) -> Self {
        self.with(|model| timestamps.clone_into(&mut topic(model, name).partitions[partition].timestamps))
    }

    /// With so many bytes in each replica of a partition.
    #[must_use]
    pub fn bytes(self, name: &str, partition: usize, bytes: u64) -> Self {
        self.with(|model| {
            let partition = &mut topic(model, name).partitions[partition];
            partition.bytes = partition.replicas.iter().map(|replica| (*replica, bytes)).collect();
        })
    }

    /// With a group of one member that reads these topics; with none, it hides them, as a Streams group does.
    #[must_use]
    pub fn group(self, id: &str, topics: &[&str]) -> Self {
        self.with(|model| {
            let group = LiveGroup {
                id: id.to_owned(),
                protocol_type: "consumer".to_owned(),
                state: "Stable".to_owned(),
                members: 1,
                topics: topics.iter().map(|name| topic_name(name)).collect(),
                hides_topics: topics.is_empty(),
            };
            model.groups.insert(id.to_owned(), group);
        })
    }

    /// With a group that is a lock of this toolbox, held by somebody.
    #[must_use]
    pub fn lock_group(self, id: &str) -> Self {
        self.with(|model| {
            let group = LiveGroup {
                id: id.to_owned(),
                protocol_type: LOCK_PROTOCOL_TYPE.to_owned(),
                state: "Stable".to_owned(),
                members: 1,
                topics: BTreeSet::new(),
                hides_topics: true,
            };
            model.groups.insert(id.to_owned(), group);
        })
    }

    /// With a running move of a partition onto these replicas.
    #[must_use]
    pub fn moving(self, name: &str, partition: usize, target: &[i32]) -> Self {
        self.with(|model| {
            let target: Vec<_> = target.iter().copied().map(BrokerId).collect();
            let partition = i32::try_from(partition).expect("a partition's number");
            moves::begin(model, &TopicPartition { topic: topic_name(name), partition }, &target);
        })
    }

    /// With so many bytes copied to each adding replica whenever moves are listed.
    #[must_use]
    pub fn copying(self, bytes_per_listing: u64) -> Self {
        self.with(|model| model.copied_per_listing = Some(bytes_per_listing))
    }

    /// With one log dir of so many bytes on each broker.
    #[must_use]
    pub fn disks(self, bytes: u64) -> Self {
        self.with(|model| model.disk_bytes = Some(bytes))
    }

    /// With these log dirs on a broker: path and bytes of each.
    #[must_use]
    pub fn log_dirs(self, broker: i32, dirs: &[(&str, u64)]) -> Self {
        let dir = |(path, bytes): &(&str, u64)| ModelDir { path: (*path).to_owned(), bytes: *bytes, offline: false };
        self.with(|model| drop(model.log_dirs.insert(BrokerId(broker), dirs.iter().map(dir).collect())))
    }

    /// With a replica in another log dir of its broker than the first.
    #[must_use]
    pub fn lies_in(self, name: &str, partition: usize, (broker, dir): (i32, usize)) -> Self {
        self.with(|model| {
            topic(model, name).partitions[partition].log_dirs.insert(BrokerId(broker), dir);
        })
    }

    fn with(self, change: impl FnOnce(&mut Model)) -> Self {
        self.edit(change);
        self
    }
}

fn topic_name(name: &str) -> TopicName {
    TopicName::new(name).expect("a legal topic name")
}

fn topic<'a>(model: &'a mut Model, name: &str) -> &'a mut ModelTopic {
    model.topics.get_mut(&topic_name(name)).expect("the topic is there")
}
