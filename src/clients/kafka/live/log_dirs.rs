//! What replicas hold on disk: DescribeLogDirs, asked of all brokers at once.

use futures_util::future::join_all;

use crate::clients::kafka::KafkaError;
use crate::clients::kafka::ReplicaSizes;
use crate::clients::kafka::live::cluster::Cluster;
use crate::clients::kafka::live::cluster::Target;
use crate::clients::kafka::live::schemas::DescribeLogDirsRequest;
use crate::clients::kafka::live::schemas::DescribeLogDirsResponse;
use crate::cluster::broker::BrokerId;
use crate::cluster::metadata::LogDir;
use crate::cluster::metadata::ReplicaSize;
use crate::cluster::topic::TopicName;
use crate::cluster::topic::TopicPartition;

/// Sizes on these brokers; brokers that can't be asked are named apart.
pub(super) async fn replica_sizes(cluster: &Cluster, brokers: &[BrokerId]) -> Result<ReplicaSizes, KafkaError> {
    let deadline = cluster.deadline();
    // Once, so that they do not all ask.
    cluster.know_brokers(deadline).await?;
    let make = |_| DescribeLogDirsRequest;
    let asked = brokers
        .iter()
        .map(|broker| async move { (*broker, cluster.read(Target::Broker(*broker), make, deadline).await) });
    let mut sizes = ReplicaSizes::default();
    for (broker, answer) in join_all(asked).await {
        match answer {
            Ok((answer, _)) => add(&mut sizes, broker, &answer),
            // What no broker of this cluster offers is not the lack of one of them: there are no sizes at all.
            Err(error @ (KafkaError::Security { .. } | KafkaError::Unsupported { .. })) => return Err(error),
            Err(error) => {
                sizes.missing.insert(broker, error.to_string());
            }
        }
    }
    Ok(sizes)
}

fn add(sizes: &mut ReplicaSizes, broker: BrokerId, answer: &DescribeLogDirsResponse) {
    let mut faults = Vec::new();
    if answer.error_code != 0 {
        faults.push(KafkaError::broker(answer.error_code, None).to_string());
    }
    for (log_dir, dir) in answer.results.iter().enumerate() {
        let fault = (dir.error_code != 0).then(|| KafkaError::broker(dir.error_code, None).to_string());
        if let Some(fault) = &fault {
            faults.push(format!("log dir {}: {fault}", dir.log_dir.as_str()));
        }
        // -1 where the version of the answer has no such field (before Kafka 3.3).
        let bytes = |count: i64| u64::try_from(count).ok();
        let held: usize = dir.topics.iter().map(|topic| topic.partitions.len()).sum();
        sizes.log_dirs.entry(broker).or_default().push(LogDir {
            path: dir.log_dir.as_str().to_owned(),
            total_bytes: bytes(dir.total_bytes),
            usable_bytes: bytes(dir.usable_bytes),
            fault,
            partitions: Some(u32::try_from(held).unwrap_or(u32::MAX)),
            is_cordoned: dir.is_cordoned,
        });
        for topic in &dir.topics {
            let Ok(name) = TopicName::new(topic.name.as_str()) else { continue };
            for partition in &topic.partitions {
                let key = TopicPartition { topic: name.clone(), partition: partition.partition_index };
                sizes.sizes.entry(key).or_default().push(ReplicaSize {
                    broker,
                    bytes: u64::try_from(partition.partition_size).unwrap_or(0),
                    offset_lag: partition.offset_lag,
                    log_dir,
                    is_future: partition.is_future_key,
                });
            }
        }
    }
    // With one log dir offline, what the others hold is known all the same.
    if !faults.is_empty() && (answer.error_code != 0 || faults.len() >= answer.results.len()) {
        sizes.missing.insert(broker, faults.join("; "));
    }
}
