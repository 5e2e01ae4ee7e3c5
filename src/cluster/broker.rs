//! Brokers and the racks that they stand in.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::cluster::visible;

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

/// Most brokers that one range may have: a slip such as `1-10000000` should not fill the memory.
const RANGE_MAX: usize = 10_000;

/// Brokers as people write them: `1001`, or `1001-1006`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerRange(RangeInclusive<i32>);

impl BrokerRange {
    /// The brokers of the range, in order.
    pub fn ids(&self) -> impl Iterator<Item = BrokerId> + use<> {
        self.0.clone().map(BrokerId)
    }
}

impl FromStr for BrokerRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        if text.contains('-') && (first.trim().is_empty() || last.trim().is_empty()) {
            return Err(format!("the range `{text}` needs both its ends, as `1001-1006`"));
        }
        let (first, last) = (first.trim().parse::<BrokerId>()?.0, last.trim().parse::<BrokerId>()?.0);
        if first > last {
            return Err(format!("the range `{text}` ends before it starts"));
        }
        match usize::try_from(last - first) {
            Ok(width) if width < RANGE_MAX => Ok(Self(first..=last)),
            _ => Err(format!("the range `{text}` has more than {RANGE_MAX} brokers")),
        }
    }
}

/// A failure domain: `broker.rack`, on Kubernetes usually the zone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rack(pub String);

impl fmt::Display for Rack {
    /// As it may be shown; the rack itself is `.0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&visible::value(&self.0))
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
