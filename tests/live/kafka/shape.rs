//! Which cluster to start: the versions that are tested, and what a test may ask for beside them.

use super::jars::Package;
use super::relay::Relay;

/// Versions and modes that this program is tested against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Kafka 2.4.1 with ZooKeeper 3.9.5: the oldest that is promised.
    Kafka24Zookeeper,
    /// Kafka 2.8.2 with ZooKeeper 3.9.5.
    Kafka28Zookeeper,
    /// Kafka 3.9.2 with ZooKeeper 3.9.5: the last line that has ZooKeeper.
    Kafka39Zookeeper,
    /// Kafka 3.9.2 in KRaft mode.
    Kafka39Kraft,
    /// Kafka 4.3.1, which has KRaft only.
    Kafka43Kraft,
}

impl Kind {
    /// Every kind.
    pub(crate) const ALL: [Self; 5] = [
        Self::Kafka24Zookeeper,
        Self::Kafka28Zookeeper,
        Self::Kafka39Zookeeper,
        Self::Kafka39Kraft,
        Self::Kafka43Kraft,
    ];

    /// Its name on a command line and in `toolbox.yaml`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kafka24Zookeeper => "kafka-2.4-zookeeper",
            Self::Kafka28Zookeeper => "kafka-2.8-zookeeper",
            Self::Kafka39Zookeeper => "kafka-3.9-zookeeper",
            Self::Kafka39Kraft => "kafka-3.9-kraft",
            Self::Kafka43Kraft => "kafka-4.3-kraft",
        }
    }

    /// Whether its brokers keep their metadata in ZooKeeper.
    pub(crate) fn has_zookeeper(self) -> bool {
        !matches!(self, Self::Kafka39Kraft | Self::Kafka43Kraft)
    }

    pub(super) fn package(self) -> Package {
        match self {
            Self::Kafka24Zookeeper => Package::Kafka24,
            Self::Kafka28Zookeeper => Package::Kafka28,
            Self::Kafka39Zookeeper | Self::Kafka39Kraft => Package::Kafka39,
            Self::Kafka43Kraft => Package::Kafka43,
        }
    }
}

/// What a test wants beside the version. `Shape::default()` is one broker; `Shape::racks(&["a", "b", "c"])` is three.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    /// Broker ids, in order.
    pub(crate) ids: Vec<i32>,
    /// Racks of the brokers, taken in turn; none: brokers have no rack.
    pub(crate) racks: Vec<String>,
    /// Listeners beside `PLAINTEXT`, over which brokers talk to each other and the harness to them.
    pub(crate) listeners: Vec<Listener>,
    /// Put into each broker's `server.properties`; replaces the harness's own value of the same key. `{files}` in a
    /// value becomes the folder of `files`, `{id}` the broker's id.
    pub(crate) properties: Vec<(String, String)>,
    /// Key material and the like: name and content, written before the brokers start.
    pub(crate) files: Vec<(String, Vec<u8>)>,
    /// SCRAM credentials, made through the `PLAINTEXT` listener once the brokers run.
    pub(crate) users: Vec<User>,
    /// Memory of each broker, in MB. 6,000 replicas a broker want 1,024.
    pub(crate) heap: u32,
    /// ZooKeeper servers (an odd number), where the kind has them.
    pub(crate) zookeepers: u16,
    /// What stands between each broker and ZooKeeper.
    pub(crate) relay: Option<Relay>,
    /// Rules of the JMX exporter that runs in each broker; without them, none runs.
    pub(crate) exporter: Option<String>,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            ids: vec![1],
            racks: Vec::new(),
            listeners: Vec::new(),
            properties: Vec::new(),
            files: Vec::new(),
            users: Vec::new(),
            heap: 256,
            zookeepers: 1,
            relay: None,
            exporter: None,
        }
    }
}

impl Shape {
    /// So many brokers, with ids 1, 2, 3, …
    pub(crate) fn brokers(count: i32) -> Self {
        Self { ids: (1..=count).collect(), ..Self::default() }
    }

    /// One broker in each of these racks, with ids 1, 2, 3, …
    pub(crate) fn racks(racks: &[&str]) -> Self {
        let ids = (1..).take(racks.len()).collect();
        Self { ids, racks: racks.iter().map(|&rack| rack.to_owned()).collect(), ..Self::default() }
    }

    /// The same, with Prometheus' JMX exporter in each broker: [`Cluster::exporters`] are its ports.
    ///
    /// [`Cluster::exporters`]: super::Cluster::exporters
    pub(crate) fn exporting(self, rules: &str) -> Self {
        Self { exporter: Some(rules.to_owned()), ..self }
    }

    /// The same, with a broker property.
    pub(crate) fn property(mut self, key: &str, value: &str) -> Self {
        self.properties.push((key.to_owned(), value.to_owned()));
        self
    }

    /// The same, with a file for the brokers: `{files}/NAME` in a property names it.
    pub(crate) fn file(mut self, name: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.push((name.to_owned(), content.into()));
        self
    }

    /// The same, with one more listener.
    pub(crate) fn listener(mut self, name: &str, protocol: &str) -> Self {
        self.listeners.push(Listener { name: name.to_owned(), protocol: protocol.to_owned(), proxied: false });
        self
    }

    /// The same, with one more plaintext listener that advertises other ports than it listens on: what stands between
    /// the two can count, delay or cut.
    pub(crate) fn proxied(mut self, name: &str) -> Self {
        self.listeners.push(Listener { name: name.to_owned(), protocol: "PLAINTEXT".to_owned(), proxied: true });
        self
    }

    /// The same, with one more SCRAM user; the mechanism is `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    pub(crate) fn user(mut self, mechanism: &str, name: &str, password: &str) -> Self {
        self.users.push(User { mechanism: mechanism.to_owned(), name: name.to_owned(), password: password.to_owned() });
        self
    }
}

/// A listener beside `PLAINTEXT`.
#[derive(Debug, Clone)]
pub(crate) struct Listener {
    /// Its name, in capitals.
    pub(crate) name: String,
    /// `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`.
    pub(crate) protocol: String,
    /// Whether it advertises another port than its own.
    pub(crate) proxied: bool,
}

/// A SCRAM user.
#[derive(Debug, Clone)]
pub(crate) struct User {
    /// `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    pub(crate) mechanism: String,
    /// The user's name.
    pub(crate) name: String,
    /// The password.
    pub(crate) password: String,
}
