//! The properties of ZooKeeper's own client (`-client-configuration FILE`, `zookeeper.…` system properties, and those that
//! Kafka's `zookeeper-tls-config-file` holds): TLS and the longest answer.
//!
//! Bytes in, TLS settings or every fault with its place out. Keys are taken with or without `zookeeper.`, in any case, since
//! ZooKeeper (`ssl.keyStore.location`) and Kafka (`ssl.keystore.location`) spell them differently; they then follow the rules
//! of the `ssl.*` keys of Kafka clients, except where ZooKeeper's are others: the form of a store follows from its file name.

use std::fmt::Write as _;
use std::path::Path;

use crate::clients::kafka::settings::Note;
use crate::clients::kafka::settings::Outside;
use crate::clients::kafka::settings::TlsSettings;
use crate::clients::kafka::settings::reader::Reader;
use crate::clients::kafka::settings::tls;
use crate::formats::place::Fault;
use crate::formats::place::Faults;
use crate::formats::properties::{self, Property, show_key};
use crate::formats::secret::scrub;
use crate::formats::suggest::nearest;

/// What the file says.
#[derive(Debug)]
pub(in crate::clients) struct ZooKeeperProperties {
    /// TLS, where `client.secure` (or Kafka's `ssl.client.enable`) is true.
    pub tls: Option<TlsSettings>,
    /// `jute.maxbuffer`.
    pub bytes_max: Option<usize>,
    /// What the person should know.
    pub notes: Vec<Note>,
}

/// Keys that are read, and what they are among Kafka's.
const READ: &[(&str, &str)] = &[
    ("client.secure", "client.secure"),
    ("ssl.client.enable", "client.secure"),
    ("jute.maxbuffer", "jute.maxbuffer"),
    ("ssl.hostnameverification", "ssl.hostnameverification"),
    ("ssl.endpoint.identification.algorithm", "ssl.endpoint.identification.algorithm"),
    ("ssl.keystore.location", "ssl.keystore.location"),
    ("ssl.keystore.password", "ssl.keystore.password"),
    ("ssl.keystore.passwordpath", "ssl.keystore.passwordpath"),
    ("ssl.keystore.type", "ssl.keystore.type"),
    ("ssl.truststore.location", "ssl.truststore.location"),
    ("ssl.truststore.password", "ssl.truststore.password"),
    ("ssl.truststore.passwordpath", "ssl.truststore.passwordpath"),
    ("ssl.truststore.type", "ssl.truststore.type"),
    ("ssl.protocol", "ssl.protocol"),
    ("ssl.enabledprotocols", "ssl.enabled.protocols"),
    ("ssl.enabled.protocols", "ssl.enabled.protocols"),
    ("ssl.ciphersuites", "ssl.cipher.suites"),
    ("ssl.cipher.suites", "ssl.cipher.suites"),
];

/// Keys that do not matter here.
const IGNORED: &[&str] = &[
    "clientcnxnsocket",
    "disableautowatchreset",
    "client.requesttimeout",
    "request.timeout",
    "sasl.client",
    "sasl.clientconfig",
    "sasl.client.username",
    "sasl.client.canonicalize.hostname",
    "server.principal",
    "server.realm",
    "ssl.handshakedetectiontimeoutmillis",
    "ssl.quorum.hostnameverification",
    "fips-mode",
    "ssl.clienthostnameverification",
];

/// Keys without which the connection would be less safe than was asked for.
const REFUSED: &[&str] = &["ssl.crl", "ssl.ocsp", "ssl.crl.enable", "ssl.ocsp.enable", "ssl.context.supplier.class"];

/// Largest `jute.maxbuffer` that is taken, in bytes, and the smallest.
const BYTES_MAX: std::ops::RangeInclusive<usize> = 1024..=256 << 20;

/// Reads a file; `source` names it in places.
pub(in crate::clients) fn parse(
    source: &str,
    bytes: &[u8],
    outside: Outside<'_>,
) -> Result<ZooKeeperProperties, Faults> {
    let (mut faults, mut notes) = (Vec::new(), Vec::new());
    let mut known: Vec<Property> = Vec::new();
    for property in properties::parse(source, bytes)? {
        match meaning(&property) {
            Meaning::Read(name) if known.iter().any(|other| other.key == name) => {
                let what = format!("{} is given twice, in two spellings", show_key(&property.key));
                faults.push(Fault::new(property.key_place.clone(), what).with_hint("keep one"));
            }
            Meaning::Read(name) => known.push(property.with_key(name)),
            Meaning::Wrong(fault) => faults.push(fault),
            Meaning::Ignored(fault) => notes.push(Note { is_warning: false, fault }),
        }
    }
    let bytes_max = take(&mut known, "jute.maxbuffer").and_then(|property| number(&property, &mut faults));
    let is_secure = take(&mut known, "client.secure").and_then(|property| boolean(&property, &mut faults));
    let checks_names = take(&mut known, "ssl.hostnameverification").and_then(|property| {
        let is_checked = boolean(&property, &mut faults)?;
        if !is_checked {
            let what = "host names in certificates are not checked: any host with a certificate of a trusted CA can pose as a server";
            let fault = Fault::new(property.place(), what).with_hint("remove ssl.hostnameVerification=false");
            notes.push(Note { is_warning: true, fault });
        }
        Some(is_checked)
    });
    for store in ["ssl.keystore", "ssl.truststore"] {
        read_password(&mut known, store, outside, &mut faults);
        add_kind(&mut known, store, source);
    }
    let has_tls_keys = known.first().map(|property| property.key_place.clone());
    let mut reader = Reader::new(known, outside);
    let mut settings = tls::read(&mut reader);
    settings.checks_host_name &= checks_names.unwrap_or(true);
    faults.append(&mut reader.faults);
    notes.append(&mut reader.notes);
    if let (false, Some(place)) = (is_secure.unwrap_or(false), has_tls_keys) {
        let fault = Fault::new(place, "the `ssl.*` keys are not used: the connection is plaintext");
        notes.push(Note { is_warning: true, fault: fault.with_hint("add zookeeper.client.secure=true") });
    }
    for fault in &mut faults {
        fault.message = scrub(&fault.message).into_owned();
    }
    Faults::check(faults)?;
    Ok(ZooKeeperProperties { tls: is_secure.unwrap_or(false).then_some(settings), bytes_max, notes })
}

enum Meaning {
    Read(&'static str),
    Ignored(Fault),
    Wrong(Fault),
}

fn meaning(property: &Property) -> Meaning {
    let lower = property.key.to_lowercase();
    let name = lower.strip_prefix("zookeeper.").unwrap_or(&lower);
    if let Some((_, meant)) = READ.iter().find(|(known, _)| *known == name) {
        return Meaning::Read(meant);
    }
    let (key, place) = (show_key(&property.key), property.key_place.clone());
    if REFUSED.contains(&name) {
        let fault = Fault::new(place, format!("{key} is not supported, and leaving it out would change security"));
        return Meaning::Wrong(fault.with_hint("remove it, if the connection may do without"));
    }
    if IGNORED.contains(&name) {
        return Meaning::Ignored(Fault::new(place, format!("{key} is ignored: it does not matter to this program")));
    }
    match nearest(name, READ.iter().map(|(known, _)| *known)) {
        Some(meant) => {
            let fault = Fault::new(place, format!("{key} is no key of ZooKeeper's clients"));
            Meaning::Wrong(fault.with_hint(format!("did you mean zookeeper.{meant}?")))
        }
        None => Meaning::Ignored(Fault::new(place, format!("{key} is ignored: it is no key of ZooKeeper's clients"))),
    }
}

fn take(known: &mut Vec<Property>, key: &str) -> Option<Property> {
    let position = known.iter().position(|property| property.key == key)?;
    Some(known.remove(position))
}

fn find<'a>(known: &'a [Property], key: &str) -> Option<&'a Property> {
    known.iter().find(|property| property.key == key)
}

fn boolean(property: &Property, faults: &mut Vec<Fault>) -> Option<bool> {
    match property.value().trim().to_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => {
            faults.push(Fault::new(property.place(), format!("`{}` is neither true nor false", property.key)));
            None
        }
    }
}

/// A number of bytes, decimal or as `0x…`, as Java reads it.
fn number(property: &Property, faults: &mut Vec<Fault>) -> Option<usize> {
    let text = property.value().trim();
    let read = match text.strip_prefix("0x") {
        Some(digits) => usize::from_str_radix(digits, 16),
        None => text.parse(),
    };
    let read = read.ok().filter(|bytes| BYTES_MAX.contains(bytes));
    if read.is_none() {
        let what = "`jute.maxbuffer` is not a number of bytes from 1024 to 268435456";
        faults.push(Fault::new(property.place(), what));
    }
    read
}

/// `ssl.keyStore.passwordPath`: the password stands in a file.
fn read_password(known: &mut Vec<Property>, store: &str, outside: Outside<'_>, faults: &mut Vec<Fault>) {
    let Some(path) = take(known, &format!("{store}.passwordpath")) else { return };
    if outside.is_closed {
        let what = "a password file is not read for a file that was found through the working folder";
        faults.push(Fault::new(path.place(), what).with_hint("if it is yours, name it with --zookeeper-config"));
        return;
    }
    let text = match (outside.read)(Path::new(path.value().trim())).map(String::from_utf8) {
        Ok(Ok(text)) => text,
        Ok(Err(_)) => return faults.push(Fault::new(path.place(), "the password file is not UTF-8")),
        Err(why) => return faults.push(Fault::new(path.place(), why)),
    };
    let mut line = format!("{store}.password=");
    for unit in text.trim_end_matches(['\r', '\n']).encode_utf16() {
        let _ = write!(line, "\\u{unit:04x}");
    }
    known.retain(|property| property.key != format!("{store}.password"));
    known.extend(properties::parse(&path.key_place.source, line.as_bytes()).unwrap_or_default());
}

/// The form of a store is that of its file name, where no key says it; and a PEM key's password is the store's.
fn add_kind(known: &mut Vec<Property>, store: &str, source: &str) {
    let Some(location) = find(known, &format!("{store}.location")) else { return };
    let extension = Path::new(location.value().trim()).extension().map(|text| text.to_string_lossy().to_lowercase());
    let kind_key = format!("{store}.type");
    let given =
        find(known, &kind_key).map(|property| property.value().trim().to_uppercase()).filter(|kind| !kind.is_empty());
    let kind = given.clone().unwrap_or_else(|| match extension.as_deref() {
        Some("pem") => "PEM".to_owned(),
        Some("p12" | "pfx" | "pkcs12") => "PKCS12".to_owned(),
        _ => "JKS".to_owned(),
    });
    if given.is_none() {
        known.retain(|property| property.key != kind_key);
        known.extend(properties::parse(source, format!("{kind_key}={kind}").as_bytes()).unwrap_or_default());
    }
    if kind == "PEM" {
        let password = take(known, &format!("{store}.password"));
        if store == "ssl.keystore" {
            known.extend(password.map(|property| property.with_key("ssl.key.password")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::kafka::settings::{Source, StoreKind};

    fn read(text: &str) -> Result<ZooKeeperProperties, String> {
        let read =
            |path: &Path| if path.ends_with("word") { Ok(b"s\xc3\xa9cret\n".to_vec()) } else { Err("gone".to_owned()) };
        let outside = Outside { environment: &|_| None, read: &read, is_closed: false };
        parse("zk.properties", text.as_bytes(), outside).map_err(|faults| faults.to_string())
    }

    fn kinds(text: &str) -> Vec<(StoreKind, bool)> {
        let tls = read(text).unwrap().tls.unwrap();
        let identity = tls.identity.map(|identity| identity.source);
        let of = |source: Source| match source {
            Source::File { kind, password, .. } => (kind, password.is_some()),
            Source::Inline { .. } => panic!("none is inline"),
        };
        identity.into_iter().chain(tls.trust).map(of).collect()
    }

    #[test]
    fn keys_are_those_of_zookeeper_and_of_kafka_in_any_case() {
        let text = "zookeeper.client.secure=true\nzookeeper.ssl.keyStore.location=/a.p12\n\
                    zookeeper.ssl.keyStore.password=x\nzookeeper.ssl.trustStore.location=/b.pem\njute.maxbuffer=0x200000\n";
        assert_eq!(kinds(text), [(StoreKind::Pkcs12, true), (StoreKind::Pem, false)]);
        assert_eq!(read(text).unwrap().bytes_max, Some(2 << 20));
        let kafka = "zookeeper.ssl.client.enable=true\nzookeeper.ssl.keystore.location=/a.jks\n\
                     zookeeper.ssl.keystore.password=x\nzookeeper.ssl.enabled.protocols=TLSv1.3\n";
        assert_eq!(kinds(kafka), [(StoreKind::Jks, true)]);
        assert!(!read(kafka).unwrap().tls.unwrap().versions.v1_2);
    }

    #[test]
    fn a_password_may_stand_in_a_file_and_that_of_a_pem_store_is_its_keys() {
        let text = "client.secure=true\nssl.keyStore.location=/a.pem\nssl.keyStore.passwordPath=/word\n";
        let identity = read(text).unwrap().tls.unwrap().identity.unwrap();
        assert!(identity.key_password.is_some());
        let gone = text.replace("/word", "/nowhere");
        assert_eq!(read(&gone).unwrap_err(), "zk.properties:3:27: gone");
    }

    #[test]
    fn host_names_are_checked_unless_that_is_switched_off_with_a_warning() {
        let read = |line: &str| read(&format!("client.secure=true\n{line}\n")).unwrap();
        assert!(read("").tls.unwrap().checks_host_name);
        let off = read("zookeeper.ssl.hostnameVerification=false");
        assert!(off.notes.iter().any(|note| note.is_warning && note.to_string().contains("zk.properties:2:")));
        assert!(!off.tls.unwrap().checks_host_name);
    }

    #[test]
    fn what_would_change_security_is_an_error_and_stores_without_tls_are_a_warning() {
        let wrong = |text: &str| read(text).unwrap_err();
        assert!(wrong("zookeeper.ssl.crl=true").contains("would change security"));
        assert!(
            wrong("zookeeper.ssl.trustStor.location=/a").contains("did you mean zookeeper.ssl.truststore.location?")
        );
        assert!(wrong("ssl.keyStore.type=PEM\nzookeeper.ssl.keystore.type=PEM").contains("given twice"));
        assert!(wrong("jute.maxbuffer=0").contains("1:16"));
        assert!(wrong("client.secure=yes").contains("neither true nor false"));
        let plain = read("ssl.trustStore.location=/a.pem\nzookeeper.clientCnxnSocket=x\n").unwrap();
        assert!(plain.tls.is_none());
        assert!(plain.notes.iter().any(|note| note.is_warning && note.to_string().contains("plaintext")));
    }
}
