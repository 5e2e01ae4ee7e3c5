//! [`Stuck`]: why a partition may not be touched.

use super::model::Model;
use crate::commands::mapping::observe::ObservedPartition;

/// Why a partition may not be touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stuck {
    /// A move of it runs now.
    Moving,
    /// No live broker holds an in-sync replica: there is nothing to copy from.
    Offline,
    /// A replica is on a broker that is gone and that was not asked to be emptied: a target may not name it.
    Gone,
    /// A replica is on a cordoned broker that was not asked to be emptied: Kafka refuses each target list that names it.
    Cordoned,
}

impl Stuck {
    /// Why the partition may not be touched, if so.
    pub(super) fn of(model: &Model<'_>, partition: usize, observed: &ObservedPartition) -> Option<Self> {
        if observed.moving {
            return Some(Self::Moving);
        }
        if observed.leader.is_none() || !model.synced(partition).contains(&true) {
            return Some(Self::Offline);
        }
        let gone = |broker: &u32| !model.node(*broker).live && !model.node(*broker).leaving;
        if model.replicas(partition).iter().any(gone) {
            return Some(Self::Gone);
        }
        let cordoned = |broker: &u32| model.node(*broker).cordoned && !model.node(*broker).leaving;
        model.replicas(partition).iter().any(cordoned).then_some(Self::Cordoned)
    }

    /// The code of its finding.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Moving => "moving",
            Self::Offline => "offline",
            Self::Gone => "broker-gone",
            Self::Cordoned => "cordoned",
        }
    }

    /// What is the matter with one partition, and what to do.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Moving => "a move of it runs now: let it finish or cancel it, then plan again",
            Self::Offline => "it has no live in-sync replica to copy from: bring one of its brokers back first",
            Self::Gone => "one of its replicas is on a broker that is gone: bring that back, or replace it first",
            Self::Cordoned => {
                "one of its replicas is on a cordoned broker, and Kafka refuses target lists that name one: uncordon it \
                 (delete `cordoned.log.dirs`), or take it out with `toolbox mapping evacuate`"
            }
        }
    }
}
