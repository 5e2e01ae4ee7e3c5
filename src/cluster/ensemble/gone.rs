//! Whether a server is gone for good: only then may a membership lose it without anybody asking for that server.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A server that was seen alive less than this ago is never gone for good, and a node object must be missing for as long.
pub const GONE_AFTER: Duration = Duration::from_mins(15);

/// What is known about a server's disk, node and last sign of life. Ages are of a clock that does not jump.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Evidence {
    /// How long ago it answered last, or may have, if it was ever seen to.
    pub last_alive: Option<Duration>,
    /// How long the node that its volume is bound to has not existed (NotFound; a node that is NotReady exists).
    pub node_missing: Option<Duration>,
    /// Whether its volume or claim was deleted.
    pub volume_deleted: bool,
}

/// Whether a server is gone for good, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Gone {
    /// It is: its disk does not come back.
    ForGood(Why),
    /// It is not, or it is not known.
    No(WhyNot),
}

/// Why a server counts as gone for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Why {
    /// Somebody said so (`ensemble retire`).
    Retired,
    /// The node of its volume has not existed for 15 minutes.
    NodeDeleted,
    /// Its volume or claim was deleted.
    VolumeDeleted,
}

/// Why a server does not count as gone for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WhyNot {
    /// It answers now, or did within the last 15 minutes, or may have: not every answer is noted.
    SeenAlive,
    /// Its node is missing, but not for 15 minutes yet.
    NodeMissingTooShort,
    /// Nothing says so: it may come back with its disk.
    NoEvidence,
}

impl Evidence {
    /// Whether the server is gone for good. `is_retired`: somebody said so; `is_silent`: it does not answer now.
    pub fn verdict(&self, is_retired: bool, is_silent: bool) -> Gone {
        if !is_silent || self.last_alive.is_some_and(|age| age < GONE_AFTER) {
            return Gone::No(WhyNot::SeenAlive);
        }
        if is_retired {
            return Gone::ForGood(Why::Retired);
        }
        if self.volume_deleted {
            return Gone::ForGood(Why::VolumeDeleted);
        }
        match self.node_missing {
            Some(age) if age >= GONE_AFTER => Gone::ForGood(Why::NodeDeleted),
            Some(_) => Gone::No(WhyNot::NodeMissingTooShort),
            None => Gone::No(WhyNot::NoEvidence),
        }
    }
}

impl Gone {
    /// Whether it is gone for good.
    pub fn is_for_good(&self) -> bool {
        matches!(self, Self::ForGood(_))
    }
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ForGood(Why::Retired) => "gone for good: it was retired",
            Self::ForGood(Why::NodeDeleted) => "gone for good: the node of its volume was deleted at least 15 min ago",
            Self::ForGood(Why::VolumeDeleted) => "gone for good: its volume was deleted",
            Self::No(WhyNot::SeenAlive) => "not gone for good: it was, or may have been, alive within the last 15 min",
            Self::No(WhyNot::NodeMissingTooShort) => {
                "not gone for good: its node has been missing for less than 15 min"
            }
            Self::No(WhyNot::NoEvidence) => {
                "not gone for good: its disk may come back (`toolbox ensemble retire` says that it will not)"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_retired_server_or_a_lost_disk_is_gone_for_good_and_never_one_seen_alive() {
        let minutes = |count: u64| Some(Duration::from_secs(60 * count));
        let none = Evidence::default();
        let unbound = |age| Evidence { node_missing: age, ..Evidence::default() };
        let volume = Evidence { volume_deleted: true, ..Evidence::default() };
        let young = Evidence { last_alive: minutes(14), volume_deleted: true, ..Evidence::default() };
        let old = Evidence { last_alive: minutes(15), ..Evidence::default() };
        for (evidence, is_retired, is_silent, expected) in [
            (&none, false, true, Gone::No(WhyNot::NoEvidence)),
            (&none, true, true, Gone::ForGood(Why::Retired)),
            (&none, true, false, Gone::No(WhyNot::SeenAlive)),
            (&unbound(minutes(14)), false, true, Gone::No(WhyNot::NodeMissingTooShort)),
            (&unbound(minutes(15)), false, true, Gone::ForGood(Why::NodeDeleted)),
            (&volume, false, true, Gone::ForGood(Why::VolumeDeleted)),
            (&volume, false, false, Gone::No(WhyNot::SeenAlive)),
            (&young, true, true, Gone::No(WhyNot::SeenAlive)),
            (&old, true, true, Gone::ForGood(Why::Retired)),
        ] {
            assert_eq!(evidence.verdict(is_retired, is_silent), expected, "{evidence:?} {is_retired} {is_silent}");
        }
    }
}
