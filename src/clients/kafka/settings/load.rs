//! From a file and flags to [`Settings`], or to every fault at once.

use std::path::Path;
use std::time::Duration;

use crate::clients::kafka::KafkaError;
use crate::clients::kafka::settings::Outside;
use crate::clients::kafka::settings::Security;
use crate::clients::kafka::settings::Settings;
use crate::clients::kafka::settings::TlsSettings;
use crate::clients::kafka::settings::TokenSource;
use crate::clients::kafka::settings::reader::Reader;
use crate::clients::kafka::settings::reader::Value;
use crate::clients::kafka::settings::sasl;
use crate::clients::kafka::settings::substitute;
use crate::clients::kafka::settings::tls;
use crate::clients::kafka::settings::{SaslSettings, Source};
use crate::cluster::address::Address;
use crate::formats::place::Fault;
use crate::formats::place::Faults;
use crate::formats::place::Place;
use crate::formats::properties;
use crate::formats::secret::scrub;
use crate::formats::suggest::nearest;

/// Where no flag and no property says otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The metadata of a million partitions takes some 50 MB.
const RESPONSE_BYTES_MAX: usize = 64 << 20;
const CLIENT_ID: &str = "kafka-toolbox";
/// Most faults that one file is told of.
const FAULTS_MAX: usize = 100;
/// Most brokers to start from.
const BOOTSTRAP_MAX: usize = 100;
const PROTOCOLS: [&str; 4] = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];

/// What was given on the command line; it wins over the file.
#[derive(Debug, Clone, Copy, Default)]
pub struct Given<'a> {
    /// `--bootstrap-server`.
    pub bootstrap_server: Option<&'a str>,
    /// `--bootstrap-controller`, for a client of controllers: no broker needs to be named then.
    pub bootstrap_controller: Option<&'a str>,
    /// `--timeout`.
    pub timeout: Option<Duration>,
    /// `--response-bytes-max`.
    pub response_bytes_max: Option<usize>,
    /// `--allow-plain-http`.
    pub allow_plain_http: bool,
    /// Whether the file was reached through the working folder alone: then it may name no other source of values.
    pub is_implicit: bool,
}

impl Settings {
    /// Reads a file of client properties, if there is one, and what was given beside it.
    pub fn load(file: Option<&Path>, given: Given<'_>) -> Result<Self, KafkaError> {
        let outside =
            Outside { environment: &substitute::environment, read: &substitute::read, is_closed: given.is_implicit };
        let Some(path) = file else { return Self::parse("", &[], given, outside).map_err(|faults| wrong(&faults)) };
        let bytes = substitute::read(path).map_err(KafkaError::Settings)?;
        Self::parse(&path.display().to_string(), &bytes, given, outside).map_err(|faults| wrong(&faults))
    }

    /// The same from bytes; `source` names them in places.
    pub fn parse(source: &str, bytes: &[u8], given: Given<'_>, outside: Outside<'_>) -> Result<Self, Faults> {
        let properties = properties::parse(source, bytes)?;
        let mut reader = Reader::new(properties, outside);
        reader.allows_plain_http = given.allow_plain_http;
        let (bootstrap, bootstrap_controllers) = match given.bootstrap_controller {
            None => (bootstrap(&mut reader, given.bootstrap_server, source), Vec::new()),
            Some(flag) => {
                let place = |column| substitute::place_of_flag("--bootstrap-controller", column);
                (Vec::new(), addresses(&mut reader, flag, place))
            }
        };
        let security = security(&mut reader);
        refuse_token_file(&mut reader, &security, given);
        let client_id = reader.get("client.id").map_or(CLIENT_ID.to_owned(), |value| value.text.clone());
        let timeout = timeout(&mut reader, given.timeout);
        let response_bytes_max = given.response_bytes_max.unwrap_or(RESPONSE_BYTES_MAX);
        let Reader { mut faults, notes, .. } = reader;
        if faults.is_empty() {
            return Ok(Self {
                bootstrap,
                bootstrap_controllers,
                client_id,
                timeout,
                response_bytes_max,
                security,
                notes,
            });
        }
        faults.sort();
        faults.dedup();
        faults.truncate(FAULTS_MAX);
        for fault in &mut faults {
            fault.message = scrub(&fault.message).into_owned();
            fault.hint = fault.hint.as_deref().map(|hint| scrub(hint).into_owned());
        }
        Err(Faults(faults))
    }
}

/// A token file that the working folder alone names would be sent to whichever broker that folder names.
fn refuse_token_file(reader: &mut Reader, security: &Security, given: Given<'_>) {
    let Some(SaslSettings::OAuthBearer(oauth)) = &security.sasl else { return };
    if given.is_implicit && matches!(oauth.token, TokenSource::File(_)) {
        let what = "a token file is not read for a file that was found through the working folder";
        reader.fault(
            oauth.place.clone(),
            what,
            "if the file is yours, name it with --command-config or --toolbox-file",
        );
    }
}

fn wrong(faults: &Faults) -> KafkaError {
    KafkaError::Settings(faults.to_string())
}

fn timeout(reader: &mut Reader, given: Option<Duration>) -> Duration {
    // Both are checked, whichever is used.
    let whole = reader.milliseconds("default.api.timeout.ms");
    let request = reader.milliseconds("request.timeout.ms");
    if given.is_some() {
        for key in ["default.api.timeout.ms", "request.timeout.ms"] {
            let place = reader.get(key).map(Value::place);
            if let Some(place) = place {
                reader.note(place, format!("`{key}` is not used: --timeout says how long to wait"));
            }
        }
    }
    given.or_else(|| whole.or(request).map(Duration::from_millis)).unwrap_or(TIMEOUT)
}

fn bootstrap(reader: &mut Reader, given: Option<&str>, source: &str) -> Vec<Address> {
    let from_file = reader.get("bootstrap.servers").map(|value| (value.text.clone(), value.place()));
    if let Some(flag) = given {
        if let Some((_, place)) = from_file {
            reader.note(place, "`bootstrap.servers` is not used: --bootstrap-server is given".to_owned());
        }
        return addresses(reader, flag, |column| substitute::place_of_flag("--bootstrap-server", column));
    }
    let Some((text, place)) = from_file else {
        if reader.has_told_of("bootstrap.servers") {
            return Vec::new();
        }
        let source = if source.is_empty() { "--bootstrap-server" } else { source };
        let hint = "give --bootstrap-server HOST:PORT, or bootstrap.servers in the client properties";
        reader.fault(substitute::place_of_flag(source, 0), "no broker is named to start from", hint);
        return Vec::new();
    };
    let place_at = reader.get("bootstrap.servers").map(Value::places);
    addresses(reader, &text, |offset| place_at.as_ref().map_or_else(|| place.clone(), |place_at| place_at(offset)))
}

fn addresses(reader: &mut Reader, text: &str, place: impl Fn(usize) -> Place) -> Vec<Address> {
    let protocol = reader.get("security.protocol").map_or("PLAINTEXT".to_owned(), |value| value.text.to_uppercase());
    let mut addresses = Vec::new();
    let mut offset = 0;
    let mut wrong = 0;
    for piece in text.split(',') {
        if addresses.len() > BOOTSTRAP_MAX || wrong == FAULTS_MAX {
            break;
        }
        let trimmed = piece.trim();
        let start = offset + (piece.len() - piece.trim_start().len());
        offset += piece.len() + 1;
        if let Some((prefix, _)) = trimmed.split_once("://").filter(|(prefix, _)| PROTOCOLS.contains(prefix))
            && prefix != protocol
        {
            let what = format!("this address is of a {prefix} listener, but security.protocol is {protocol}");
            let hint = format!("set security.protocol={prefix} in the client properties, or leave `{prefix}://` out");
            reader.fault(place(start), what, &hint);
        }
        match address(trimmed) {
            Ok(Some(address)) if !addresses.contains(&address) => addresses.push(address),
            Ok(_) => {}
            Err(what) => {
                wrong += 1;
                reader.fault(place(start), what, "the form is HOST:PORT[,HOST:PORT…], an IPv6 address in brackets");
            }
        }
    }
    if addresses.len() > BOOTSTRAP_MAX {
        reader.fault(place(0), format!("more than {BOOTSTRAP_MAX} brokers to start from"), "a few are enough");
    }
    if addresses.is_empty() && reader.faults.is_empty() {
        reader.fault(place(0), "no broker is named to start from", "the form is HOST:PORT[,HOST:PORT…]");
    }
    addresses
}

/// One address; none if it is empty. As in Java, a listener's protocol may stand before it.
fn address(text: &str) -> Result<Option<Address>, &'static str> {
    if text.is_empty() {
        return Ok(None);
    }
    let rest = match text.split_once("://") {
        Some((protocol, rest)) if PROTOCOLS.contains(&protocol) => rest,
        Some(_) => return Err("this is a URL, not the address of a broker"),
        None => text,
    };
    if rest.contains(|c: char| c.is_whitespace() || c == ';') {
        return Err("brokers are separated by commas, not by blanks, line ends or `;`");
    }
    let Some((host, port)) = rest.rsplit_once(':') else {
        return Err("this address has no port; Kafka's is often 9092");
    };
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let port = match port.parse::<u16>() {
        Ok(port) if port > 0 => port,
        _ => return Err("this address has no port from 1 to 65535"),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    match inner {
        Some(inner) if inner.parse::<std::net::Ipv6Addr>().is_ok() => Ok(Some(Address::new(inner, port))),
        Some(inner) if inner.contains('%') => {
            Err("an IPv6 address with a zone (`%…`) is not taken: give the broker's name or another address of it")
        }
        Some(_) => Err("what stands in brackets is no IPv6 address"),
        None if host.contains(':') => Err("an IPv6 address stands in brackets, as [::1]:9092"),
        None if host.is_empty() => Err("this address has no host"),
        None if !host.chars().all(is_name) => Err("this host has characters that no host name has"),
        None => Ok(Some(Address::new(host, port))),
    }
}

fn security(reader: &mut Reader) -> Security {
    let given = reader.get("security.protocol").map(|value: &Value| (value.text.to_uppercase(), value.place()));
    let (protocol, place) = match given {
        Some((protocol, place)) => (protocol, Some(place)),
        None => ("PLAINTEXT".to_owned(), None),
    };
    if !PROTOCOLS.contains(&protocol.as_str()) {
        let hint = match nearest(&protocol, PROTOCOLS) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("one of {}", PROTOCOLS.join(", ")),
        };
        if let Some(place) = place {
            reader.fault(place, "`security.protocol` is none of Kafka's", &hint);
        }
        return Security::default();
    }
    let place = place.unwrap_or_else(|| substitute::place_of_flag("security.protocol", 0));
    let tls = protocol.ends_with("SSL").then(|| tls::read(reader));
    let sasl = protocol.starts_with("SASL").then(|| sasl::read(reader, &place)).flatten();
    warn(reader, &protocol, tls.as_ref(), sasl.as_ref());
    if protocol == "SASL_PLAINTEXT" && matches!(sasl, Some(SaslSettings::Plain(_) | SaslSettings::OAuthBearer(_))) {
        reader.warn_with(place, "the password goes over the network unencrypted".to_owned(), "SASL_SSL encrypts it");
    }
    Security { tls, sasl }
}

/// Warns of keys that the protocol leaves unused.
fn warn(reader: &mut Reader, protocol: &str, tls: Option<&TlsSettings>, sasl: Option<&SaslSettings>) {
    let why = format!("security.protocol is {protocol}");
    let is_for_endpoint = |trust: &Option<Source>| trust.is_some();
    let endpoint = match sasl {
        Some(SaslSettings::OAuthBearer(oauth)) => match &oauth.token {
            TokenSource::Endpoint(endpoint) => is_for_endpoint(&endpoint.trust),
            _ => false,
        },
        _ => false,
    };
    if tls.is_none() && !endpoint {
        reader.warn_unused("ssl.", &why);
    }
    if !protocol.starts_with("SASL") {
        reader.warn_unused("sasl.", &why);
    }
}

/// A fault of a file whose place is known.
impl From<Fault> for KafkaError {
    fn from(fault: Fault) -> Self {
        Self::Settings(scrub(&fault.to_string()).into_owned())
    }
}
