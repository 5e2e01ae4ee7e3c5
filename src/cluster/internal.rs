//! Topics that a system keeps for itself: whoever changes them from outside may stop that system.

use std::fmt;

use crate::cluster::topic::TopicName;

/// Who keeps a topic for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeper {
    /// The brokers: offsets of groups, transactions, share groups, remote segments; and every name that starts with `__`.
    Kafka,
    /// Strimzi's operator or its Cruise Control.
    Strimzi,
    /// Kafka Connect or MirrorMaker 2.
    Connect,
}

impl fmt::Display for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kafka => "Kafka",
            Self::Strimzi => "Strimzi",
            Self::Connect => "Kafka Connect",
        })
    }
}

/// Names of Strimzi's own topics that do not start with `__`.
const STRIMZI: &[&str] = &[
    "strimzi.cruisecontrol.metrics",
    "strimzi.cruisecontrol.modeltrainingsamples",
    "strimzi.cruisecontrol.partitionmetricsamples",
];

/// Strimzi's topics whose names start with `__`, as Kafka's do.
const STRIMZI_HIDDEN: &[&str] =
    &["__strimzi_canary", "__strimzi_store_topic", "__strimzi-topic-operator-kstreams-topic-store-changelog"];

/// Connect's topics as its examples and Strimzi name them; a cluster may name them otherwise.
const CONNECT: &[&str] = &[
    "connect-cluster-configs",
    "connect-cluster-offsets",
    "connect-cluster-status",
    "connect-configs",
    "connect-offsets",
    "connect-status",
    "mirrormaker2-cluster-configs",
    "mirrormaker2-cluster-offsets",
    "mirrormaker2-cluster-status",
];

/// How names of MirrorMaker 2's own topics start; they end in `.internal`.
const MIRROR_MAKER: &[&str] = &["mm2-configs.", "mm2-offset-syncs.", "mm2-offsets.", "mm2-status."];

/// Who keeps a topic of this name for itself; none for an ordinary topic.
pub fn keeper(name: &TopicName) -> Option<Keeper> {
    let name = name.as_str();
    let is_mirror_maker = || {
        name.ends_with(".checkpoints.internal")
            || (name.ends_with(".internal") && MIRROR_MAKER.iter().any(|start| name.starts_with(start)))
    };
    match name {
        _ if STRIMZI.contains(&name) || STRIMZI_HIDDEN.contains(&name) => Some(Keeper::Strimzi),
        _ if name.starts_with("__") => Some(Keeper::Kafka),
        _ if CONNECT.contains(&name) || is_mirror_maker() => Some(Keeper::Connect),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_of_kafka_strimzi_and_connect_are_known_by_name() {
        let of = |name: &str| keeper(&TopicName::new(name).unwrap());
        for name in [
            "__consumer_offsets",
            "__transaction_state",
            "__share_group_state",
            "__remote_log_metadata",
            "__cluster_metadata",
        ] {
            assert_eq!(of(name), Some(Keeper::Kafka), "{name}");
        }
        assert_eq!(of("__strimzi_store_topic"), Some(Keeper::Strimzi));
        assert_eq!(of("strimzi.cruisecontrol.metrics"), Some(Keeper::Strimzi));
        assert_eq!(of("connect-cluster-offsets"), Some(Keeper::Connect));
        assert_eq!(of("mm2-offset-syncs.west.internal"), Some(Keeper::Connect));
        for name in ["orders", "_schemas", "connect-orders", "orders.internal"] {
            assert_eq!(of(name), None, "{name}");
        }
    }
}
