//! What a command is handed: how to reach the clusters, the mode of the run, the clock, the recorder, the output.
//!
//! The way through: [`Context::observed`] (read, or load what was saved), the command's own pure plan, then
//! [`Context::settle`] (show, refuse, ask, carry out, record). No command prints plans, asks or records by itself.

mod brought;
pub mod completion;
mod config_maps;
mod connect;
mod dead_runs;
pub mod environment;
mod flags;
mod free;
pub mod load;
mod locks;
pub mod metrics;
mod observed;
mod place;
mod recording;
mod refusals;
pub mod rights;
mod run_end;
mod settle;
pub mod sources;
pub mod throttles;
mod toolbox_file;
pub mod watched;
mod zookeeper;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::change::brake::Brake;
use crate::change::event::Recorder;
use crate::change::settled::ensembles::ShownEnsemble;
use crate::change::settled::identities::ShownRegistry;
use crate::clients::kafka::Kafka;
use crate::clients::kubernetes::Kubernetes;
use crate::clients::zookeeper::ZooKeeper;
use crate::cluster::assignment::MovePlan;
use crate::cluster::map::Maps;
use crate::cluster::visible;
use crate::exit::Stop;
use crate::output::Output;
use crate::state::clock::{SteadyClock, boot_clock};
use crate::state::identity::ClusterRef;

pub use connect::ControllerArgs;
pub use flags::{Flags, RepeatFlags, duration};
pub use free::free_beside;
pub use locks::{LockCheck, LockHolder};
pub use observed::Loading;
pub use recording::{EventSink, Flushed, OpenError, RecordingFlags};
pub use settle::{Agreed, Settled};
pub use zookeeper::{LoginBy, ZooKeeperFlags};

/// Everything that a command needs from outside its room.
pub struct Context {
    /// The global flags.
    pub flags: Flags,
    /// UUIDv7 of this run.
    pub run_id: Uuid,
    /// The command, as `topics apply`: each command says it first, and it is named in every event.
    pub command: String,
    /// Which topics live on which brokers, from toolbox.yaml; empty where it has none.
    pub maps: Maps,
    /// The cluster's tags from toolbox.yaml, for events.
    pub tags: BTreeMap<String, String>,
    clock: fn() -> Timestamp,
    /// The same at the begin of this run, going on whatever becomes of the machine's clock.
    steady: SteadyClock,
    /// The cluster's name for events: known once its metadata was read.
    cluster: Option<String>,
    /// The toolbox.yaml of the working folder, where this run takes its cluster from it.
    working_folder_file: Option<PathBuf>,
    /// Whether the client properties were reached through that file alone.
    is_config_implicit: bool,
    /// Names and ids of the clusters in toolbox.yaml, for runs that address theirs without it.
    named_clusters: BTreeMap<String, String>,
    /// The cluster's id, once its metadata was read.
    cluster_id: Option<String>,
    /// What this run refused, beside what earlier ones did.
    refusals: refusals::Refusals,
    /// The door to Kafka, opened at the first use.
    kafka: OnceCell<Arc<dyn Kafka>>,
    /// The controllers, where they are reached directly; opened at the first use.
    controllers: OnceCell<Arc<dyn Kafka>>,
    /// The door to Kubernetes, opened at the first use.
    kubernetes: OnceCell<Arc<dyn Kubernetes>>,
    /// Whether that was given, as tests do: then there is no other connection to the same server.
    is_kubernetes_given: bool,
    /// Until when this run waits for the API server, where it is an init container.
    waits_until: Option<tokio::time::Instant>,
    /// The session with ZooKeeper, opened at the first use.
    zookeeper: OnceCell<Arc<dyn ZooKeeper>>,
    /// What toolbox.yaml says of it.
    zookeeper_of_cluster: zookeeper::OfCluster,
    /// What was seen of the ensemble that this run is about, once it was looked at.
    shown_ensemble: ShownEnsemble,
    /// The registry of ids that this run has read.
    shown_registry: Option<ShownRegistry>,
    /// The locks that this run holds.
    locks: Vec<locks::Lock>,
    /// Moves that one command planned and another carries out.
    handed_over: Option<MovePlan>,
    /// A run whose last steps another command carries out, until that has ended.
    open_run: Option<run_end::Open>,
    /// Asks this run to stop before its next batch.
    brake: Brake,
    /// Whether this run has settled what dead runs left open on its cluster.
    has_settled_dead_runs: bool,
    /// Where events go, opened at the first use.
    recorder: Option<Box<dyn Recorder>>,
}

impl Context {
    /// A context for one run.
    pub fn new(flags: Flags) -> Self {
        Self {
            flags,
            run_id: Uuid::now_v7(),
            command: String::new(),
            maps: Maps::default(),
            tags: BTreeMap::new(),
            clock: Timestamp::now,
            steady: SteadyClock::new(Timestamp::now(), boot_clock),
            cluster: None,
            working_folder_file: None,
            is_config_implicit: false,
            named_clusters: BTreeMap::new(),
            cluster_id: None,
            refusals: refusals::Refusals::default(),
            kafka: OnceCell::new(),
            controllers: OnceCell::new(),
            kubernetes: OnceCell::new(),
            is_kubernetes_given: false,
            waits_until: None,
            zookeeper: OnceCell::new(),
            zookeeper_of_cluster: zookeeper::OfCluster::default(),
            shown_ensemble: ShownEnsemble::default(),
            shown_registry: None,
            locks: Vec::new(),
            handed_over: None,
            open_run: None,
            brake: Brake::default(),
            has_settled_dead_runs: false,
            recorder: None,
        }
    }

    /// The same with another door to Kafka: a memory twin.
    #[must_use]
    pub fn with_kafka(mut self, kafka: Arc<dyn Kafka>) -> Self {
        self.kafka = OnceCell::new_with(Some(kafka));
        self
    }

    /// The same with other controllers: a fake.
    #[must_use]
    pub fn with_controllers(mut self, controllers: Arc<dyn Kafka>) -> Self {
        self.controllers = OnceCell::new_with(Some(controllers));
        self
    }

    /// The same with another door to Kubernetes: a memory twin.
    #[must_use]
    pub fn with_kubernetes(mut self, kubernetes: Arc<dyn Kubernetes>) -> Self {
        self.kubernetes = OnceCell::new_with(Some(kubernetes));
        self.is_kubernetes_given = true;
        self
    }

    /// The same with the brake of whoever may ask this run to stop.
    #[must_use]
    pub fn with_brake(mut self, brake: Brake) -> Self {
        self.brake = brake;
        self
    }

    /// The same with another recorder.
    #[must_use]
    pub fn with_recorder(mut self, recorder: Box<dyn Recorder>) -> Self {
        self.recorder = Some(recorder);
        self
    }

    /// The same with another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: fn() -> Timestamp) -> Self {
        self.clock = clock;
        self.steady = SteadyClock::new(clock(), boot_clock);
        self
    }

    /// The time, as the machine's clock has it: for schedules, and for what people read.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// The clock for everything whose age decides: it does not jump while this run goes on.
    pub fn steady(&self) -> SteadyClock {
        self.steady
    }

    /// Leaves moves for the command that carries moves out: it takes over when this one has ended.
    pub fn hand_over(&mut self, moves: MovePlan) {
        self.handed_over = Some(moves);
    }

    /// The moves that a command left, once.
    pub fn take_over(&mut self) -> Option<MovePlan> {
        self.handed_over.take()
    }

    /// How results are shown.
    pub fn output(&self) -> Output {
        Output { format: self.flags.output }
    }

    /// Whether nothing may be changed: `--dry-run`, or a rehearsal from a file.
    pub fn is_dry_run(&self) -> bool {
        self.flags.dry_run || self.flags.observed.is_some()
    }

    /// The cluster's name in toolbox.yaml, else its id, once that is known.
    pub fn cluster_name(&self) -> Option<&str> {
        self.cluster.as_deref()
    }

    /// Remembers which cluster this is, for the events, and stops the run if it is not the one that was expected.
    pub fn is_cluster(&mut self, id: &str) -> Result<(), Stop> {
        self.cluster_id = Some(id.to_owned());
        if let Some(expected) = self.flags.cluster_id.as_deref().filter(|expected| *expected != id) {
            return Err(Stop::refused(format!(
                "this is cluster {}, but {expected} is expected: nothing was changed; look at --bootstrap-server, \
                 --cluster and --cluster-id",
                visible::value(id)
            )));
        }
        self.cluster = Some(self.cluster_ref(id).name.unwrap_or_else(|| id.to_owned()));
        Ok(())
    }

    /// The cluster of that id, with its name: that of `--cluster`, else the one that toolbox.yaml has for the id.
    pub fn cluster_ref(&self, id: &str) -> ClusterRef {
        let name = self.flags.cluster.clone().or_else(|| self.named_clusters.get(id).cloned());
        ClusterRef { id: id.to_owned(), name }
    }
}
