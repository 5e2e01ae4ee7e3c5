//! How to reach an ensemble: servers, chroot, deadline, session, TLS, login.
//!
//! In goes what `--zookeeper` and a file of client properties say; out come checked [`Settings`].

use std::net::Ipv6Addr;
use std::path::Path;
use std::time::Duration;

use crate::clients::kafka::settings::zookeeper::{ZooKeeperProperties, parse};
use crate::clients::kafka::settings::{Note, Outside, Security, TlsSettings, environment, read};
use crate::clients::zookeeper::ZooKeeperError;
use crate::cluster::address::Address;
use crate::cluster::visible;
use crate::formats::secret::SecretString;

/// Where no flag says otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// What is asked of the server, which may give less or more: from 2 to 20 of its ticks.
pub const SESSION: Duration = Duration::from_secs(10);
/// A server's own default is 1 MiB (`jute.maxbuffer`); lists of children may be longer than one node.
const BYTES_MAX: usize = 4 << 20;
/// Where clients connect, if no port is said.
const PORT: u16 = 2181;
/// Most servers of one ensemble.
const SERVERS_MAX: usize = 100;
/// The form of `--zookeeper`.
const FORM: &str = "the form is HOST:PORT[,HOST:PORT…][/chroot], an IPv6 address in brackets";

/// What a session needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Servers, tried in this order.
    pub addresses: Vec<Address>,
    /// The node that paths are relative to, as `/kafka`; empty for none.
    pub chroot: String,
    /// The deadline of one call.
    pub timeout: Duration,
    /// How long the ensemble keeps the session without hearing of it; the server may give another time.
    pub session: Duration,
    /// The longest request and the longest answer, in bytes.
    pub bytes_max: usize,
    /// TLS, where it is spoken.
    pub tls: Option<TlsSettings>,
    /// Who we are.
    pub login: Option<Login>,
    /// What the person should know.
    pub notes: Vec<Note>,
}

/// A user and how it is proved.
#[derive(Debug, Clone)]
pub struct Login {
    /// How.
    pub scheme: Scheme,
    /// Who.
    pub user: String,
    /// The proof.
    pub password: SecretString,
}

/// How a user is proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `addauth digest`: the server gets the password itself, and refuses nobody; access lists do.
    Digest,
    /// SASL DIGEST-MD5: the server refuses who does not know the password.
    Sasl,
}

impl Scheme {
    /// Its name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Digest => "the digest",
            Self::Sasl => "the SASL (DIGEST-MD5)",
        }
    }
}

/// What was given beside the file of properties.
#[derive(Debug, Clone, Default)]
pub struct Given<'a> {
    /// `--zookeeper`.
    pub zookeeper: &'a str,
    /// `--timeout`.
    pub timeout: Option<Duration>,
    /// Who we are.
    pub login: Option<Login>,
    /// Whether the file was reached through the working folder alone: then it may name no other source of values.
    pub is_implicit: bool,
}

impl Settings {
    /// Reads a file of client properties, if there is one, and what was given beside it.
    pub fn load(file: Option<&Path>, given: Given<'_>) -> Result<Self, ZooKeeperError> {
        let (addresses, chroot) = parse_servers(given.zookeeper).map_err(ZooKeeperError::Settings)?;
        let outside = Outside { environment: &environment, read: &read, is_closed: given.is_implicit };
        let properties = match file {
            Some(path) => {
                let bytes = read(path).map_err(ZooKeeperError::Settings)?;
                let read = parse(&path.display().to_string(), &bytes, outside);
                read.map_err(|faults| ZooKeeperError::Settings(faults.to_string()))?
            }
            None => ZooKeeperProperties { tls: None, bytes_max: None, notes: Vec::new() },
        };
        Ok(Self {
            addresses,
            chroot,
            timeout: given.timeout.unwrap_or(TIMEOUT),
            session: SESSION,
            bytes_max: properties.bytes_max.unwrap_or(BYTES_MAX),
            tls: properties.tls,
            login: given.login,
            notes: properties.notes,
        })
    }
}

impl Settings {
    /// The settings for four-letter words to the same ports: TLS is the same, and there is no login.
    pub fn of_words(&self, timeout: Duration) -> crate::clients::kafka::settings::Settings {
        crate::clients::kafka::settings::Settings {
            bootstrap: Vec::new(),
            bootstrap_controllers: Vec::new(),
            client_id: String::new(),
            timeout,
            response_bytes_max: self.bytes_max,
            security: Security { tls: self.tls.clone(), sasl: None },
            notes: Vec::new(),
        }
    }
}

/// Servers and chroot of a text such as `a:2181,b:2181/kafka`; what is wrong with it, as a fragment.
pub fn parse_servers(text: &str) -> Result<(Vec<Address>, String), String> {
    let wrong = |what: &str| format!("--zookeeper: {what} ({FORM})");
    let (servers, chroot) = match text.split_once('/') {
        Some((servers, chroot)) => (servers, format!("/{chroot}")),
        None => (text, String::new()),
    };
    let chroot = if chroot == "/" { String::new() } else { chroot };
    let is_bad = |part: &str| part.is_empty() || part == "." || part == ".." || part.chars().any(char::is_control);
    if chroot.split('/').skip(1).any(is_bad) {
        return Err(wrong(&format!("`{}` is no path of a node", visible::value(&chroot))));
    }
    let mut addresses: Vec<Address> = Vec::new();
    for piece in servers.split(',').map(str::trim).filter(|piece| !piece.is_empty()) {
        let address = address(piece).ok_or_else(|| wrong(&format!("`{}` is no address", visible::value(piece))))?;
        if !addresses.contains(&address) {
            addresses.push(address);
        }
        if addresses.len() > SERVERS_MAX {
            return Err(wrong(&format!("more than {SERVERS_MAX} servers")));
        }
    }
    if addresses.is_empty() { Err(wrong("no server is named")) } else { Ok((addresses, chroot)) }
}

fn address(text: &str) -> Option<Address> {
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        host.parse::<Ipv6Addr>().ok()?;
        return Some(Address::new(host, if rest.is_empty() { PORT } else { port(rest.strip_prefix(':')?)? }));
    }
    let (host, port) = match text.split_once(':') {
        Some((host, digits)) => (host, port(digits)?),
        None => (text, PORT),
    };
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.' | '_');
    (!host.is_empty() && host.chars().all(is_name)).then(|| Address::new(host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_and_chroot_are_read_as_zookeepers_clients_read_them() {
        let read = |text: &str| parse_servers(text).unwrap();
        let (addresses, chroot) = read("a:2181, b-1.c:2182,[::1]:2183,a:2181/kafka/x");
        assert_eq!(addresses, [Address::new("a", 2181), Address::new("b-1.c", 2182), Address::new("::1", 2183)]);
        assert_eq!(chroot, "/kafka/x");
        assert_eq!(read("a"), (vec![Address::new("a", 2181)], String::new()));
        assert_eq!(read("[::1]/").0, [Address::new("::1", 2181)]);
    }

    #[test]
    fn what_is_no_address_is_named_with_what_would_be_right() {
        for wrong in [
            "",
            ",",
            "a:0",
            "a:x",
            "a b:1",
            "::1:2181",
            "[x]:1",
            "[::1]2181",
            "a:1//x",
            "a:1/x/",
            "a:1/../x",
            "zk://a:1",
        ] {
            let words = parse_servers(wrong).unwrap_err();
            assert!(words.contains("the form is HOST:PORT"), "{wrong}: {words}");
        }
    }
}
