//! Every key that a file of Kafka client properties may hold, and what this program makes of it.

use crate::formats::suggest::nearest;

/// What is made of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It is read.
    Read,
    /// It does not matter here; with the reason.
    Ignored(&'static str),
    /// Ignoring it would change security; with what is wrong and what would be right.
    Refused(&'static str, String),
    /// No key of Kafka, and near none.
    Unknown,
}

/// Keys that are read.
const READ: &[&str] = &[
    "bootstrap.servers",
    "client.id",
    "config.providers",
    "default.api.timeout.ms",
    "request.timeout.ms",
    "sasl.jaas.config",
    "sasl.login.callback.handler.class",
    "sasl.mechanism",
    "sasl.oauthbearer.client.credentials.client.id",
    "sasl.oauthbearer.client.credentials.client.secret",
    "sasl.oauthbearer.header.urlencode",
    "sasl.oauthbearer.jwt.retriever.class",
    "sasl.oauthbearer.jwt.validator.class",
    "sasl.oauthbearer.scope",
    "sasl.oauthbearer.token.endpoint.url",
    "security.protocol",
    "ssl.cipher.suites",
    "ssl.enabled.protocols",
    "ssl.endpoint.identification.algorithm",
    "ssl.key.password",
    "ssl.keymanager.algorithm",
    "ssl.keystore.certificate.chain",
    "ssl.keystore.key",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.keystore.type",
    "ssl.protocol",
    "ssl.trustmanager.algorithm",
    "ssl.truststore.certificates",
    "ssl.truststore.location",
    "ssl.truststore.password",
    "ssl.truststore.type",
];

/// Keys of Kafka's clients that do not matter to this program.
const OTHER_CLIENT: &[&str] = &[
    "acks",
    "allow.auto.create.topics",
    "auto.commit.interval.ms",
    "auto.include.jmx.reporter",
    "auto.offset.reset",
    "batch.size",
    "buffer.memory",
    "check.crcs",
    "client.dns.lookup",
    "client.rack",
    "compression.gzip.level",
    "compression.lz4.level",
    "compression.type",
    "compression.zstd.level",
    "connections.max.idle.ms",
    "delivery.timeout.ms",
    "enable.auto.commit",
    "enable.idempotence",
    "enable.metrics.push",
    "exclude.internal.topics",
    "fetch.max.bytes",
    "fetch.max.wait.ms",
    "fetch.min.bytes",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "group.remote.assignor",
    "heartbeat.interval.ms",
    "interceptor.classes",
    "internal.leave.group.on.close",
    "internal.throw.on.fetch.stable.offset.unsupported",
    "isolation.level",
    "key.deserializer",
    "key.serializer",
    "linger.ms",
    "max.block.ms",
    "max.in.flight.requests.per.connection",
    "max.partition.fetch.bytes",
    "max.poll.interval.ms",
    "max.poll.records",
    "max.request.size",
    "metadata.max.age.ms",
    "metadata.max.idle.ms",
    "metadata.recovery.rebootstrap.trigger.ms",
    "metadata.recovery.strategy",
    "metric.reporters",
    "metrics.num.samples",
    "metrics.recording.level",
    "metrics.sample.window.ms",
    "partition.assignment.strategy",
    "partitioner.adaptive.partitioning.enable",
    "partitioner.availability.timeout.ms",
    "partitioner.class",
    "partitioner.ignore.keys",
    "receive.buffer.bytes",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "retries",
    "retry.backoff.max.ms",
    "retry.backoff.ms",
    "send.buffer.bytes",
    "session.timeout.ms",
    "share.acknowledgement.mode",
    "share.acquire.mode",
    "socket.connection.setup.timeout.max.ms",
    "socket.connection.setup.timeout.ms",
    "transaction.timeout.ms",
    "transaction.two.phase.commit.enable",
    "transactional.id",
    "value.deserializer",
    "value.serializer",
];

/// Security keys that only tune Java's login thread, or checks that the broker makes anyway.
const TUNING: &[&str] = &[
    "sasl.login.connect.timeout.ms",
    "sasl.login.read.timeout.ms",
    "sasl.login.refresh.buffer.seconds",
    "sasl.login.refresh.min.period.seconds",
    "sasl.login.refresh.window.factor",
    "sasl.login.refresh.window.jitter",
    "sasl.login.retry.backoff.max.ms",
    "sasl.login.retry.backoff.ms",
    "sasl.oauthbearer.clock.skew.seconds",
    "sasl.oauthbearer.expected.audience",
    "sasl.oauthbearer.expected.issuer",
    "sasl.oauthbearer.jwks.endpoint.refresh.ms",
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms",
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms",
    "sasl.oauthbearer.jwks.endpoint.url",
    "sasl.oauthbearer.scope.claim.name",
    "sasl.oauthbearer.sub.claim.name",
    "ssl.secure.random.implementation",
];

/// Keys of brokers that no client reads, though they look like security.
const BROKER: &[&str] = &[
    "sasl.enabled.mechanisms",
    "sasl.kerberos.principal.to.local.rules",
    "sasl.mechanism.controller.protocol",
    "sasl.mechanism.inter.broker.protocol",
    "sasl.server.callback.handler.class",
    "sasl.server.max.receive.size",
    "security.inter.broker.protocol",
    "ssl.allow.dn.changes",
    "ssl.allow.san.changes",
    "ssl.client.auth",
    "ssl.principal.mapping.rules",
];

/// Keys that would change security and are not supported: key, what is wrong, what would be right.
const UNSUPPORTED: &[(&str, &str, &str)] = &[
    ("bootstrap.controllers", "controllers are not named here", "give --bootstrap-controller where a command takes it"),
    ("sasl.client.callback.handler.class", "Java classes can't be loaded", MECHANISMS),
    ("sasl.login.class", "Java classes can't be loaded", MECHANISMS),
    ("security.providers", "Java classes can't be loaded", "remove it: TLS is built in"),
    ("ssl.engine.factory.class", "Java classes can't be loaded", "remove it: TLS is built in"),
    ("ssl.provider", "Java's providers can't be loaded", "remove it: TLS is built in"),
    // librdkafka's names, which people mix in.
    ("enable.ssl.certificate.verification", LIBRDKAFKA, "certificates are always checked"),
    ("metadata.broker.list", LIBRDKAFKA, "Java's is bootstrap.servers"),
    ("sasl.mechanisms", LIBRDKAFKA, "Java's is sasl.mechanism"),
    ("sasl.oauthbearer.config", LIBRDKAFKA, "Java's is sasl.jaas.config"),
    ("sasl.oauthbearer.method", LIBRDKAFKA, "Java's is sasl.oauthbearer.token.endpoint.url"),
    ("sasl.password", LIBRDKAFKA, JAAS),
    ("sasl.username", LIBRDKAFKA, JAAS),
    ("ssl.ca.location", LIBRDKAFKA, "Java's are ssl.truststore.type=PEM and ssl.truststore.location"),
    ("ssl.ca.pem", LIBRDKAFKA, "Java's are ssl.truststore.type=PEM and ssl.truststore.certificates"),
    ("ssl.certificate.location", LIBRDKAFKA, "Java's are ssl.keystore.type=PEM and ssl.keystore.location"),
    ("ssl.certificate.pem", LIBRDKAFKA, "Java's is ssl.keystore.certificate.chain"),
    ("ssl.crl.location", LIBRDKAFKA, "revocation lists are not supported"),
    ("ssl.curves.list", LIBRDKAFKA, "Java has no such key: remove it"),
    ("ssl.key.location", LIBRDKAFKA, "Java's are ssl.keystore.type=PEM and ssl.keystore.location"),
    ("ssl.key.pem", LIBRDKAFKA, "Java's is ssl.keystore.key"),
    ("ssl.sigalgs.list", LIBRDKAFKA, "Java has no such key: remove it"),
];

const LIBRDKAFKA: &str = "this is librdkafka's name, not one of Java's client properties";
const JAAS: &str = "Java's is sasl.jaas.config, with username=\"…\" and password=\"…\"";
/// What can be used in place of something that can't.
pub(super) const MECHANISMS: &str = "supported are PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 and OAUTHBEARER";

/// Beginnings of keys that Kafka hands to something else.
const PREFIXES_OF_OTHERS: &[&str] =
    &["admin.", "consumer.", "main.consumer.", "producer.", "restore.consumer.", "global.consumer.", "topic."];

/// Whether the value of a property, or of an option in `sasl.jaas.config`, is a secret.
pub(super) fn holds_secret(key: &str) -> bool {
    const WORDS: [&str; 7] = ["password", "passwd", "passphrase", "secret", "jaas", "private", "access.token"];
    let key = key.to_lowercase();
    // `user_NAME="PASSWORD"` is a broker's option.
    WORDS.iter().any(|word| key.contains(word))
        || key.starts_with("user_")
        || ["ssl.keystore.key", "ssl.key.pem"].contains(&key.as_str())
}

/// What this program makes of a key.
pub(super) fn meaning(key: &str) -> Meaning {
    if READ.contains(&key) || key.starts_with("config.providers.") {
        return Meaning::Read;
    }
    if OTHER_CLIENT.contains(&key) {
        return Meaning::Ignored("it does not matter to this program");
    }
    if TUNING.contains(&key) {
        return Meaning::Ignored("Java's login thread reads it; here it changes nothing");
    }
    if BROKER.contains(&key) || key.starts_with("listener.name.") {
        return Meaning::Ignored("it is a broker's key, which no client reads");
    }
    if let Some((_, what, hint)) = UNSUPPORTED.iter().find(|(name, ..)| *name == key) {
        return Meaning::Refused(what, (*hint).to_owned());
    }
    if key.starts_with("sasl.kerberos.") {
        return Meaning::Refused("Kerberos (GSSAPI) is not supported", MECHANISMS.to_owned());
    }
    if key.starts_with("sasl.oauthbearer.assertion.") {
        return Meaning::Refused(
            "signed assertions are not supported",
            "use a client id and secret, or a file with a token".to_owned(),
        );
    }
    if PREFIXES_OF_OTHERS.iter().any(|prefix| key.starts_with(prefix)) {
        return Meaning::Ignored("its prefix addresses another program");
    }
    misspelt(key)
}

/// A key that is in no list.
fn misspelt(key: &str) -> Meaning {
    let known = READ.iter().chain(TUNING).chain(BROKER).copied();
    match nearest(key, known) {
        Some(near) => Meaning::Refused("no such key", format!("did you mean `{near}`?")),
        None if ["sasl.", "ssl.", "security."].iter().any(|prefix| key.starts_with(prefix)) => Meaning::Refused(
            "no such key of Kafka's clients; left out, it might change the connection's security",
            "remove it, or correct it".to_owned(),
        ),
        None if nearest(key, OTHER_CLIENT.iter().copied()).is_some() => {
            Meaning::Ignored("it is no key of Kafka's clients, only near one that does not matter here")
        }
        None => Meaning::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(key: &str) -> String {
        match meaning(key) {
            Meaning::Refused(what, hint) => format!("{what}: {hint}"),
            other => panic!("{key}: {other:?}"),
        }
    }

    #[test]
    fn a_misspelt_security_key_is_refused_with_the_right_one() {
        assert_eq!(hint("sasl.mechansim"), "no such key: did you mean `sasl.mechanism`?");
        assert_eq!(hint("SASL.MECHANISM"), "no such key: did you mean `sasl.mechanism`?");
        assert_eq!(hint("ssl.trustore.location"), "no such key: did you mean `ssl.truststore.location`?");
        assert_eq!(hint("security.protocl"), "no such key: did you mean `security.protocol`?");
        assert_eq!(hint("bootstrap.server"), "no such key: did you mean `bootstrap.servers`?");
    }

    #[test]
    fn what_would_change_security_is_refused_and_the_rest_is_not() {
        for key in ["sasl.login.class", "ssl.engine.factory.class", "sasl.kerberos.service.name", "ssl.no.such.thing"] {
            assert!(matches!(meaning(key), Meaning::Refused(..)), "{key}");
        }
        for key in ["acks", "key.deserializer", "ssl.client.auth", "producer.acks", "sasl.login.retry.backoff.ms"] {
            assert!(matches!(meaning(key), Meaning::Ignored(_)), "{key}");
        }
        assert_eq!(meaning("schema.registry.url"), Meaning::Unknown);
        assert_eq!(meaning("ssl.truststore.type"), Meaning::Read);
    }

    #[test]
    fn no_key_is_in_two_lists() {
        let mut all: Vec<_> = [READ, OTHER_CLIENT, TUNING, BROKER].concat();
        all.extend(UNSUPPORTED.iter().map(|(key, ..)| *key));
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
