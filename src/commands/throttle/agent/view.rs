//! What the agent shows on its port, and how it is asked to change something.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use crate::cluster::broker::BrokerId;
use crate::cluster::overrides::{Override, Overrides};
use crate::commands::throttle::plan::law::{Note, RateDecision};

/// Changes of overrides that may wait for the tick that runs.
pub const ASKED_MAX: usize = 16;

/// What the agent did last.
#[derive(Debug, Clone, Default, Serialize)]
pub struct View {
    /// The cluster.
    pub cluster: String,
    /// When the last tick that went well ended.
    pub at: Option<Timestamp>,
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
    /// Why the last tick failed, if it did.
    pub failure: Option<String>,
    /// Ticks by how they ended.
    pub ticks: BTreeMap<&'static str, u64>,
    /// Writes by their event's kind and how they ended.
    pub changes: BTreeMap<(&'static str, String), u64>,
}

/// What somebody asks for.
#[derive(Debug)]
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

/// A change and who waits for it.
#[derive(Debug)]
pub struct Asked {
    /// The change.
    pub change: Change,
    /// What holds afterwards, or why it could not be kept.
    pub answer: oneshot::Sender<Result<Overrides, String>>,
}

/// Between the agent and its port.
#[derive(Debug)]
pub struct Board {
    view: Mutex<View>,
    asks: mpsc::Sender<Asked>,
}

impl Board {
    /// A board, and where the agent hears what is asked.
    pub fn new() -> (Self, mpsc::Receiver<Asked>) {
        let (asks, asked) = mpsc::channel(ASKED_MAX);
        (Self { view: Mutex::default(), asks }, asked)
    }

    /// What the agent did last.
    pub fn view(&self) -> View {
        self.view.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes what is shown.
    pub fn show(&self, change: impl FnOnce(&mut View)) {
        change(&mut self.view.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Asks the agent, and waits for what it says.
    pub async fn ask(&self, change: Change) -> Result<Overrides, String> {
        let (answer, answered) = oneshot::channel();
        let busy = || "the agent is busy; try again".to_owned();
        self.asks.try_send(Asked { change, answer }).map_err(|_| busy())?;
        answered.await.map_err(|_| "the agent ends".to_owned())?
    }
}
