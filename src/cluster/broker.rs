//! Brokers and the racks that they stand in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A broker's id: `broker.id` in ZooKeeper mode, `node.id` in KRaft. 0 to 2,147,483,647.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BrokerId(pub i32);

impl fmt::Display for BrokerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for BrokerId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<i32>() {
            Ok(id) if id >= 0 => Ok(Self(id)),
            _ => Err(format!("`{text}` is not a broker id: a whole number from 0 to 2147483647 is expected")),
        }
    }
}

/// A failure domain: `broker.rack`, on Kubernetes usually the zone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rack(pub String);

impl fmt::Display for Rack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A live broker, as the cluster's metadata lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broker {
    /// Its id.
    pub id: BrokerId,
    /// Host name or address that it advertises to clients.
    pub host: String,
    /// Port that it advertises to clients.
    pub port: u16,
    /// Its rack, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rack: Option<Rack>,
}
