//! What the agent shows on its port, and what it can be asked to change.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::agent::inbox::Inbox;
use crate::agent::port::refusal::Refusal;
use crate::change::plan::{Risk, Step};
use crate::cluster::broker::BrokerId;
use crate::cluster::overrides::{ALL_RATES, Override, Overrides, RATE, RATES_OF_BROKERS, REMOVED};
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

/// A change of overrides, and who asks for it.
#[derive(Debug, Clone, Serialize)]
pub struct Change {
    /// Who asks for it.
    pub by: String,
    /// What for.
    pub edit: Edit,
}

/// What somebody asks for.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Edit {
    /// A rate for all brokers (none) or one broker.
    Set(Option<BrokerId>, Override),
    /// Removes that for all brokers (none) or of one broker.
    Remove(Option<BrokerId>),
    /// Removes those of all single brokers; the one for all brokers stays.
    RemoveOfBrokers,
    /// Removes all of them.
    RemoveAll,
}

impl Change {
    /// A rate for all brokers (none) or one broker.
    pub fn set(broker: Option<BrokerId>, given: Override) -> Self {
        Self { by: given.by.clone(), edit: Edit::Set(broker, given) }
    }

    /// The overrides afterwards.
    pub fn applied(&self, mut overrides: Overrides) -> Overrides {
        match &self.edit {
            Edit::Set(None, given) => overrides.cluster = Some(given.clone()),
            Edit::Set(Some(broker), given) => drop(overrides.brokers.insert(*broker, given.clone())),
            Edit::Remove(None) => overrides.cluster = None,
            Edit::Remove(Some(broker)) => drop(overrides.brokers.remove(broker)),
            Edit::RemoveOfBrokers => overrides.brokers.clear(),
            Edit::RemoveAll => overrides = Overrides::default(),
        }
        overrides
    }

    /// Why there is nothing to remove, where one override was named that does not exist.
    pub fn missing(&self, overrides: &Overrides) -> Option<String> {
        match &self.edit {
            Edit::Remove(None) if overrides.cluster.is_none() => {
                Some("there is no override for all brokers. Nothing was changed".to_owned())
            }
            Edit::Remove(Some(broker)) if !overrides.brokers.contains_key(broker) => {
                let other = match &overrides.cluster {
                    Some(given) => format!("; the one for all brokers is {} (DELETE /throttle)", given.rate),
                    None => String::new(),
                };
                Some(format!("broker {broker} has no override of its own{other}. Nothing was changed"))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = &self.by;
        let whose = |broker: &Option<BrokerId>| broker.map_or("all brokers".to_owned(), |id| format!("broker {id}"));
        match &self.edit {
            Edit::Set(broker, given) => {
                write!(f, "{by} sets an override of {} for {}", given.rate, whose(broker))?;
                match given.until {
                    Some(until) => write!(f, " until {}", until.round(jiff::Unit::Second).unwrap_or(until))?,
                    None => f.write_str(" until it is removed")?,
                }
                f.write_str(if given.autoremove { ", or until nothing moves" } else { "" })
            }
            Edit::Remove(broker) => write!(f, "{by} removes the override for {}", whose(broker)),
            Edit::RemoveOfBrokers => write!(f, "{by} removes the overrides of all single brokers"),
            Edit::RemoveAll => write!(f, "{by} removes all overrides"),
        }
    }
}

/// All changes of overrides are of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OverrideBatch;

impl fmt::Display for OverrideBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("overrides")
    }
}

impl Step for Change {
    type Batch = OverrideBatch;

    fn subject(&self) -> String {
        match &self.edit {
            Edit::Set(Some(broker), _) | Edit::Remove(Some(broker)) => format!("broker:{broker}"),
            Edit::Set(None, _) | Edit::Remove(None) | Edit::RemoveOfBrokers | Edit::RemoveAll => {
                "brokers:all".to_owned()
            }
        }
    }

    fn risk(&self) -> Risk {
        Risk::Reversible
    }

    fn kind(&self) -> &'static str {
        match &self.edit {
            Edit::Set(..) => "throttle.override_set",
            Edit::Remove(_) | Edit::RemoveOfBrokers | Edit::RemoveAll => "throttle.override_removed",
        }
    }

    fn batch(&self) -> OverrideBatch {
        OverrideBatch
    }

    fn before_after(&self) -> (Option<String>, Option<String>) {
        let removed = |key: &str| format!("{key}: {REMOVED}");
        let after = match &self.edit {
            Edit::Set(_, given) => given.lines(),
            Edit::Remove(_) => removed(RATE),
            Edit::RemoveOfBrokers => removed(RATES_OF_BROKERS),
            Edit::RemoveAll => removed(ALL_RATES),
        };
        (None, Some(after))
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
