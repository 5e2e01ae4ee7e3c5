//! What the agent shows on its port, and what it can be asked to change.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::agent::inbox::Inbox;
use crate::agent::port::refusal::Refusal;
use crate::cluster::broker::BrokerId;
use crate::cluster::overrides::{Override, Overrides};
use crate::commands::throttle::plan::law::{Note, RateDecision};

/// What the agent did last.
#[derive(Debug, Clone, Default, Serialize)]
pub struct View {
    /// The cluster.
    pub cluster: String,
    /// Partitions that get replicas now.
    pub moving: usize,
    /// What is still to be copied.
    pub remaining_bytes: u64,
    /// Seconds to the end; none where it does not end at these rates, or nothing moves.
    pub eta_seconds: Option<f64>,
    /// Who measured the load.
    pub source: &'static str,
    /// Each rate and how it came about.
    pub rates: Vec<RateDecision>,
    /// What a person should know.
    pub notes: Vec<Note>,
    /// Rates that a person gave.
    pub overrides: Overrides,
    /// Why the overrides that people give can't be read or kept now; those that were read last hold.
    pub cut_off: Option<String>,
    /// Writes by their event's kind and how they ended.
    pub changes: BTreeMap<(&'static str, String), u64>,
}

/// What somebody asks for.
#[derive(Debug, Clone)]
pub enum Change {
    /// A rate for the cluster (none) or one broker.
    Set(Option<BrokerId>, Override),
    /// Takes that of the cluster (none) or of one broker back.
    Remove(Option<BrokerId>),
    /// Takes those of all single brokers back.
    RemoveOfBrokers,
}

impl Change {
    /// The overrides afterwards.
    pub fn applied(self, mut overrides: Overrides) -> Overrides {
        match self {
            Self::Set(None, given) => overrides.cluster = Some(given),
            Self::Set(Some(broker), given) => drop(overrides.brokers.insert(broker, given)),
            Self::Remove(None) => overrides.cluster = None,
            Self::Remove(Some(broker)) => drop(overrides.brokers.remove(&broker)),
            Self::RemoveOfBrokers => overrides.brokers.clear(),
        }
        overrides
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = |broker: &Option<BrokerId>| broker.map_or("all brokers".to_owned(), |id| format!("broker {id}"));
        match self {
            Self::Set(broker, given) => {
                write!(f, "{} asks for {} on {}", given.by, given.rate, whose(broker))?;
                match given.until {
                    Some(until) => write!(f, " until {}", until.round(jiff::Unit::Second).unwrap_or(until))?,
                    None => f.write_str(" until it is taken back")?,
                }
                f.write_str(if given.autoremove { ", or until nothing moves" } else { "" })
            }
            Self::Remove(broker) => write!(f, "the override of {} is taken back", whose(broker)),
            Self::RemoveOfBrokers => f.write_str("the overrides of all single brokers are taken back"),
        }
    }
}

/// What is asked of the agent over its port, and what holds afterwards.
pub type Asks = Inbox<Change, Result<Overrides, Refusal>>;

/// Where the agent shows what it did last.
#[derive(Debug, Default)]
pub struct Board(Mutex<View>);

impl Board {
    /// What the agent did last.
    pub fn view(&self) -> View {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes what is shown.
    pub fn show(&self, change: impl FnOnce(&mut View)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Forgets what was shown but the counters: another agent paces now, or a new term begins.
    pub fn begin(&self) {
        self.show(|view| {
            let (cluster, changes) = (std::mem::take(&mut view.cluster), std::mem::take(&mut view.changes));
            *view = View { cluster, changes, ..View::default() };
        });
    }
}
