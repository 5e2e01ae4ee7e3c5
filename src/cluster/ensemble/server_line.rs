//! One server's line of an ensemble's configuration: addresses between servers, role, addresses for clients.
//!
//! Both grammars are read: `host:quorumPort:electionPort[:role][;[address:]clientPort]` of ZooKeeper 3.5 to 3.9, with several
//! addresses joined by `|` since 3.6, and `…;[address:]clientPort[;[address:]secureClientPort]` of 3.10. The rules are those of
//! `QuorumPeer.QuorumServer` and `ConfigUtils.getHostAndPort` of ZooKeeper.

use std::fmt;

use core::net::IpAddr;
use serde::{Deserialize, Serialize};

use crate::cluster::address::Address;
use crate::cluster::ensemble::member::Role;
use crate::cluster::visible;

/// Longest line that is read, in bytes.
pub const LINE_BYTES_MAX: usize = 4_096;

/// Most addresses of one server.
pub const ADDRESSES_MAX: usize = 16;

/// What is expected, for messages.
pub const GRAMMAR: &str = "host:quorumPort:electionPort[:participant|observer];[address:]clientPort";

/// The client address that ZooKeeper takes where a line names a port only.
const ANY: &str = "0.0.0.0";

/// Where a server talks to the others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct QuorumAddress {
    /// Host name or IP address, without brackets.
    pub host: String,
    /// The port that followers connect to, 1 to 65535.
    pub quorum_port: u16,
    /// The port of leader election, 1 to 65535.
    pub election_port: u16,
}

/// Where a server takes clients.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClientAddress {
    /// Host name or IP address, without brackets; `0.0.0.0` where the line names a port only.
    pub host: String,
    /// Its port, 1 to 65535.
    pub port: u16,
}

/// One server of an ensemble's configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerLine {
    /// Where it talks to the others: at least one, ordered.
    pub addresses: Vec<QuorumAddress>,
    /// Whether it votes.
    pub role: Role,
    /// Where it takes clients, if the line says it.
    pub client: Option<ClientAddress>,
    /// Where it takes clients over TLS, if the line says it (ZooKeeper 3.10).
    pub secure_client: Option<ClientAddress>,
}

/// What is wrong with a line, and at which byte of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LineFault {
    /// The byte where it goes wrong.
    pub offset: usize,
    /// What is wrong, as a lower-case fragment.
    pub message: String,
}

impl ServerLine {
    /// Reads what stands behind `server.N=`.
    pub fn parse(text: &str) -> Result<Self, LineFault> {
        if text.len() > LINE_BYTES_MAX {
            let message = format!("the line has {} bytes, {LINE_BYTES_MAX} at most are read", text.len());
            return Err(LineFault { offset: LINE_BYTES_MAX, message });
        }
        let parts = pieces(text, ';');
        if let Some(extra) = parts.get(3) {
            return Err(fault(extra.offset, "the line has more than two `;`"));
        }
        let (addresses, role) = servers(parts[0])?;
        let client = parts.get(1).map_or(Ok(None), |part| client(*part, parts.len() == 3))?;
        let secure_client = parts.get(2).map_or(Ok(None), |part| self::client(*part, false))?;
        Ok(Self { addresses, role, client, secure_client })
    }

    /// The same server with another role.
    #[must_use]
    pub fn with_role(&self, role: Role) -> Self {
        Self { role, ..self.clone() }
    }

    /// Whether both name the same addresses, whatever their roles.
    pub fn is_at_same_place(&self, other: &Self) -> bool {
        self.with_role(other.role) == *other
    }

    /// The hosts of its quorum addresses that mean "any address of this machine", as `0.0.0.0`: every other server reads
    /// them as itself. As client address they are usual.
    pub fn unspecified_hosts(&self) -> impl Iterator<Item = &str> {
        self.addresses.iter().map(|address| address.host.as_str()).filter(|host| is_unspecified(host))
    }

    /// Where it takes clients: its own host where the line names none.
    pub fn client_address(&self) -> Option<Address> {
        let client = self.client.as_ref()?;
        let host = if is_unspecified(&client.host) { &self.addresses.first()?.host } else { &client.host };
        Some(Address::new(host, client.port))
    }

    /// Each (host, port) that it listens on; client addresses without a host of their own are those of its hosts.
    pub fn endpoints(&self) -> Vec<(String, u16)> {
        let between = self.addresses.iter().flat_map(|address| {
            [address.quorum_port, address.election_port].map(|port| (address.host.to_ascii_lowercase(), port))
        });
        let clients = self.client.iter().chain(&self.secure_client).flat_map(|client| {
            let own = || vec![(client.host.to_ascii_lowercase(), client.port)];
            let of_hosts = || self.addresses.iter().map(|it| (it.host.to_ascii_lowercase(), client.port)).collect();
            if is_unspecified(&client.host) { of_hosts() } else { own() }
        });
        between.chain(clients).collect()
    }
}

/// Whether a host means "any address of this machine": `0.0.0.0`, `::`.
pub fn is_unspecified(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified())
}

impl fmt::Display for QuorumAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", bracketed(&self.host), self.quorum_port, self.election_port)
    }
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", bracketed(&self.host), self.port)
    }
}

impl fmt::Display for ServerLine {
    /// As ZooKeeper writes it; [`ServerLine::parse`] reads it back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<_> = self.addresses.iter().map(ToString::to_string).collect();
        write!(f, "{}:{}", addresses.join("|"), self.role)?;
        match (&self.client, &self.secure_client) {
            (None, None) => Ok(()),
            (Some(client), None) => write!(f, ";{client}"),
            (None, Some(secure)) => write!(f, ";;{secure}"),
            (Some(client), Some(secure)) => write!(f, ";{client};{secure}"),
        }
    }
}

impl TryFrom<String> for ServerLine {
    type Error = LineFault;

    fn try_from(text: String) -> Result<Self, LineFault> {
        Self::parse(&text)
    }
}

impl From<ServerLine> for String {
    fn from(line: ServerLine) -> Self {
        line.to_string()
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// A part of a line, and the byte where it begins.
#[derive(Debug, Clone, Copy)]
struct Piece<'a> {
    offset: usize,
    text: &'a str,
}

fn fault(offset: usize, message: impl Into<String>) -> LineFault {
    LineFault { offset, message: message.into() }
}

/// What stands between separators, without the white space around it; one at least.
fn pieces(text: &str, separator: char) -> Vec<Piece<'_>> {
    let mut from = 0;
    text.split(separator)
        .map(|part| {
            let offset = from + (part.len() - part.trim_start().len());
            from += part.len() + separator.len_utf8();
            Piece { offset, text: part.trim() }
        })
        .collect()
}

/// All addresses between servers, ordered, and the role that stands behind one or all of them.
fn servers(part: Piece<'_>) -> Result<(Vec<QuorumAddress>, Role), LineFault> {
    let (mut addresses, mut role) = (Vec::new(), None);
    for piece in pieces(part.text, '|') {
        let piece = Piece { offset: part.offset + piece.offset, ..piece };
        let (address, of_this) = server(piece)?;
        if let (Some(role), Some(other)) = (role, of_this)
            && role != other
        {
            return Err(fault(piece.offset, format!("one server is called both {role} and {other}")));
        }
        role = role.or(of_this);
        addresses.push(address);
    }
    if addresses.len() > ADDRESSES_MAX {
        return Err(fault(part.offset, format!("the server has more than {ADDRESSES_MAX} addresses")));
    }
    addresses.sort();
    addresses.dedup();
    Ok((addresses, role.unwrap_or(Role::Participant)))
}

/// `host:quorumPort:electionPort[:role]`.
fn server(piece: Piece<'_>) -> Result<(QuorumAddress, Option<Role>), LineFault> {
    let fields = fields(piece)?;
    let [host, quorum, election, role @ ..] = &fields[..] else {
        return Err(fault(piece.offset, format!("`{}` is no server, `{GRAMMAR}` is expected", shown(piece.text))));
    };
    let role = match role {
        [] => None,
        [role] if role.text.eq_ignore_ascii_case("participant") => Some(Role::Participant),
        [role] if role.text.eq_ignore_ascii_case("observer") => Some(Role::Observer),
        [role] => {
            let message = format!("`{}` is no role: `participant` or `observer` is expected", shown(role.text));
            return Err(fault(role.offset, message));
        }
        [_, extra, ..] => return Err(fault(extra.offset, format!("too many `:`, `{GRAMMAR}` is expected"))),
    };
    let (quorum_port, election_port) = (port(*quorum, "quorum port")?, port(*election, "election port")?);
    Ok((QuorumAddress { host: checked_host(*host)?, quorum_port, election_port }, role))
}

/// `[address:]port`; nothing at all only where a secure port follows.
fn client(piece: Piece<'_>, may_be_empty: bool) -> Result<Option<ClientAddress>, LineFault> {
    if piece.text.is_empty() && may_be_empty {
        return Ok(None);
    }
    let fields = fields(piece)?;
    let address = match &fields[..] {
        [only] => ClientAddress { host: ANY.to_owned(), port: port(*only, "client port")? },
        [host, last] => ClientAddress { host: checked_host(*host)?, port: port(*last, "client port")? },
        _ => return Err(fault(piece.offset, "`[address:]clientPort` is expected behind `;`")),
    };
    Ok(Some(address))
}

/// What stands between colons; the first may be an IPv6 address in brackets.
fn fields(piece: Piece<'_>) -> Result<Vec<Piece<'_>>, LineFault> {
    let at = |piece_: Piece<'_>| piece_.offset + piece.offset;
    let Some(inner) = piece.text.strip_prefix('[') else {
        return Ok(pieces(piece.text, ':').into_iter().map(|it| Piece { offset: at(it), ..it }).collect());
    };
    let Some((host, rest)) = inner.split_once(']') else {
        return Err(fault(piece.offset, "`[` is not closed by `]`"));
    };
    let behind = piece.offset + host.len() + 2;
    let Some(rest) = rest.strip_prefix(':') else {
        return Err(fault(behind, "`:` and a port are expected behind `]`"));
    };
    let host = Piece { offset: piece.offset + 1, text: host };
    let rest = pieces(rest, ':').into_iter().map(|it| Piece { offset: it.offset + behind + 1, ..it });
    Ok(std::iter::once(host).chain(rest).collect())
}

fn checked_host(piece: Piece<'_>) -> Result<String, LineFault> {
    if piece.text.is_empty() {
        return Err(fault(piece.offset, "the host is missing"));
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    if !piece.text.chars().all(is_plain) {
        return Err(fault(piece.offset, format!("`{}` is no host name or IP address", shown(piece.text))));
    }
    Ok(piece.text.to_owned())
}

fn port(piece: Piece<'_>, what: &str) -> Result<u16, LineFault> {
    match piece.text.parse::<u16>() {
        Ok(port) if port > 0 && piece.text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(port),
        _ if piece.text.is_empty() => Err(fault(piece.offset, format!("the {what} is missing"))),
        _ => Err(fault(piece.offset, format!("`{}` is no {what}: 1 to 65535 is expected", shown(piece.text)))),
    }
}

fn shown(text: &str) -> String {
    visible::bounded(text, 100).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> String {
        ServerLine::parse(text).map_or_else(|fault| format!("{}: {fault}", fault.offset), |line| line.to_string())
    }

    #[test]
    fn both_grammars_are_read_and_written_as_zookeeper_writes_them() {
        for (text, expected) in [
            ("zk-0:2888:3888", "zk-0:2888:3888:participant"),
            ("zk-0:2888:3888;2181", "zk-0:2888:3888:participant;0.0.0.0:2181"),
            (" zk-0 : 2888:3888 : OBSERVER ; 10.0.0.1:2181", "zk-0:2888:3888:observer;10.0.0.1:2181"),
            ("b:1:2|a:1:2:observer;9", "a:1:2|b:1:2:observer;0.0.0.0:9"),
            ("[::1]:1:2:participant;[::]:9", "[::1]:1:2:participant;[::]:9"),
            ("a:1:2;9;10", "a:1:2:participant;0.0.0.0:9;0.0.0.0:10"),
            ("a:1:2;;x:10", "a:1:2:participant;;x:10"),
        ] {
            assert_eq!(read(text), expected);
            assert_eq!(read(expected), expected);
        }
    }

    #[test]
    fn a_bad_line_is_refused_at_its_place() {
        for (text, expected) in [
            ("", "0: `` is no server"),
            ("a:1", "0: `a:1` is no server"),
            ("a:1:x", "4: `x` is no election port"),
            ("a::2", "2: the quorum port is missing"),
            ("a:1:70000", "4: `70000` is no election port"),
            ("a:+1:2", "2: `+1` is no quorum port"),
            ("a:1:0", "4: `0` is no election port"),
            ("a:1:2:voter", "6: `voter` is no role"),
            ("a:1:2:observer:9", "15: too many `:`"),
            ("a:1:2:observer|b:1:2:participant", "15: one server is called both"),
            ("a:1:2;", "6: the client port is missing"),
            ("a:1:2;x:y:1", "6: `[address:]clientPort` is expected"),
            ("a:1:2;1;2;3", "10: the line has more than two `;`"),
            ("[::1:2:3", "0: `[` is not closed"),
            ("[::1]2:3", "5: `:` and a port"),
            (":1:2", "0: the host is missing"),
            ("a b:1:2", "0: `a b` is no host name"),
        ] {
            assert!(read(text).starts_with(expected), "{text}: {}", read(text));
        }
    }

    #[test]
    fn zeros_are_unspecified_as_quorum_address_only() {
        let line = |text: &str| ServerLine::parse(text).unwrap();
        assert_eq!(line("zk-0:1:2;0.0.0.0:2181").unspecified_hosts().count(), 0);
        assert_eq!(line("0.0.0.0:1:2;2181").unspecified_hosts().collect::<Vec<_>>(), ["0.0.0.0"]);
        assert_eq!(line("[::]:1:2|zk:1:2").unspecified_hosts().collect::<Vec<_>>(), ["::"]);
    }

    #[test]
    fn a_client_port_without_an_address_is_one_of_each_host() {
        let line = ServerLine::parse("A:1:2|b:1:2;9").unwrap();
        assert!(line.endpoints().contains(&("a".to_owned(), 9)) && line.endpoints().contains(&("b".to_owned(), 9)));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_what_is_read_is_read_again_alike(text in "[ab:;|\\[\\]0-9 .é]{0,40}") {
            if let Ok(line) = ServerLine::parse(&text) {
                prop_assert_eq!(ServerLine::parse(&line.to_string()), Ok(line));
            }
        }
    }
}
