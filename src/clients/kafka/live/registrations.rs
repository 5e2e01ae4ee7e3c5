//! What only KRaft tells: brokers that are registered and fenced, and how far each broker has applied the metadata log.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicI16;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use kafka_protocol::messages::DescribeClusterRequest;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::timeout_at;

use crate::clients::kafka::KafkaError;
use crate::clients::kafka::codes;
use crate::clients::kafka::live::cluster::Cluster;
use crate::clients::kafka::live::cluster::Target;
use crate::clients::kafka::live::quorum;
use crate::clients::kafka::live::schemas::NamedApiVersionsRequest;
use crate::cluster::broker::BrokerId;

/// How long ZooKeeper's watches may take to tell a broker of a config.
const WATCHES: Duration = Duration::from_millis(500);

/// An idle controller appends a record each half second (`metadata.max.idle.interval.ms`): after this long without one, no
/// image follows, and none is under way.
const NEXT_IMAGE: Duration = Duration::from_millis(1_500);

/// The longest wait for the last brokers to show what was committed: one that hangs must not keep the others waiting for
/// longer. The first one is waited for until the deadline of the connection.
const CATCH_UP_MAX: Duration = Duration::from_secs(5);

/// Pause between two questions how far a broker is.
const PAUSE: Duration = Duration::from_millis(50);

/// The version of DescribeCluster from which on brokers tell who is fenced.
const FENCED_SINCE: i16 = 2;

/// The bit of the operation DESCRIBE among those that we may do (Kafka's `AclOperation`).
const DESCRIBE: i32 = 1 << 8;

/// Brokers that are registered and fenced; none where brokers do not tell (before Kafka 4.0).
pub(super) async fn fenced(cluster: &Cluster) -> Result<Option<BTreeSet<BrokerId>>, KafkaError> {
    let spoken = AtomicI16::new(0);
    let make = |version| {
        spoken.store(version, Ordering::Relaxed);
        DescribeClusterRequest::default().with_include_fenced_brokers(version >= FENCED_SINCE)
    };
    let deadline = cluster.deadline();
    match cluster.read(Target::Any(None), make, deadline).await {
        Ok((answer, _)) if answer.error_code == 0 => {
            if spoken.load(Ordering::Relaxed) < FENCED_SINCE {
                return Ok(None);
            }
            let fenced = answer.brokers.iter().filter(|broker| broker.is_fenced);
            Ok(Some(fenced.map(|broker| BrokerId(broker.broker_id.0)).collect()))
        }
        Ok((answer, _)) => Err(KafkaError::broker(answer.error_code, answer.error_message.as_deref())),
        Err(KafkaError::Unsupported { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a list of groups has all of them: without the right to describe the cluster, brokers leave those out that we may
/// not describe. None where brokers do not tell (before Kafka 2.8).
pub(super) async fn sees_all_groups(cluster: &Cluster) -> Result<Option<bool>, KafkaError> {
    let make = |_| DescribeClusterRequest::default().with_include_cluster_authorized_operations(true);
    match cluster.read(Target::Any(None), make, cluster.deadline()).await {
        Ok((answer, _)) if answer.error_code == 0 => Ok(Some(answer.cluster_authorized_operations & DESCRIBE != 0)),
        Ok((answer, _)) if answer.error_code == codes::CLUSTER_AUTHORIZATION_FAILED => Ok(Some(false)),
        Ok((answer, _)) => Err(KafkaError::broker(answer.error_code, answer.error_message.as_deref())),
        Err(KafkaError::Unsupported { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Waits until the live brokers show what was committed before this call: topic configs on all, their own configs on those
/// that are named. Brokers that did not get there before the deadline are in the answer.
///
/// In KRaft, `FinalizedFeaturesEpoch` (ApiVersions) is the offset of the image that a broker has, and topic configs are read
/// from that. A broker's own config is applied right after its image was replaced: the next image tells that it is done.
pub(super) async fn catch_up(
    cluster: &Cluster,
    own_configs: &BTreeSet<BrokerId>,
) -> Result<BTreeSet<BrokerId>, KafkaError> {
    let (deadline, began) = (cluster.deadline(), Instant::now());
    let first_deadline = deadline.min(began + CATCH_UP_MAX);
    if !cluster.passes_on(first_deadline).await? {
        sleep(WATCHES).await;
        return Ok(BTreeSet::new());
    }
    let Some(committed) = committed(cluster, first_deadline).await? else { return Ok(BTreeSet::new()) };
    let live = cluster.know_brokers(first_deadline).await?;
    let waits = live.iter().map(|broker| async move {
        let is_own = own_configs.contains(broker);
        (*broker, has_applied(cluster, *broker, (committed, is_own), deadline).await)
    });
    let answers = until_some(waits, first_deadline, deadline).await;
    let mut behind: BTreeSet<_> = live.iter().copied().collect();
    for (broker, applied) in answers {
        match applied {
            Ok(()) => {
                behind.remove(&broker);
            }
            Err(error @ KafkaError::Security { .. }) => return Err(error),
            Err(error) => tracing::debug!(%broker, %error, "the broker is behind"),
        }
    }
    for broker in &behind {
        let waited = format!("{:.1} s", began.elapsed().as_secs_f64());
        tracing::warn!(%broker, %waited, "the broker does not show what was committed before: it is behind the controller");
        // Others are asked first for a while: what it says is old.
        if let Some(address) = cluster.address_of(*broker) {
            cluster.let_rest(&address);
        }
    }
    Ok(behind)
}

/// What the waits answered: all of them until the first deadline; after that only the first success is waited for, until
/// the last deadline.
async fn until_some<F>(waits: impl Iterator<Item = F>, first_deadline: Instant, last: Instant) -> Vec<F::Output>
where
    F: Future<Output = (BrokerId, Result<(), KafkaError>)>,
{
    let mut open: FuturesUnordered<F> = waits.collect();
    let (mut answers, mut has_success) = (Vec::new(), false);
    while let Ok(Some(answer)) = timeout_at(if has_success { first_deadline } else { last }, open.next()).await {
        has_success |= answer.1.is_ok();
        answers.push(answer);
    }
    answers
}

/// The offset after the last committed record of the metadata log; none where it is not told: before Kafka 3.3, or without
/// the right to describe the cluster.
async fn committed(cluster: &Cluster, deadline: Instant) -> Result<Option<i64>, KafkaError> {
    match quorum::ask(cluster, deadline).await {
        Ok((partition, _)) => Ok(Some(partition.high_watermark)),
        Err(KafkaError::Unsupported { .. }) => Ok(None),
        Err(error) if error.code() == Some(codes::CLUSTER_AUTHORIZATION_FAILED) => {
            tracing::warn!("no right to describe the cluster: whether brokers show the latest configs is not known");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Waits until a broker has applied all records before an offset, and where its own config is to be read, the image after.
async fn has_applied(
    cluster: &Cluster,
    broker: BrokerId,
    (committed, is_own): (i64, bool),
    deadline: Instant,
) -> Result<(), KafkaError> {
    let mut reached: Option<(i64, Instant)> = None;
    loop {
        let make = |_| NamedApiVersionsRequest::ours(None);
        let (answer, _) = cluster.read(Target::Broker(broker), make, deadline).await?;
        let offset = answer.finalized_features_epoch;
        match reached {
            None if offset + 1 >= committed && !is_own => return Ok(()),
            None if offset + 1 >= committed => reached = Some((offset, Instant::now())),
            Some((first, since)) if offset > first || since.elapsed() >= NEXT_IMAGE => return Ok(()),
            None | Some(_) => {}
        }
        if Instant::now() + PAUSE >= deadline {
            let what = format!("broker {broker} at offset {offset} of the metadata log, short of {committed},");
            return Err(KafkaError::TimedOut { what, after: cluster.timeout() });
        }
        sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which brokers answered, and after how many seconds all was over, where brokers 1, 2, … need so many seconds each.
    async fn waited(seconds: &[u64]) -> (Vec<i32>, u64) {
        let began = Instant::now();
        let waits = (1..).zip(seconds).map(|(id, seconds)| async move {
            sleep(Duration::from_secs(*seconds)).await;
            (BrokerId(id), Ok(()))
        });
        let limits = (began + Duration::from_secs(5), began + Duration::from_secs(30));
        let answers = until_some(waits, limits.0, limits.1).await;
        (answers.iter().map(|(broker, _)| broker.0).collect(), began.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_brokers_are_waited_for_shortly_and_the_first_one_until_the_deadline() {
        assert_eq!(waited(&[1, 3, 2]).await, (vec![1, 3, 2], 3), "all are in time");
        assert_eq!(waited(&[1, 90, 2]).await, (vec![1, 3], 5), "one hangs");
        assert_eq!(waited(&[90, 12, 13]).await, (vec![2], 12), "all are slow");
        assert_eq!(waited(&[90, 91]).await, (vec![], 30), "all hang");
        assert_eq!(waited(&[]).await, (vec![], 0));
    }
}
