//! The cluster as we know it so far: its brokers, its controller, and one connection to each broker that we spoke to.
//!
//! Nothing is asked ahead of need: the first request opens the first connection, every Metadata answer that passes by
//! refreshes what is known here. [`reading`] and [`writing`] send requests through it.
//!
//! [`reading`]: crate::clients::kafka::live::reading
//! [`writing`]: crate::clients::kafka::live::writing

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kafka_protocol::messages::DescribeClusterResponse;
use kafka_protocol::messages::MetadataRequest;
use kafka_protocol::messages::MetadataResponse;
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;
use tokio::time::timeout_at;

use crate::clients::kafka::KafkaError;
use crate::clients::kafka::gate::WriteGate;
use crate::clients::kafka::live::calls::Call;
use crate::clients::kafka::live::connection::Connection;
use crate::clients::kafka::live::connection::Dialer;
use crate::clients::kafka::live::connection::Trouble;
use crate::clients::kafka::live::losses::Losses;
use crate::clients::kafka::live::quorum::check_described;
use crate::clients::kafka::live::quorum::controllers_only;
use crate::clients::kafka::settings::Settings;
use crate::clients::kafka::tls::Connector;
use crate::cluster::address::Address;
use crate::cluster::broker::BrokerId;

/// How long a broker that did not answer in time is asked only if no other can be.
const REST: Duration = Duration::from_secs(10);

/// How long a broker that did not pass a request on in time is given such requests only if no other can be. It may answer
/// all else at once: cut off from the controller, or with a thread that hangs.
const CUT_OFF: Duration = Duration::from_mins(1);

/// Whom a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// Any broker; this one, if it is at hand.
    Any(Option<BrokerId>),
    /// The controller. In KRaft any broker passes the request on to it.
    Controller,
    /// This broker.
    Broker(BrokerId),
}

/// Whose addresses a client starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Brokers: they know each other (Metadata), and in KRaft pass on what is for the controller.
    Brokers,
    /// Controllers, on their own listener (Kafka 3.7): they know each other (DescribeCluster), and only the active one
    /// answers for the quorum.
    Controllers,
}

/// What any broker is asked for: it decides who is asked first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Errand {
    /// What each broker knows itself; this one is asked first, if it is at hand.
    Own(Option<BrokerId>),
    /// What a broker has to ask the controller for.
    PassedOn,
    /// Whether it is alive, before something to pass on is sent to it.
    Alive,
}

/// A cluster, its brokers and the connections to them.
#[derive(Debug)]
pub(super) struct Cluster {
    dialer: Arc<Dialer>,
    side: Side,
    bootstrap: Vec<Address>,
    known: Mutex<Known>,
    /// What must be true before a write is sent.
    gate: WriteGate,
    /// How long answers were waited for in vain.
    losses: Option<Losses>,
}

#[derive(Debug, Default)]
struct Known {
    brokers: BTreeMap<BrokerId, Address>,
    controller: Option<BrokerId>,
    kraft: Option<bool>,
    cluster_id: Option<StrBytes>,
    /// The first address that led to another server than before.
    misrouted: Option<KafkaError>,
    /// Whether brokers can be told for whom a connection is.
    knows_names: bool,
    slots: BTreeMap<Address, Arc<Slot>>,
}

/// One broker's place for a connection. Who needs one while it is being made waits for it.
#[derive(Debug, Default)]
struct Slot {
    opening: tokio::sync::Mutex<()>,
    connection: Mutex<Option<Arc<Connection>>>,
    rests_until: Mutex<Option<Instant>>,
    cut_off_until: Mutex<Option<Instant>>,
}

impl Cluster {
    /// Prepares TLS where it is asked for; connects to nothing.
    pub(super) fn new(settings: Settings) -> Result<Self, KafkaError> {
        let (side, addresses) = match (&settings.bootstrap[..], &settings.bootstrap_controllers[..]) {
            ([], []) => {
                return Err(KafkaError::Settings("no broker to start from; give --bootstrap-server".to_owned()));
            }
            (brokers, []) => (Side::Brokers, brokers),
            (_, controllers) => (Side::Controllers, controllers),
        };
        let connector = Connector::new(&settings)?;
        let bootstrap = addresses.to_vec();
        let dialer = Arc::new(Dialer::new(settings, connector));
        Ok(Self::of(dialer, (side, bootstrap)))
    }

    /// The same cluster on connections of its own, for another thread and its runtime. Passwords are not salted again.
    pub(super) fn beside(&self) -> Self {
        let dialer = Dialer {
            settings: self.dialer.settings.clone(),
            connector: self.dialer.connector.clone(),
            salted: Arc::clone(&self.dialer.salted),
            admission: Arc::clone(&self.dialer.admission),
            requests_sent: AtomicU64::new(0),
        };
        // A lock has deadlines of its own, and needs each of them whole.
        Self { losses: None, ..Self::of(Arc::new(dialer), (self.side, self.bootstrap.clone())) }
    }

    fn of(dialer: Arc<Dialer>, (side, bootstrap): (Side, Vec<Address>)) -> Self {
        let gate = WriteGate::default();
        Self { dialer, side, bootstrap, known: Mutex::default(), gate, losses: Some(Losses::default()) }
    }

    /// What must be true before a write is sent.
    pub(super) fn gate(&self) -> &WriteGate {
        &self.gate
    }

    /// The longest that one call may take.
    pub(super) fn timeout(&self) -> Duration {
        self.dialer.settings.timeout
    }

    /// Whether its listeners speak TLS.
    pub(super) fn has_tls(&self) -> bool {
        self.dialer.settings.security.tls.is_some()
    }

    /// When a call that begins now must end.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.timeout()
    }

    /// How long answers were waited for in vain; locks do not count it.
    pub(super) fn losses(&self) -> Option<&Losses> {
        self.losses.as_ref()
    }

    /// Requests sent so far.
    pub(super) fn requests_sent(&self) -> u64 {
        self.dialer.requests_sent.load(Ordering::Relaxed)
    }

    /// Remembers brokers and controller from an answer.
    pub(super) fn learn(&self, answer: &MetadataResponse, address: &Address) -> Result<(), KafkaError> {
        if answer.brokers.is_empty() {
            return Ok(());
        }
        let brokers = answer.brokers.iter().filter_map(|broker| {
            let port = u16::try_from(broker.port).ok()?;
            Some((BrokerId(broker.node_id.0), Address { host: broker.host.to_string(), port }))
        });
        let controller = (answer.controller_id.0 >= 0).then_some(BrokerId(answer.controller_id.0));
        self.know((brokers.collect(), controller), answer.cluster_id.as_ref(), address)
    }

    /// Remembers controllers from an answer.
    pub(super) fn learn_controllers(
        &self,
        answer: &DescribeClusterResponse,
        address: &Address,
    ) -> Result<(), KafkaError> {
        let nodes = answer.brokers.iter().filter_map(|node| {
            let port = u16::try_from(node.port).ok()?;
            Some((BrokerId(node.broker_id.0), Address { host: node.host.to_string(), port }))
        });
        let active = (answer.controller_id.0 >= 0).then_some(BrokerId(answer.controller_id.0));
        self.know((nodes.collect(), active), Some(&answer.cluster_id), address)
    }

    fn know(
        &self,
        (brokers, controller): (BTreeMap<BrokerId, Address>, Option<BrokerId>),
        cluster_id: Option<&StrBytes>,
        address: &Address,
    ) -> Result<(), KafkaError> {
        let mut known = self.known();
        if let (Some(expected), Some(found)) = (&known.cluster_id, cluster_id)
            && expected != found
        {
            let why = format!("belongs to cluster {found}, but this run began with cluster {expected}");
            let error = KafkaError::Misrouted { address: address.to_string(), why };
            known.forget(error.clone());
            known.slots.remove(address);
            return Err(error);
        }
        known.brokers = brokers;
        known.cluster_id = cluster_id.cloned().or_else(|| known.cluster_id.take());
        known.controller = controller;
        if let Some(connection) = known.slots.get(address).and_then(|slot| slot.usable()) {
            connection.confirm();
        }
        // Connections to brokers that are gone are closed; bootstrap addresses stay.
        let Known { brokers, slots, .. } = &mut *known;
        slots.retain(|address, _| self.bootstrap.contains(address) || brokers.values().any(|one| one == address));
        Ok(())
    }

    /// Notes that an address leads to another node than before: the brokers are forgotten, so that they are asked for again
    /// at the addresses to start from, where nobody is meant. The error for whoever reads.
    fn misrouted(&self, address: &Address, why: String) -> KafkaError {
        let tried = vec![(address.to_string(), why.clone())];
        self.known().forget(KafkaError::Misrouted { address: address.to_string(), why });
        KafkaError::Unreachable { tried, within: self.timeout() }
    }

    /// Refuses a write once any address led to another server than before.
    fn check_routes(&self) -> Result<(), Trouble> {
        self.known().misrouted.clone().map_or(Ok(()), |error| Err(Trouble::Fatal(error)))
    }

    /// Live brokers, as far as we know.
    pub(super) fn brokers(&self) -> Vec<BrokerId> {
        self.known().brokers.keys().copied().collect()
    }

    /// Where a broker listens.
    pub(super) fn address_of(&self, broker: BrokerId) -> Option<Address> {
        self.known().brokers.get(&broker).cloned()
    }

    /// The controller in ZooKeeper mode.
    pub(super) fn controller(&self) -> Option<BrokerId> {
        self.known().controller
    }

    /// The addresses to start from.
    pub(super) fn bootstrap(&self) -> &[Address] {
        &self.bootstrap
    }

    /// Whose addresses the client started from.
    pub(super) fn side(&self) -> Side {
        self.side
    }

    /// The cluster's id; none where the servers do not tell.
    pub(super) async fn cluster_id(&self, deadline: Instant) -> Result<Option<StrBytes>, KafkaError> {
        self.know_brokers(deadline).await?;
        Ok(self.known().cluster_id.clone())
    }

    /// Whether the cluster runs on KRaft; `None` before the first connection.
    pub(super) fn is_kraft(&self) -> Option<bool> {
        self.known().kraft
    }

    /// Asks for brokers and controller, or for the controllers.
    pub(super) async fn refresh(&self, deadline: Instant) -> Result<(), KafkaError> {
        match self.side {
            Side::Brokers => {
                let (answer, address) = self.read_any(Errand::Own(None), &brokers_only, deadline).await?;
                self.learn(&answer, &address)
            }
            Side::Controllers => {
                let (answer, address) = self.read_any(Errand::Own(None), &controllers_only, deadline).await?;
                check_described(&answer, &address)?;
                self.learn_controllers(&answer, &address)
            }
        }
    }

    /// Asks for brokers if none are known yet.
    pub(super) async fn know_brokers(&self, deadline: Instant) -> Result<Vec<BrokerId>, KafkaError> {
        if self.known().brokers.is_empty() {
            self.refresh(deadline).await?;
        }
        Ok(self.brokers())
    }

    /// All addresses that may be asked something that any broker can answer: the preferred one, then those that
    /// answered latest, then those that we have not spoken to; last those that were silent, or that did not pass on what
    /// is to be passed on.
    pub(super) fn candidates(&self, errand: Errand) -> Vec<Address> {
        let known = self.known();
        let preferred = match errand {
            Errand::Own(preferred) => preferred.and_then(|broker| known.brokers.get(&broker)),
            Errand::PassedOn | Errand::Alive => None,
        };
        let is_passed_on = !matches!(errand, Errand::Own(_));
        let mut all: Vec<Address> = known.brokers.values().chain(&self.bootstrap).cloned().collect();
        if known.brokers.is_empty() {
            all.extend(known.slots.keys().cloned());
        }
        let mut seen = std::collections::BTreeSet::new();
        all.retain(|address| seen.insert(address.clone()));
        let now = Instant::now();
        // Sorting is stable: what is equal keeps the order of brokers, then that of the bootstrap list.
        all.sort_by_key(|address| {
            let slot = known.slots.get(address);
            let silence = slot.and_then(|slot| slot.usable()).map(|connection| now - connection.last_answer());
            let rests = slot.is_some_and(|slot| slot.rests() || is_passed_on && slot.is_cut_off());
            (rests, Some(address) != preferred, silence.is_none(), silence)
        });
        all
    }

    /// These brokers: those first that answered latest, last those that were silent.
    pub(super) fn by_last_answer(&self, brokers: &[BrokerId]) -> Vec<BrokerId> {
        let order = self.candidates(Errand::Own(None));
        let mut brokers = brokers.to_vec();
        brokers.sort_by_cached_key(|broker| {
            let address = self.address_of(*broker);
            address.and_then(|address| order.iter().position(|one| *one == address)).unwrap_or(usize::MAX)
        });
        brokers
    }

    /// A connection that is open now.
    pub(super) fn open_connection(&self, address: &Address) -> Option<Arc<Connection>> {
        self.known().slots.get(address)?.usable()
    }

    /// The connection to an address; opens it if need be.
    pub(super) async fn connection(&self, address: &Address, deadline: Instant) -> Result<Arc<Connection>, KafkaError> {
        let slot = Arc::clone(self.known().slots.entry(address.clone()).or_default());
        if let Some(connection) = slot.usable() {
            return Ok(connection);
        }
        let Ok(_turn) = timeout_at(deadline, slot.opening.lock()).await else {
            return Err(self.silent(address));
        };
        if let Some(connection) = slot.usable() {
            return Ok(connection);
        }
        let node = self.known().node_at(address);
        let connection = match Connection::open(&self.dialer, address, node, deadline).await {
            Err(KafkaError::Misrouted { why, .. }) => return Err(self.misrouted(address, why)),
            opened => Arc::new(opened?),
        };
        let mut known = self.known();
        known.kraft = Some(connection.versions().is_kraft());
        known.knows_names = connection.versions().knows_names();
        drop(known);
        *slot.connection.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&connection));
        Ok(connection)
    }

    /// Connects if need be, asks, and waits for the answer.
    pub(super) async fn attempt<C: Call>(
        &self,
        address: &Address,
        make: &(impl Fn(i16) -> C + Sync),
        deadline: Instant,
    ) -> Result<C::Answer, Trouble> {
        let connection = self.connected(address, deadline).await?;
        let answer = connection.call(make, deadline).await?;
        self.rest(address, None);
        Ok(answer)
    }

    /// The same for a write: right before it is sent, and after all waiting, the gate is asked.
    pub(super) async fn attempt_write<C: Call>(
        &self,
        address: &Address,
        make: &(impl Fn(i16) -> C + Sync),
        deadline: Instant,
    ) -> Result<C::Answer, Trouble> {
        self.check_routes()?;
        let connection = self.connected(address, deadline).await;
        self.check_routes()?;
        let connection = connection?;
        connection.keep_quiet(deadline).await?;
        self.gate.check().map_err(|why| Trouble::Fatal(KafkaError::LockNotHeld { why }))?;
        let answer = connection.call(make, deadline).await?;
        self.rest(address, None);
        Ok(answer)
    }

    async fn connected(&self, address: &Address, deadline: Instant) -> Result<Arc<Connection>, Trouble> {
        self.connection(address, deadline).await.map_err(|error| match error {
            KafkaError::Unreachable { tried, .. } => {
                Trouble::NotSent(tried.into_iter().map(|(_, why)| why).collect::<Vec<_>>().join("; "))
            }
            error => Trouble::Fatal(error),
        })
    }

    /// Lets a silent broker rest, or ends its rest.
    pub(super) fn rest(&self, address: &Address, time: Option<Duration>) {
        if let Some(slot) = self.known().slots.get(address) {
            *slot.rests_until.lock().unwrap_or_else(PoisonError::into_inner) = time.map(|time| Instant::now() + time);
        }
    }

    /// Notes whether a broker passed a request on to the controller in time. It keeps this name while it answers all else.
    pub(super) fn passed_on(&self, address: &Address, in_time: bool) {
        if let Some(slot) = self.known().slots.get(address) {
            let until = (!in_time).then(|| Instant::now() + CUT_OFF);
            *slot.cut_off_until.lock().unwrap_or_else(PoisonError::into_inner) = until;
        }
    }

    /// Notes that a broker takes long, so that others are asked first for a while.
    pub(super) fn let_rest(&self, address: &Address) {
        self.rest(address, Some(REST));
    }

    /// What to say when an address gave no answer until the deadline.
    pub(super) fn silent(&self, address: &Address) -> KafkaError {
        let tried = vec![(address.to_string(), "did not answer in time".to_owned())];
        KafkaError::Unreachable { tried, within: self.timeout() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Forgets the brokers, because an address led to another server than before. The cluster that is meant stays known.
    fn forget(&mut self, why: KafkaError) {
        self.misrouted.get_or_insert(why);
        self.brokers.clear();
        self.controller = None;
    }

    /// Whom we expect at an address: the cluster's id and the broker's, where brokers can be told.
    fn node_at(&self, address: &Address) -> Option<(StrBytes, i32)> {
        let (broker, _) = self.brokers.iter().find(|(_, known)| self.knows_names && *known == address)?;
        Some((self.cluster_id.clone()?, broker.0))
    }
}

impl Slot {
    fn usable(&self) -> Option<Arc<Connection>> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        connection.as_ref().filter(|connection| connection.is_usable()).cloned()
    }

    fn rests(&self) -> bool {
        is_ahead(&self.rests_until)
    }

    fn is_cut_off(&self) -> bool {
        is_ahead(&self.cut_off_until)
    }
}

fn is_ahead(until: &Mutex<Option<Instant>>) -> bool {
    until.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| Instant::now() < until)
}

/// The request for brokers and controller, without topics.
pub(super) fn brokers_only(_version: i16) -> MetadataRequest {
    MetadataRequest::default().with_topics(Some(Vec::new())).with_allow_auto_topic_creation(false)
}
