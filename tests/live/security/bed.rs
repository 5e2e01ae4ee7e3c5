//! One broker of each kind, with a listener for every way to connect and for every way to be connected badly.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use kafka_toolbox::clients::kafka::Cluster as _;
use kafka_toolbox::clients::kafka::live::Live;
use kafka_toolbox::clients::kafka::settings::{Given, Settings};
use kafka_toolbox::cluster::metadata::TopicSelection;

use crate::live::kafka::{Cluster, Kind, Shape};
use crate::live::security::certificates::{Authority, BROKER_NAMES, Pair, self_signed};
use crate::live::security::stores::Stores;

/// The kinds that the matrix runs on.
pub(crate) const KINDS: [Kind; 3] = [Kind::Kafka43Kraft, Kind::Kafka39Kraft, Kind::Kafka39Zookeeper];

/// Passwords: long and strange enough that none is in any message by chance.
pub(crate) const PASSWORD: &str = "pl41n-S3cret/\\\"quoted\"";
pub(crate) const SCRAM_PASSWORD: &str = "scr4m-S3cret";

/// Certificates and stores, the same for all brokers.
pub(crate) struct Keys {
    pub(crate) authority: Authority,
    pub(crate) stranger: Authority,
    pub(crate) client: Pair,
    pub(crate) stores: Stores,
    good: Pair,
    expired: Pair,
    early: Pair,
    elsewhere: Pair,
    nameless: Pair,
    pub(crate) loner: Pair,
}

/// Certificates and stores, made once.
pub(crate) fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let (authority, stranger) = (Authority::new("bed-ca"), Authority::new("stranger-ca"));
        let client = authority.client("client1", 2100);
        let stores = Stores::new(&authority, &client);
        Keys {
            good: authority.broker(&BROKER_NAMES, 2020..2100),
            expired: authority.broker(&BROKER_NAMES, 2020..2024),
            early: authority.broker(&BROKER_NAMES, 2090..2100),
            elsewhere: authority.broker(&["kafka.example.com", "10.1.2.3"], 2020..2100),
            nameless: authority.broker(&[], 2020..2100),
            loner: self_signed(),
            authority,
            stranger,
            client,
            stores,
        }
    })
}

/// A broker.
pub(crate) struct Bed {
    cluster: Cluster,
}

/// The broker of this kind, started once.
pub(crate) fn bed(kind: Kind) -> &'static Bed {
    static BEDS: [OnceLock<Bed>; 3] = [const { OnceLock::new() }; 3];
    let position = KINDS.iter().position(|one| *one == kind).unwrap();
    BEDS[position].get_or_init(|| Bed { cluster: Cluster::start(kind, &shape()).unwrap() })
}

fn shape() -> Shape {
    let keys = keys();
    let module = |name: &str| format!("org.apache.kafka.common.security.{name} required");
    let password = PASSWORD.replace('\\', "\\\\").replace('"', "\\\"");
    let mut shape = Shape::default()
        .listener("SASL", "SASL_SSL")
        .listener("OPEN", "SASL_PLAINTEXT")
        .listener("MTLS", "SSL")
        .file("ca.pem", keys.authority.certificate.clone())
        .file("good.pem", keys.good.store())
        .property("ssl.keystore.type", "PEM")
        .property("ssl.keystore.location", "{files}/good.pem")
        .property("ssl.truststore.type", "PEM")
        .property("ssl.truststore.location", "{files}/ca.pem")
        .property("listener.name.mtls.ssl.client.auth", "required")
        .property("sasl.enabled.mechanisms", "SCRAM-SHA-512,SCRAM-SHA-256,PLAIN,OAUTHBEARER")
        .property("listener.name.open.sasl.enabled.mechanisms", "SCRAM-SHA-256")
        .user("SCRAM-SHA-256", "ada", SCRAM_PASSWORD)
        .user("SCRAM-SHA-512", "ada", SCRAM_PASSWORD);
    for listener in ["sasl", "open"] {
        let mut set = |mechanism: &str, jaas: String| {
            let key = format!("listener.name.{listener}.{mechanism}.sasl.jaas.config");
            shape = shape.clone().property(&key, &jaas);
        };
        set("scram-sha-256", format!("{};", module("scram.ScramLoginModule")));
        set("scram-sha-512", format!("{};", module("scram.ScramLoginModule")));
        set("plain", format!("{} user_bob=\"{password}\";", module("plain.PlainLoginModule")));
        let bearer = module("oauthbearer.OAuthBearerLoginModule");
        set("oauthbearer", format!("{bearer} unsecuredLoginStringClaim_sub=\"broker\";"));
    }
    let bad = [
        ("EXPIRED", &keys.expired),
        ("EARLY", &keys.early),
        ("ELSEWHERE", &keys.elsewhere),
        ("NAMELESS", &keys.nameless),
        ("LONER", &keys.loner),
    ];
    for (name, pair) in bad {
        let listener = name.to_lowercase();
        let file = format!("{listener}.pem");
        let key = format!("listener.name.{listener}.ssl.keystore.location");
        shape = shape.listener(name, "SSL").property(&key, &format!("{{files}}/{file}")).file(&file, pair.store());
    }
    shape
}

impl Bed {
    /// Lists brokers through a listener with these client properties; an error is what a person would read.
    pub(crate) fn ask(&self, listener: &str, properties: &str) -> Result<(), String> {
        self.ask_as(listener, "127.0.0.1", properties)
    }

    /// The same, by another name of this machine.
    pub(crate) fn ask_as(&self, listener: &str, host: &str, properties: &str) -> Result<(), String> {
        let [ports] = self.cluster.ports_of(listener)[..] else { panic!("one broker has one port") };
        let address = format!("{host}:{}", ports.real);
        let file = write(properties);
        let given =
            Given { bootstrap_server: Some(&address), timeout: Some(Duration::from_secs(15)), ..Given::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let settings = Settings::load(Some(&file), given).map_err(|error| error.to_string())?;
            let live = Live::new(settings).map_err(|error| error.to_string())?;
            let metadata = live.metadata(TopicSelection::None).await.map_err(|error| error.to_string())?;
            assert_eq!(metadata.cluster_id, self.cluster.id());
            Ok(())
        })
    }

    /// Where a listener listens.
    pub(crate) fn address(&self, listener: &str) -> String {
        let [ports] = self.cluster.ports_of(listener)[..] else { panic!("one broker has one port") };
        format!("127.0.0.1:{}", ports.real)
    }

    /// Version and mode, for messages of tests.
    pub(crate) fn name(&self) -> &'static str {
        self.cluster.kind().name()
    }
}

/// Properties in a file of their own, which stays until the run's end.
pub(crate) fn write(properties: &str) -> PathBuf {
    static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path = keys().stores.folder().join(format!("client-{number}.properties"));
    std::fs::write(&path, properties).unwrap();
    path
}

/// The value of `sasl.jaas.config` for a user, as a line of a properties file.
pub(crate) fn jaas(module: &str, user: &str, password: &str) -> String {
    let quoted = password.replace('\\', "\\\\").replace('"', "\\\"");
    // Backslashes are doubled once more: the properties take one away.
    let quoted = quoted.replace('\\', "\\\\");
    format!(
        "sasl.jaas.config=org.apache.kafka.common.security.{module} required \\\n  username=\"{user}\" \\\n  password=\"{quoted}\";\n"
    )
}

/// Properties for a mechanism with a password over TLS.
pub(crate) fn with_password(mechanism: &str, user: &str, password: &str) -> String {
    let module = if mechanism == "PLAIN" { "plain.PlainLoginModule" } else { "scram.ScramLoginModule" };
    format!("security.protocol=SASL_SSL\nsasl.mechanism={mechanism}\n{}", jaas(module, user, password))
}

/// Properties for a bearer token over TLS, with these options of the login module.
pub(crate) fn with_token(options: &str) -> String {
    let module = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule";
    format!("security.protocol=SASL_SSL\nsasl.mechanism=OAUTHBEARER\nsasl.jaas.config={module} required {options};\n")
}
