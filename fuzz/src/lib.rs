//! The pure floors of the tool, compiled from their places: what reads texts that people write, and bytes that peers send; and
//! what each fuzz target does with one input ([`targets`]).
//!
//! It is compiled twice: by `make fuzz`, and as an example of the tool's own package, without libFuzzer and nightly Rust, so
//! that `make check` notices when it does not compile any more.
#![allow(
    dead_code,
    unused_imports,
    unused_qualifications,
    unreachable_pub,
    missing_docs,
    unfulfilled_lint_expectations,
    clippy::all,
    clippy::pedantic,
    clippy::restriction,
    reason = "only the readers are called here, and each file is checked in its own place"
)]

use std::time::Duration;

use kafka_protocol::protocol::{Decodable, Message};
use rustix::time::{ClockId, Timespec, clock_gettime};

pub mod targets;

/// Most CPU time of one input, of 64 KiB at most, with the sanitizer. Time on the wall would depend on what else runs.
pub const CPU_MAX: Duration = Duration::from_secs(1);

/// Runs a target on one input, and panics where that took more than [`CPU_MAX`] of this thread's CPU time.
pub fn within_cpu(bytes: &[u8], target: impl FnOnce(&[u8])) {
    let before = cpu_time();
    target(bytes);
    let took = cpu_time().saturating_sub(before);
    assert!(took <= CPU_MAX, "an input of {} bytes took {took:?} of CPU time, {CPU_MAX:?} at most", bytes.len());
}

/// The CPU time that this thread has used.
fn cpu_time() -> Duration {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(tv_sec.unsigned_abs(), u32::try_from(tv_nsec).unwrap_or(0))
}

#[path = "../../src/cluster/mod.rs"]
pub mod cluster;
#[path = "../../src/formats/mod.rs"]
pub mod formats;

#[path = "../../src/commands/topics/spec/mod.rs"]
pub mod spec_of_topics;

#[path = "../../src/clients/kafka/live/keys.rs"]
mod keys;
#[path = "../../src/clients/kafka/live/member_bytes.rs"]
mod member_bytes;
#[path = "../../src/clients/kafka/live/schemas/mod.rs"]
mod schemas;
#[path = "../../src/clients/kafka/sasl/scram.rs"]
mod scram;
#[path = "../../src/clients/kafka/live/shape.rs"]
mod shape;
#[path = "../../src/clients/kafka/live/shapes.rs"]
mod shapes;

/// How many topics a member of a group subscribes to and has assigned; none where that can't be read.
pub fn topics_of_member(bytes: &[u8]) -> [Option<usize>; 2] {
    [member_bytes::subscribed(bytes), member_bytes::assigned(bytes)].map(|topics| topics.map(|topics| topics.len()))
}

/// Whether a broker's first and last messages of SCRAM have the shape that rsasl takes for granted.
pub fn have_scrams_shape(first: &[u8], last: &[u8]) -> (bool, bool) {
    (scram::check_first(first).is_ok(), scram::check_final(last).is_ok())
}

/// Reads an answer as a connection does: its shape is checked, then the codec reads it. Messages that the codec lacks check
/// their own bytes.
fn read_answer<T: Decodable + Message>(key: i16, version: i16, bytes: &[u8]) {
    if shapes::shape_of(key).is_none_or(|shape| shape.check(version, bytes).is_ok()) {
        let _ = T::decode(&mut bytes::Bytes::copy_from_slice(bytes), version);
    }
}

/// What the files from the clients call each other.
pub(crate) mod clients {
    /// What readers of stores know of files: that they can be opened.
    pub(crate) mod files {
        pub(crate) fn open(path: &std::path::Path) -> std::io::Result<std::fs::File> {
            std::fs::File::open(path)
        }
    }

    /// `clients/zookeeper`.
    pub(crate) mod zookeeper {
        pub(crate) use crate::zookeeper_error as error;
        pub(crate) use crate::zookeeper_error::{Refusal, ZooKeeperError};
        pub(crate) use crate::zookeeper_nodes::*;
    }

    /// `clients/kubernetes`.
    pub(crate) mod kubernetes {
        pub(crate) use crate::objects::*;
        pub(crate) use crate::rights;
        pub(crate) use crate::rights::Right;
    }

    /// `clients/kafka`.
    pub(crate) mod kafka {
        pub(crate) use crate::stores;

        /// What the readers of stores know of errors: that they are made of faults.
        #[derive(Debug)]
        pub struct KafkaError(pub crate::formats::place::Fault);

        impl From<crate::formats::place::Fault> for KafkaError {
            fn from(fault: crate::formats::place::Fault) -> Self {
                Self(fault)
            }
        }

        /// Settings that name stores, as in `clients/kafka/settings`.
        pub mod settings {
            use std::path::PathBuf;

            use crate::formats::place::Place;
            use crate::formats::secret::SecretString;

            /// Where certificates or keys are.
            #[derive(Debug, Clone)]
            pub enum Source {
                /// A store file.
                File { kind: StoreKind, path: PathBuf, password: Option<SecretString>, place: Place },
                /// PEM texts.
                Inline { certificates: SecretString, key: Option<SecretString>, place: Place },
            }

            /// A key store.
            #[derive(Debug, Clone)]
            pub struct Identity {
                pub source: Source,
                pub key_password: Option<SecretString>,
            }

            /// Forms of stores.
            #[derive(Debug, Clone, Copy, PartialEq, Eq)]
            pub enum StoreKind {
                /// PEM.
                Pem,
                /// PKCS#12.
                Pkcs12,
                /// Java's own.
                Jks,
            }
        }

        /// `clients/kafka/tls`.
        pub(crate) mod tls {
            pub(crate) use crate::certificates;
        }

        /// `clients/kafka/live`.
        pub(crate) mod live {
            pub(crate) use crate::{keys, shape};
        }
    }
}

/// The one room whose spec is fuzzed, under its own name.
pub mod commands {
    /// `toolbox topics`.
    pub mod topics {
        pub use crate::spec_of_topics as spec;
    }
}

/// Answers of systems that measure brokers.
#[path = "../../src/clients/metrics/answers.rs"]
pub mod metric_answers;

/// Answers of token endpoints.
#[path = "../../src/clients/kafka/sasl/answer.rs"]
pub mod token_answer;

#[path = "../../src/change/event.rs"]
pub mod change_event;

/// Events, under their own name.
pub mod change {
    pub use crate::change_event as event;

    /// Readers of events settle nothing: only the name of the type is needed.
    pub mod settled {
        /// How a change ended.
        #[derive(Debug)]
        pub struct Verdict;
    }

    /// Readers of events make no endings: only the name of the type is needed.
    pub mod carry_out {
        /// How a step ended.
        #[derive(Debug)]
        pub struct Ended;
    }
}

/// Lines of journals and of the audit log.
#[path = "../../src/recorders/contents.rs"]
pub mod contents;

/// JAAS texts in `sasl.jaas.config`.
#[path = "../../src/clients/kafka/settings/jaas.rs"]
mod jaas;

/// Reads a JAAS text; whether it was one.
pub fn is_jaas(text: &str) -> bool {
    jaas::parse(text).is_ok()
}

#[path = "../../src/clients/kafka/stores/mod.rs"]
mod stores;

/// Opens a key store or trust store of one of Java's forms, or of PEM; whether it could be read.
pub fn opens(kind: StoreKind, bytes: &[u8], password: &str) -> bool {
    let password = Some(password).filter(|password| !password.is_empty());
    stores::read(kind, bytes, stores::Passwords { store: password, key: password }).is_ok()
}

pub use clients::kafka::settings::StoreKind;

#[path = "../../src/clients/kafka/tls/certificates.rs"]
mod certificates;

/// What messages say of a certificate that a broker showed, and whether it is for a host.
pub fn words_of_certificate(der: &[u8], host: &str) -> Option<String> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    let shown = certificates::show_certificate(&certificate);
    let name = rustls::pki_types::ServerName::try_from(host).ok()?;
    let is_for_host = certificates::is_common_name(&rustls::pki_types::CertificateDer::from(der), &name);
    let until = certificates::show_time(certificate.validity().not_after.timestamp());
    let advice = certificates::not_for(&certificate, &shown, host);
    Some(format!("{shown} {is_for_host} {until} {advice}"))
}

#[path = "../../src/clients/kubernetes/objects.rs"]
mod objects;

#[path = "../../src/clients/kubernetes/rights.rs"]
mod rights;

#[path = "../../src/clients/kubernetes/live/convert.rs"]
mod convert;

const FIELD_MANAGER: &str = "kafka-toolbox";

/// What is made of an answer of the Kubernetes API server, whatever it was asked for.
pub fn read_object(bytes: &[u8]) {
    use k8s_openapi::api::{authorization::v1 as authorization, coordination::v1 as coordination, core::v1 as core};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Status};
    if let Ok(object) = serde_json::from_slice::<core::ConfigMap>(bytes) {
        let config_map = convert::config_map(object);
        let _ = convert::to_config_map(&config_map);
    }
    if let Ok(object) = serde_json::from_slice::<k8s_openapi::List<core::ConfigMap>>(bytes) {
        object.items.into_iter().map(convert::config_map).for_each(drop);
    }
    if let Ok(object) = serde_json::from_slice::<coordination::Lease>(bytes) {
        let _ = convert::to_lease(&convert::lease(object));
    }
    if let Ok(review) = serde_json::from_slice::<authorization::SelfSubjectRulesReview>(bytes) {
        let _ = convert::granted(review);
    }
    if let Ok(metadata) = serde_json::from_slice::<ObjectMeta>(bytes) {
        let _ = convert::owned(metadata, "kafka");
    }
    if let Ok(status) = serde_json::from_slice::<Status>(bytes) {
        let message = status.message.unwrap_or_default();
        let _ = (convert::asker(&message), convert::missing(&message));
    }
}

#[path = "../../src/clients/zookeeper/live/code.rs"]
mod code;
#[path = "../../src/clients/zookeeper/live/digest_md5.rs"]
mod digest_md5;
#[path = "../../src/clients/four_letter_words/answers.rs"]
mod four_letter_answers;
#[path = "../../src/clients/zookeeper/live/jute.rs"]
mod jute;
#[path = "../../src/clients/zookeeper/live/requests.rs"]
mod requests;
#[path = "../../src/clients/zookeeper/error.rs"]
mod zookeeper_error;
#[path = "../../src/clients/zookeeper/nodes.rs"]
mod zookeeper_nodes;

/// What is made of the bytes of a ZooKeeper server, whatever it was asked for.
pub fn read_zookeeper(bytes: &[u8]) {
    use clients::zookeeper::{Creation, Mode, Operation};
    use formats::secret::SecretString;

    let reader = || jute::Reader::new(bytes);
    let _ = (requests::read_node(bytes), reader().texts(), reader().acl(), reader().stat());
    let _ = (reader().boolean(), reader().long(), reader().buffer().map(<[u8]>::len));
    let operations = [
        Operation::Create { path: "/a".into(), data: Vec::new(), creation: Creation::open(Mode::Persistent) },
        Operation::Delete { path: "/b".into(), version: None },
    ];
    let _ = requests::read_multi(bytes, &operations, |path| path);
    if let Ok(exchange) = digest_md5::Exchange::answer(bytes, "user", &SecretString::from("secret"), "abc") {
        let _ = exchange.is_proved(bytes);
    }
    let text = String::from_utf8_lossy(bytes);
    let _ = four_letter_answers::server_state(&text);
    let _ = four_letter_answers::server_config(&text);
    let _ = four_letter_answers::server_metrics(&text);
    if let Ok(read) = formats::ensemble_config::read("zoo.cfg.dynamic", bytes) {
        let _ = format!("{read:?}");
    }
    if let Ok(line) = cluster::ensemble::server_line::ServerLine::parse(&text) {
        let again = cluster::ensemble::server_line::ServerLine::parse(&line.to_string());
        assert_eq!(again.ok(), Some(line));
    }
}
