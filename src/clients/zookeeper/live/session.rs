//! The task that keeps one session: it connects, sends what it is handed, hands answers back, pings, and connects anew.
//!
//! A request that was sent when the connection went away gets [`ZooKeeperError::ConnectionLoss`] and is never sent again;
//! one that was not sent waits for the next connection for as long as its caller does. The session goes on with its number
//! and password at any other server, until a server says that it has expired. Watches are set anew there, and each
//! watcher gets an event that says that others may be missing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::code;
use super::dial::{Dialer, Failed, show_io};
use super::handshake::{Identity, open};
use super::jute::{Reader, Writer};
use super::requests::Request;
use super::wire::{Header, Wire};
use crate::clients::zookeeper::nodes::Watcher;
use crate::clients::zookeeper::{Event, EventKind, WatchKind, ZooKeeperError};
use crate::cluster::address::{Address, show_address};

/// Requests under way; more wait.
const IN_FLIGHT_MAX: usize = 1000;
/// The first pause after no server could be used, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// The longest try of one server.
const TRY_MAX: Duration = Duration::from_secs(5);
/// The shortest: less would fail on a busy machine.
const TRY_MIN: Duration = Duration::from_millis(500);
/// Why a server could not be used that took too long.
const SILENT: &str = "it does not answer";
/// How long the end of a session is waited for.
const CLOSE_MAX: Duration = Duration::from_secs(1);

/// The code of an answer in a session that has expired.
const EXPIRED: i32 = -112;
/// The number of events.
const NOTIFICATION_XID: i32 = -1;
const PING_XID: i32 = -2;
const SET_WATCHES_XID: i32 = -8;

/// What a caller hands over.
#[derive(Debug)]
pub(super) struct Job {
    /// What is asked.
    pub(super) request: Request,
    /// For a watch: what is watched, and where its events go.
    pub(super) watcher: Option<(String, WatchKind, Watcher)>,
    /// Set before the request is sent: whoever gives up looks at it.
    pub(super) is_sent: Arc<AtomicBool>,
    /// Where code and body of the answer go.
    pub(super) reply: oneshot::Sender<Result<(i32, Bytes), ZooKeeperError>>,
}

/// How the session stands.
#[derive(Debug, Clone)]
pub(super) enum State {
    /// It has a connection.
    Connected,
    /// It has none now; what each server said.
    Disconnected(Vec<(String, String)>),
    /// It has ended.
    Ended(ZooKeeperError),
}

/// A session.
#[derive(Debug)]
pub(super) struct Session {
    dialer: Arc<Dialer>,
    identity: Identity,
    /// Which address is tried next.
    next: usize,
    lifetime: Duration,
    watches: BTreeMap<(String, WatchKind), Vec<Watcher>>,
    pending: VecDeque<(i32, Job)>,
    jobs: mpsc::Receiver<Job>,
    state: watch::Sender<State>,
}

/// Why a connection is not served any more.
enum Left {
    /// It is useless; why.
    Broken(String),
    /// The session has ended.
    Ended(ZooKeeperError),
}

impl Session {
    /// A session that has not begun.
    pub(super) fn new(dialer: Arc<Dialer>, jobs: mpsc::Receiver<Job>, state: watch::Sender<State>) -> Self {
        let lifetime = dialer.settings.session;
        let (identity, watches, pending) = (Identity::default(), BTreeMap::new(), VecDeque::new());
        Self { dialer, identity, next: 0, lifetime, watches, pending, jobs, state }
    }

    /// Connects for the first time, before the deadline.
    pub(super) async fn begin(&mut self, deadline: Instant) -> Result<Wire, ZooKeeperError> {
        let (mut pause, mut before) = (PAUSE.0, Vec::new());
        loop {
            let mut tried = match self.round(deadline).await? {
                Ok(wire) => return Ok(wire),
                Err(tried) => tried,
            };
            keep_reasons(&mut tried, &before);
            if Instant::now() + pause >= deadline {
                return Err(ZooKeeperError::Unreachable { tried, within: self.dialer.settings.timeout });
            }
            before = tried;
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Tries each server once; what each of them said where none could be used.
    async fn round(&mut self, deadline: Instant) -> Result<Result<Wire, Vec<(String, String)>>, ZooKeeperError> {
        let addresses = self.dialer.settings.addresses.len();
        let share = self.dialer.settings.timeout / u32::try_from(addresses).unwrap_or(u32::MAX).max(1);
        let share = share.clamp(TRY_MIN, TRY_MAX);
        let (mut tried, mut certain) = (Vec::new(), None);
        for _ in 0..addresses {
            let Address { host, port } = self.dialer.settings.addresses[self.next % addresses].clone();
            let limit = deadline.min(Instant::now() + share);
            let attempt = open(&self.dialer, &mut self.identity, &host, port);
            let failed = match timeout_at(limit, attempt).await {
                Ok(Ok((wire, lifetime))) => {
                    self.lifetime = lifetime;
                    tracing::debug!(server = %show_address(&host, port), session = %self.identity.show(), "connected");
                    return Ok(Ok(wire));
                }
                Ok(Err(failed)) => failed,
                Err(_) => Failed::Now(SILENT.to_owned()),
            };
            self.next = (self.next + 1) % addresses;
            match failed {
                Failed::Now(why) => tried.push((show_address(&host, port), why)),
                // One server with a wrong certificate is no reason to give up; one that knows that the session ended is.
                Failed::Certainly(error @ ZooKeeperError::Security { .. }) => {
                    tried.push((show_address(&host, port), error.to_string()));
                    certain = Some(error);
                }
                Failed::Certainly(error) => return Err(error),
            }
        }
        match certain {
            Some(error) if tried.len() == 1 => Err(error),
            _ => Ok(Err(tried)),
        }
    }

    /// Serves the session until it ends.
    pub(super) async fn run(mut self, wire: Wire) {
        let mut wire = Some(wire);
        let error = loop {
            if let Some(mut connected) = wire.take() {
                let _ = self.state.send(State::Connected);
                let left = self.serve(&mut connected).await;
                let why = match &left {
                    Left::Broken(why) => why.clone(),
                    Left::Ended(error) => error.to_string(),
                };
                self.lose(&why);
                if let Left::Ended(error) = left {
                    break error;
                }
                tracing::debug!(session = %self.identity.show(), %why, "connection lost");
            }
            match self.again().await {
                Ok(connected) => wire = Some(connected),
                Err(error) => break error,
            }
        };
        for watcher in self.watches.values().flatten() {
            watcher.deliver(Event { kind: EventKind::Ended, path: String::new() });
        }
        let _ = self.state.send(State::Ended(error.clone()));
        self.jobs.close();
        while let Some(job) = self.jobs.recv().await {
            let _ = job.reply.send(Err(error.clone()));
        }
    }

    /// Connects anew, for as long as anyone holds the client.
    async fn again(&mut self) -> Result<Wire, ZooKeeperError> {
        let mut pause = PAUSE.0;
        // The first server to try is another one.
        self.next = (self.next + 1) % self.dialer.settings.addresses.len().max(1);
        while !self.jobs.is_closed() {
            let deadline = Instant::now() + self.dialer.settings.timeout;
            match self.round(deadline).await? {
                Ok(mut wire) => match timeout(TRY_MAX, self.set_watches(&mut wire)).await {
                    Ok(Ok(())) => return Ok(wire),
                    Ok(Err(why)) => tracing::debug!(%why, "connection lost"),
                    Err(_) => tracing::debug!("connection lost"),
                },
                Err(tried) => {
                    let _ = self.state.send(State::Disconnected(tried));
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE.1);
        }
        Err(ZooKeeperError::Closed)
    }

    /// Sets all watches at a new server, and says that events may be missing.
    async fn set_watches(&mut self, wire: &mut Wire) -> Result<(), String> {
        self.watches.retain(|_, watchers| {
            watchers.retain(|watcher| watcher.deliver(Event { kind: EventKind::Missed, path: String::new() }));
            !watchers.is_empty()
        });
        if self.watches.is_empty() {
            return Ok(());
        }
        let paths = |kind| self.watches.keys().filter(move |(_, other)| *other == kind).map(|(path, _)| path.as_str());
        let list = |record: Writer, kind| {
            let record = record.int(i32::try_from(paths(kind).count()).unwrap_or(i32::MAX));
            paths(kind).fold(record, Writer::text)
        };
        // Watches that fire once are never set: data, existence, children.
        let record = Writer::new().int(SET_WATCHES_XID).int(code::SET_WATCHES).long(self.identity.last_zxid);
        let record = list(list(record.int(0).int(0).int(0), WatchKind::Node), WatchKind::Tree);
        wire.write(&record.done()).await.map_err(|error| show_io(&error))
    }

    /// Everything that was sent has no answer.
    fn lose(&mut self, why: &str) {
        for (_, job) in self.pending.drain(..) {
            let _ =
                job.reply.send(Err(ZooKeeperError::ConnectionLoss { request: job.request.name, why: why.to_owned() }));
        }
    }

    async fn serve(&mut self, wire: &mut Wire) -> Left {
        // ZooKeeper's own client does the same: a ping after a third of the session's time, and after two thirds without
        // an answer another server is looked for while there is time.
        let (interval, silence) = (self.lifetime / 3, self.lifetime * 2 / 3);
        let (mut heard, mut sent) = (Instant::now(), Instant::now());
        loop {
            let has_room = self.pending.len() < IN_FLIGHT_MAX;
            let record = tokio::select! {
                frame = wire.read() => {
                    heard = Instant::now();
                    match frame.map_err(|error| Left::Broken(show_io(&error))).and_then(|frame| self.take(&frame)) {
                        Ok(()) => continue,
                        Err(left) => return left,
                    }
                }
                job = self.jobs.recv(), if has_room => match job {
                    Some(job) => match self.start(job) {
                        Some(record) => record,
                        None => continue,
                    },
                    None => return self.close(wire).await,
                },
                () = sleep_until(sent + interval) => Writer::new().int(PING_XID).int(code::PING).done(),
                () = sleep_until(heard + silence) => {
                    return Left::Broken(format!("no answer for {} ms", silence.as_millis()));
                }
            };
            sent = Instant::now();
            match timeout(silence, wire.write(&record)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Left::Broken(show_io(&error)),
                Err(_) => return Left::Broken(format!("nothing could be sent for {} ms", silence.as_millis())),
            }
        }
    }

    /// The frame of a request, unless its caller has given up.
    fn start(&mut self, job: Job) -> Option<Vec<u8>> {
        // Said first, looked at then: of a caller that gives up at this moment, one of us sees the other.
        job.is_sent.store(true, Ordering::SeqCst);
        if job.reply.is_closed() {
            return None;
        }
        let xid = self.identity.next_xid();
        let mut record = Writer::new().int(xid).int(job.request.code).done();
        record.extend_from_slice(&job.request.body);
        self.pending.push_back((xid, job));
        Some(record)
    }

    /// Nobody holds the client any more: its session ends at the server, too.
    async fn close(&mut self, wire: &mut Wire) -> Left {
        let record = Writer::new().int(self.identity.next_xid()).int(code::CLOSE).done();
        let end = async {
            wire.write(&record).await?;
            // Until the server hangs up.
            while wire.read().await.is_ok() {}
            Ok::<_, std::io::Error>(())
        };
        let _ = timeout(CLOSE_MAX, end).await;
        Left::Ended(ZooKeeperError::Closed)
    }

    /// Reads one frame.
    fn take(&mut self, frame: &Bytes) -> Result<(), Left> {
        let garbled = |why: String| Left::Broken(format!("its answer can't be read: {why}"));
        let header = Header::read(frame).map_err(garbled)?;
        self.identity.last_zxid = self.identity.last_zxid.max(header.zxid);
        let body = frame.slice(Header::BYTES..);
        match header.xid {
            NOTIFICATION_XID => self.notify(&body).map_err(garbled),
            xid if xid < 0 => Ok(()),
            xid => {
                let job = match self.pending.pop_front() {
                    Some((asked, job)) if asked == xid => job,
                    Some(other) => {
                        self.pending.push_front(other);
                        return Err(garbled(format!("number {xid} is not the next one")));
                    }
                    None => return Err(garbled(format!("number {xid} was not asked for"))),
                };
                self.answer(job, header.code, body)
            }
        }
    }

    fn answer(&mut self, job: Job, code: i32, body: Bytes) -> Result<(), Left> {
        let is_close = job.request.code == code::CLOSE;
        if code == EXPIRED {
            let _ = job.reply.send(Err(ZooKeeperError::SessionExpired));
            return Err(Left::Ended(ZooKeeperError::SessionExpired));
        }
        if let (0, Some((path, kind, watcher))) = (code, job.watcher) {
            self.watches.entry((path, kind)).or_default().push(watcher);
        }
        let _ = job.reply.send(Ok((code, body)));
        if is_close { Err(Left::Ended(ZooKeeperError::Closed)) } else { Ok(()) }
    }

    /// Delivers an event to whoever watches its node.
    fn notify(&mut self, body: &[u8]) -> Result<(), String> {
        let mut reader = Reader::new(body);
        let (kind, _state, path) = (reader.int()?, reader.int()?, reader.text()?);
        let kind = match kind {
            1 => EventKind::Created,
            2 => EventKind::Deleted,
            3 => EventKind::DataChanged,
            4 => EventKind::ChildrenChanged,
            _ => EventKind::Missed,
        };
        let chroot = &self.dialer.settings.chroot;
        // A server may know one connection's watches of a node as one: then it sends more than the other kind asked for.
        let covers = |watched: &str, scope: WatchKind| match scope {
            WatchKind::Node => watched == path,
            WatchKind::Tree => kind != EventKind::ChildrenChanged && is_below(&path, watched.trim_end_matches('/')),
        };
        let shown = match path.strip_prefix(chroot.as_str()) {
            Some("") => "/",
            Some(rest) if is_below(&path, chroot) => rest,
            _ => &path,
        };
        self.watches.retain(|(watched, scope), watchers| {
            if covers(watched, *scope) {
                watchers.retain(|watcher| watcher.deliver(Event { kind, path: shown.to_owned() }));
            }
            !watchers.is_empty()
        });
        Ok(())
    }
}

/// The last try is cut off by the deadline: what a server answered before says more than its silence then.
fn keep_reasons(tried: &mut [(String, String)], before: &[(String, String)]) {
    for (address, why) in tried.iter_mut().filter(|(_, why)| why == SILENT) {
        if let Some((_, reason)) = before.iter().find(|(other, _)| other == address) {
            why.clone_from(reason);
        }
    }
}

/// Whether a path is that of the node above, or of one below it.
fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
