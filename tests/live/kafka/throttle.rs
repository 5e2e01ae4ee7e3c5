//! A throttle of replication, as kafka-configs sets it: a broker that comes back stays behind for as long as a test wants.

use super::cluster::Cluster;

/// Lets replicas of a topic that are behind copy so many bytes a second, or as many as they can.
pub(crate) fn set(cluster: &Cluster, topic: &str, rate: Option<u32>) -> anyhow::Result<()> {
    let bootstrap = cluster.bootstrap();
    let alter = |entity: &[&str], keys: &str| {
        let change = match rate {
            Some(_) => ["--add-config", keys],
            None => ["--delete-config", keys],
        };
        let line = [&["--bootstrap-server", &bootstrap, "--alter"], entity, &change].concat();
        cluster.tool("kafka.admin.ConfigCommand", &line).map(|_| ())
    };
    let (all, rate) = rate.map_or(("", String::new()), |rate| ("=*", format!("={rate}")));
    let brokers = ["--entity-type", "brokers", "--entity-default"];
    alter(&brokers, &format!("leader.replication.throttled.rate{rate},follower.replication.throttled.rate{rate}"))?;
    let topic = ["--entity-type", "topics", "--entity-name", topic];
    alter(&topic, &format!("leader.replication.throttled.replicas{all},follower.replication.throttled.replicas{all}"))
}
