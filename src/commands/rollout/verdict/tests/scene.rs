//! A cluster of brokers 1 to 4 with one topic, to be changed by a test.

use jiff::Timestamp;

use crate::cluster::broker::{Broker, BrokerId};
use crate::cluster::metadata::Metadata;
use crate::cluster::topic::{Partition, Topic, TopicName};
use crate::commands::rollout::verdict::seen::Sample;

/// The broker that is to stop.
pub(in crate::commands::rollout) const ME: BrokerId = BrokerId(1);

pub(in crate::commands::rollout) fn ids(ids: &[i32]) -> Vec<BrokerId> {
    ids.iter().copied().map(BrokerId).collect()
}

pub(in crate::commands::rollout) fn partition(leader: i32, replicas: &[i32], isr: &[i32]) -> Partition {
    Partition {
        partition: 0,
        leader: (leader >= 0).then_some(BrokerId(leader)),
        replicas: ids(replicas),
        isr: ids(isr),
        offline: Vec::new(),
    }
}

pub(in crate::commands::rollout) fn name(topic: &str) -> TopicName {
    TopicName::new(topic).unwrap()
}

/// A cluster that broker 2 shows, where these brokers live, with these partitions of topic `t` and its minimum.
pub(in crate::commands::rollout) fn sample(live: &[i32], min_isr: usize, partitions: Vec<Partition>) -> Sample {
    let broker = |id: BrokerId| (id, Broker { id, host: "h".to_owned(), port: 1, rack: None });
    let partitions = (0..).zip(partitions).map(|(partition, one)| Partition { partition, ..one }).collect();
    let topic = Topic { name: name("t"), internal: false, id: None, partitions };
    let view = Metadata {
        brokers: ids(live).into_iter().map(broker).collect(),
        topics: [(topic.name.clone(), topic)].into(),
        ..Metadata::default()
    };
    Sample {
        at: Timestamp::UNIX_EPOCH,
        seen_by: BrokerId(2),
        view,
        minimums: [(name("t"), min_isr)].into(),
        moves: Vec::new(),
        eligible: Vec::new(),
        fenced: None,
        quorum: None,
    }
}
