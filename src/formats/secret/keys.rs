//! Config keys by name: which values may be shown, and which never.

/// Words in a key's name that make its value a secret, whatever Kafka says of it.
const SECRET_WORDS: [&str; 10] =
    ["password", "passwd", "passphrase", "secret", "token", "credential", "jaas", "keytab", "private", "api.key"];

/// Keys of topics and brokers whose values are known to be harmless. Any other value is shown as a hash.
const SHOWN: &[&str] = &[
    // Topics.
    "cleanup.policy",
    "compression.gzip.level",
    "compression.lz4.level",
    "compression.type",
    "compression.zstd.level",
    "delete.retention.ms",
    "file.delete.delay.ms",
    "flush.messages",
    "flush.ms",
    "follower.replication.throttled.replicas",
    "index.interval.bytes",
    "leader.replication.throttled.replicas",
    "local.retention.bytes",
    "local.retention.ms",
    "max.compaction.lag.ms",
    "max.message.bytes",
    "message.downconversion.enable",
    "message.format.version",
    "message.timestamp.after.max.ms",
    "message.timestamp.before.max.ms",
    "message.timestamp.difference.max.ms",
    "message.timestamp.type",
    "min.cleanable.dirty.ratio",
    "min.compaction.lag.ms",
    "min.insync.replicas",
    "preallocate",
    "remote.log.copy.disable",
    "remote.log.delete.on.disable",
    "remote.storage.enable",
    "retention.bytes",
    "retention.ms",
    "segment.bytes",
    "segment.index.bytes",
    "segment.jitter.ms",
    "segment.ms",
    "unclean.leader.election.enable",
    // Brokers.
    "advertised.listeners",
    "auto.create.topics.enable",
    "auto.leader.rebalance.enable",
    "background.threads",
    "broker.id",
    "broker.rack",
    "connections.max.idle.ms",
    "controlled.shutdown.enable",
    "default.replication.factor",
    "delete.topic.enable",
    "fetch.max.bytes",
    "follower.replication.throttled.rate",
    "group.initial.rebalance.delay.ms",
    "group.max.session.timeout.ms",
    "group.min.session.timeout.ms",
    "inter.broker.listener.name",
    "inter.broker.protocol.version",
    "leader.imbalance.check.interval.seconds",
    "leader.imbalance.per.broker.percentage",
    "leader.replication.throttled.rate",
    "listener.security.protocol.map",
    "listeners",
    "log.cleaner.backoff.ms",
    "log.cleaner.dedupe.buffer.size",
    "log.cleaner.delete.retention.ms",
    "log.cleaner.io.buffer.load.factor",
    "log.cleaner.io.buffer.size",
    "log.cleaner.io.max.bytes.per.second",
    "log.cleaner.max.compaction.lag.ms",
    "log.cleaner.min.cleanable.ratio",
    "log.cleaner.min.compaction.lag.ms",
    "log.cleaner.threads",
    "log.cleanup.policy",
    "log.dirs",
    "log.flush.interval.messages",
    "log.flush.interval.ms",
    "log.index.interval.bytes",
    "log.index.size.max.bytes",
    "log.local.retention.bytes",
    "log.local.retention.ms",
    "log.message.downconversion.enable",
    "log.message.timestamp.after.max.ms",
    "log.message.timestamp.before.max.ms",
    "log.message.timestamp.difference.max.ms",
    "log.message.timestamp.type",
    "log.preallocate",
    "log.retention.bytes",
    "log.retention.check.interval.ms",
    "log.retention.hours",
    "log.retention.minutes",
    "log.retention.ms",
    "log.roll.hours",
    "log.roll.jitter.hours",
    "log.roll.jitter.ms",
    "log.roll.ms",
    "log.segment.bytes",
    "log.segment.delete.delay.ms",
    "max.connection.creation.rate",
    "max.connections",
    "max.connections.per.ip",
    "message.max.bytes",
    "min.insync.replicas",
    "node.id",
    "num.io.threads",
    "num.network.threads",
    "num.partitions",
    "num.recovery.threads.per.data.dir",
    "num.replica.alter.log.dirs.threads",
    "num.replica.fetchers",
    "offsets.retention.minutes",
    "offsets.topic.num.partitions",
    "offsets.topic.replication.factor",
    "process.roles",
    "producer.id.expiration.ms",
    "queued.max.requests",
    "replica.alter.log.dirs.io.max.bytes.per.second",
    "replica.fetch.max.bytes",
    "replica.lag.time.max.ms",
    "socket.request.max.bytes",
    "transaction.max.timeout.ms",
    "transaction.state.log.min.isr",
    "transaction.state.log.replication.factor",
    "zookeeper.session.timeout.ms",
    // Client quotas.
    "consumer_byte_rate",
    "controller_mutation_rate",
    "producer_byte_rate",
    "request_percentage",
];

/// Whether a config key holds a secret by its name.
pub fn is_secret_key(key: &str) -> bool {
    // Nearly all keys of a cluster are among those: they are asked about tens of thousands of times.
    !SHOWN.contains(&key) && names_a_secret(key)
}

/// Whether the words of a key name a secret.
fn names_a_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    let is_key_of_tls =
        key.strip_prefix("ssl.").is_some_and(|rest| rest == "key" || rest.strip_suffix(".key").is_some());
    // `apiKey`, `api_key` and `api-key` are spellings of one word.
    let flat: String = key.chars().filter(|c| !matches!(c, '_' | '-')).collect();
    is_key_of_tls
        || key == "sasl"
        || key.starts_with("sasl.")
        || flat.contains("apikey")
        || SECRET_WORDS.iter().any(|word| key.contains(word) || flat.contains(word))
}

/// Whether the value of a config key may be shown as it is.
///
/// Words without a dot (`partitions`) are this tool's own and not Kafka's keys: they are shown unless they name a
/// secret.
pub fn is_shown_key(key: &str) -> bool {
    !is_secret_key(key) && (SHOWN.contains(&key) || !key.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_that_is_known_to_be_harmless_names_a_secret() {
        let secret: Vec<_> = SHOWN.iter().filter(|key| names_a_secret(key)).collect();
        assert!(secret.is_empty(), "{secret:?}");
    }
}
