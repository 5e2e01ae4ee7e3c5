//! What the control law knows of a cluster at one moment.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cluster::broker::BrokerId;
use crate::cluster::size::{ByteRate, Bytes};
use crate::cluster::throttle::Sides;
use crate::cluster::topic::TopicPartition;

/// What the control law knows.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Snapshot {
    /// What moves, ordered by partition.
    pub moving: Vec<Moving>,
    /// The brokers that take part, and others.
    pub brokers: BTreeMap<BrokerId, Load>,
}

/// A partition that gets new replicas, or whose replicas come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moving {
    /// The partition.
    pub partition: TopicPartition,
    /// Its leader; none while it is offline, and then nothing can be copied.
    pub leader: Option<BrokerId>,
    /// Replicas that have all of it, the leader among them: any of them may lead next.
    pub sources: Vec<BrokerId>,
    /// Followers that are in sync now.
    pub followers_in_sync: u32,
    /// Replicas that are not in sync yet, and what each still lacks.
    pub adding: Vec<(BrokerId, Bytes)>,
    /// What producers write to it.
    pub writes: ByteRate,
}

/// One broker. The leaders' side is what it sends, the followers' side is what it receives.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Load {
    /// What its network can do.
    pub capacity: Option<Sides<ByteRate>>,
    /// What goes over its network, whoever causes it; none where nobody could measure it.
    pub used: Option<Sides<ByteRate>>,
    /// When that was measured.
    pub at: Option<Timestamp>,
    /// Over how long a time it is the mean; none of what was measured since the look before.
    #[serde(default)]
    pub over: Duration,
    /// What is copied, as measured since the look before; none where no copying is in what it uses.
    pub moving: Sides<ByteRate>,
    /// Why it, or a broker that it copies from or to, is not well; none if all is.
    pub unwell: Option<String>,
}
