//! Moves that are running now. The controller is asked: other brokers of ZooKeeper mode do not know.

use std::collections::BTreeMap;

use kafka_protocol::messages::ListPartitionReassignmentsRequest;
use kafka_protocol::messages::ListPartitionReassignmentsResponse;

use crate::clients::kafka::KafkaError;
use crate::clients::kafka::codes;
use crate::clients::kafka::live::cluster::Cluster;
use crate::clients::kafka::live::cluster::Target;
use crate::clients::kafka::live::patience::Patience;
use crate::clients::kafka::live::topics::brokers_of;
use crate::cluster::metadata::Reassignment;
use crate::cluster::topic::TopicName;
use crate::cluster::topic::TopicPartition;

/// All running moves.
pub(super) async fn list(cluster: &Cluster) -> Result<BTreeMap<TopicPartition, Reassignment>, KafkaError> {
    let deadline = cluster.deadline();
    let mut patience = Patience::until(deadline);
    let timeout_ms = i32::try_from(cluster.timeout().as_millis()).unwrap_or(i32::MAX);
    let make = |_| ListPartitionReassignmentsRequest::default().with_topics(None).with_timeout_ms(timeout_ms);
    loop {
        let (answer, _) = cluster.read(Target::Controller, make, deadline).await?;
        match answer.error_code {
            0 => return Ok(moves_of(&answer)),
            code @ (codes::NOT_CONTROLLER | codes::REQUEST_TIMED_OUT) => {
                if !patience.pause().await {
                    return Err(KafkaError::broker(code, answer.error_message.as_deref()));
                }
                cluster.refresh(deadline).await?;
            }
            code => return Err(KafkaError::broker(code, answer.error_message.as_deref())),
        }
    }
}

fn moves_of(answer: &ListPartitionReassignmentsResponse) -> BTreeMap<TopicPartition, Reassignment> {
    let moves = answer.topics.iter().filter_map(|topic| Some((TopicName::new(topic.name.as_str()).ok()?, topic)));
    let moves = moves.flat_map(|(name, topic)| {
        topic.partitions.iter().map(move |partition| {
            let key = TopicPartition { topic: name.clone(), partition: partition.partition_index };
            let reassignment = Reassignment {
                replicas: brokers_of(&partition.replicas),
                adding: brokers_of(&partition.adding_replicas),
                removing: brokers_of(&partition.removing_replicas),
            };
            (key, reassignment)
        })
    });
    moves.collect()
}
