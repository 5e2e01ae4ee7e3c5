//! A fake ensemble in memory: nodes with versions and access lists, and incremental reconfiguration by the rules that real
//! servers showed. No processes: whether a server is connected and up to date is what the test says.

mod ensemble;
mod session;
mod tree;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use session::MemorySession;

use self::ensemble::Ensemble;
use self::session::Watched;
use self::tree::Tree;
use crate::clients::zookeeper::Refusal;
use crate::formats::secret::SecretString;

/// What happens to the next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: it is carried out and answered. For faults of later requests.
    Nothing,
    /// It is carried out, and its answer is lost.
    AnswerLost,
    /// It is lost itself; the caller can't know.
    RequestLost,
    /// The server refuses it.
    Refused(Refusal),
    /// The session has expired.
    Expired,
}

/// The ensemble; clones are the same one.
#[derive(Debug, Clone)]
pub struct Memory {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    tree: Tree,
    ensemble: Ensemble,
    faults: VecDeque<Fault>,
    super_password: Option<SecretString>,
    sessions: i64,
    watched: Vec<Watched>,
}

impl Memory {
    /// An ensemble of these servers, each as `server.N=HOST:QUORUM:ELECTION[:ROLE];CLIENT`, all of them connected; the first
    /// one leads. Dynamic reconfiguration is on.
    pub fn new(servers: &[&str]) -> Self {
        let state = State {
            tree: Tree::new(),
            ensemble: Ensemble::new(servers),
            faults: VecDeque::new(),
            super_password: None,
            sessions: 0,
            watched: Vec::new(),
        };
        let memory = Self { state: Arc::new(Mutex::new(state)) };
        memory.state().publish();
        memory
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session of nobody in particular.
    pub fn session(&self) -> MemorySession {
        MemorySession::new(self, None)
    }

    /// A session of a digest user.
    pub fn session_as(&self, user: &str, password: &SecretString) -> MemorySession {
        MemorySession::new(self, Some((user, password)))
    }

    /// Lets the digest user `super` with this password do everything.
    pub fn set_super_password(&self, password: SecretString) {
        self.state().super_password = Some(password);
    }

    /// Whether a server is connected to the leader and up to date.
    pub fn set_connected(&self, id: u64, is_connected: bool) {
        self.state().ensemble.set_connected(id, is_connected);
    }

    /// `reconfigEnabled`.
    pub fn set_reconfig_enabled(&self, is_enabled: bool) {
        self.state().ensemble.is_reconfig_enabled = is_enabled;
    }

    /// Makes the server a standalone one, which has no reconfiguration and no configuration.
    pub fn set_standalone(&self) {
        let mut state = self.state();
        state.ensemble.is_standalone = true;
        state.publish();
    }

    /// Leaves the ensemble in the middle of a reconfiguration, as a leader that waits for its new quorum.
    pub fn set_reconfig_in_progress(&self, is_in_progress: bool) {
        self.state().ensemble.is_in_progress = is_in_progress;
    }

    /// Queues what happens to the requests to come, of whichever session.
    pub fn add_fault(&self, fault: Fault) {
        self.state().faults.push_back(fault);
    }

    /// How many configurations there were: each change that is accepted makes one.
    pub fn changes(&self) -> u64 {
        self.state().ensemble.changes
    }
}

impl State {
    /// Writes the configuration into its node.
    fn publish(&mut self) {
        let zxid = self.tree.next_zxid();
        self.ensemble.version = zxid;
        let text = self.ensemble.text();
        self.tree.write_configuration(text, zxid);
    }
}
