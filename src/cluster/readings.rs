//! What somebody measured of the brokers' networks.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::cluster::broker::BrokerId;
use crate::cluster::size::ByteRate;
use crate::cluster::throttle::Sides;

/// The source of an estimate from the growth of replicas: what consumers read is not in it.
pub const BROKERS: &str = "brokers";

/// The source of what a person said: what clients take, without any copying.
pub const STATIC: &str = "static";

/// What somebody measured of the brokers' networks.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Readings {
    /// Who, as `prometheus`.
    pub source: &'static str,
    /// What each broker sends (leaders) and receives (followers), and when that was; sides that nobody knows are missing.
    pub used: BTreeMap<BrokerId, Sides<Option<(ByteRate, Timestamp)>>>,
    /// Over how long a time they are means; none where they are of the last moment.
    pub over: Duration,
    /// Brokers that it says are not well, each with why.
    pub unwell: BTreeMap<BrokerId, String>,
    /// The instance type of brokers, where the source knows it.
    pub types: BTreeMap<BrokerId, String>,
}
