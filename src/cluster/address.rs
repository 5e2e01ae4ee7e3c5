//! Where something listens: a host and a port.

use core::net::Ipv6Addr;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A host and a port. Of a peer, both are what it says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Address {
    /// Host name or IP address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Address {
    /// This host and port.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }

    /// Reads `HOST:PORT`, as `zk-0.zk:2181` or `[::1]:2181`; none where it is something else.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let port = port.parse().ok().filter(|port| *port > 0)?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(inner) => inner.parse::<Ipv6Addr>().is_ok().then(|| Self::new(inner, port)),
            None => (!host.is_empty() && host.chars().all(is_name)).then(|| Self::new(host, port)),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&show_address(&self.host, self.port))
    }
}

/// `HOST:PORT`, an IPv6 address in brackets.
pub fn show_address(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_back_as_it_is_shown_and_nothing_else_is_one() {
        for text in ["a:2181", "zk-0.zk_1:1", "[::1]:65535", "127.0.0.1:9092"] {
            assert_eq!(Address::parse(text).unwrap().to_string(), text);
        }
        for wrong in ["", "a", "a:0", "a:b", ":1", "[a]:1", "::1:1", "a b:1", "a:70000", "[::1]"] {
            assert_eq!(Address::parse(wrong), None, "{wrong}");
        }
    }
}
