//! The client of real ZooKeeper servers: own code over tokio, since everything that a server sends is to be checked before it
//! is read, and TLS is to be that of all other connections (see ARCHITECTURE.md, "Dependencies").
//!
//! [`Live`] is what callers hold; a task keeps the session (`session`), which makes connections (`dial`, `handshake`) and sends
//! frames (`wire`); `requests` and `jute` are plain encoding.

mod code;
mod dial;
mod digest_md5;
mod handshake;
mod jute;
mod requests;
mod session;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};

use self::dial::Dialer;
use self::jute::{Garbled, Reader};
use self::requests::Request;
use self::session::{Job, Session, State};
use self::wire::Header;
use crate::clients::zookeeper::nodes::Watcher;
use crate::clients::zookeeper::settings::Settings;
use crate::clients::zookeeper::{
    Acl, CONFIG_PATH, Configuration, Creation, Node, Operation, Outcome, Reconfiguration, Refusal, Stat, WatchKind,
    Watching, ZooKeeper, ZooKeeperError,
};

/// Requests that wait for the task.
const WAITING_MAX: usize = 128;
/// The code of a server that wants SASL, and of a refused login.
const AUTH_CODES: [i32; 2] = [-115, -124];

/// A session with a real ensemble. When the last handle is dropped, the session is closed.
#[derive(Debug)]
pub struct Live {
    dialer: Arc<Dialer>,
    jobs: mpsc::Sender<Job>,
    state: watch::Receiver<State>,
}

impl Live {
    /// Connects to the first server that gives a session, within the settings' timeout.
    pub async fn connect(settings: Settings) -> Result<Self, ZooKeeperError> {
        let deadline = Instant::now() + settings.timeout;
        let dialer = Arc::new(Dialer::new(settings)?);
        let (jobs, waiting) = mpsc::channel(WAITING_MAX);
        let (said, state) = watch::channel(State::Connected);
        let mut session = Session::new(Arc::clone(&dialer), waiting, said);
        let wire = session.begin(deadline).await?;
        tokio::spawn(session.run(wire));
        Ok(Self { dialer, jobs, state })
    }

    /// The path as the server knows it. There is one configuration, whatever the chroot is.
    fn absolute(&self, path: &str) -> String {
        let chroot = &self.dialer.settings.chroot;
        if path == CONFIG_PATH {
            return path.to_owned();
        }
        if path == "/" && !chroot.is_empty() { chroot.clone() } else { format!("{chroot}{path}") }
    }

    /// The path as the caller knows it.
    fn relative(&self, path: String) -> String {
        match path.strip_prefix(&self.dialer.settings.chroot) {
            Some("") => "/".to_owned(),
            Some(rest) => rest.to_owned(),
            None => path,
        }
    }

    /// Sends a request, and reads the body of its answer.
    async fn ask<T>(
        &self,
        path: &str,
        request: Request,
        read: impl FnOnce(&[u8]) -> Result<T, Garbled>,
    ) -> Result<T, ZooKeeperError> {
        let name = request.name;
        let (code, body) = self.call(request, None).await?;
        refuse(code, path, name)?;
        read(&body).map_err(|why| ZooKeeperError::Protocol { request: name, why })
    }

    async fn call(
        &self,
        request: Request,
        watcher: Option<(String, WatchKind, Watcher)>,
    ) -> Result<(i32, Bytes), ZooKeeperError> {
        let settings = &self.dialer.settings;
        let (deadline, name) = (Instant::now() + settings.timeout, request.name);
        let bytes = request.body.len() + Header::BYTES;
        if bytes > settings.bytes_max {
            return Err(ZooKeeperError::TooLarge { request: name, bytes, bytes_max: settings.bytes_max });
        }
        let (reply, mut answer) = oneshot::channel();
        let is_sent = Arc::new(AtomicBool::new(false));
        let job = Job { request, watcher, is_sent: Arc::clone(&is_sent), reply };
        match timeout_at(deadline, self.jobs.send(job)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return Err(self.why_not_sent()),
        }
        match timeout_at(deadline, &mut answer).await {
            Ok(Ok(answer)) => answer,
            // The task is gone with its runtime.
            Ok(Err(_)) if is_sent.load(Ordering::SeqCst) => {
                Err(ZooKeeperError::ConnectionLoss { request: name, why: "the session ended".to_owned() })
            }
            Ok(Err(_)) => Err(self.why_not_sent()),
            Err(_) => {
                answer.close();
                if is_sent.load(Ordering::SeqCst) {
                    return Err(ZooKeeperError::TimedOut { request: name, within: settings.timeout });
                }
                Err(self.why_not_sent())
            }
        }
    }

    fn why_not_sent(&self) -> ZooKeeperError {
        let settings = &self.dialer.settings;
        let tried = match &*self.state.borrow() {
            State::Ended(error) => return error.clone(),
            State::Disconnected(tried) => tried.clone(),
            State::Connected => Vec::new(),
        };
        ZooKeeperError::Unreachable { tried, within: settings.timeout }
    }
}

/// An error for every code but 0.
fn refuse(code: i32, path: &str, name: &str) -> Result<(), ZooKeeperError> {
    if AUTH_CODES.contains(&code) {
        return Err(ZooKeeperError::AuthFailed(format!("the server answers code {code} to {name}")));
    }
    Refusal::of(code).map_or(Ok(()), |refusal| Err(ZooKeeperError::Refused(refusal, path.to_owned())))
}

fn stat(body: &[u8]) -> Result<Stat, Garbled> {
    Reader::new(body).stat()
}

#[async_trait]
impl ZooKeeper for Live {
    async fn configuration(&self) -> Result<Configuration, ZooKeeperError> {
        let Node { data, stat } = self.get(CONFIG_PATH).await?;
        Ok(Configuration { text: data, stat })
    }

    async fn reconfigure(&self, change: &Reconfiguration) -> Result<Configuration, ZooKeeperError> {
        let (text, stat) = self.ask("reconfig", requests::reconfig(change), requests::read_node).await?;
        Ok(Configuration { text, stat })
    }

    async fn sync(&self, path: &str) -> Result<(), ZooKeeperError> {
        self.ask(path, requests::sync(&self.absolute(path)), |_| Ok(())).await
    }

    async fn create(&self, path: &str, data: &[u8], creation: &Creation) -> Result<String, ZooKeeperError> {
        let request = requests::create(&self.absolute(path), data, creation);
        let created = self.ask(path, request, |body| Reader::new(body).text()).await?;
        Ok(self.relative(created))
    }

    async fn get(&self, path: &str) -> Result<Node, ZooKeeperError> {
        let request = Request::of_node("getData", code::GET_DATA, &self.absolute(path));
        let (data, stat) = self.ask(path, request, requests::read_node).await?;
        Ok(Node { data, stat })
    }

    async fn stat(&self, path: &str) -> Result<Option<Stat>, ZooKeeperError> {
        let request = Request::of_node("exists", code::EXISTS, &self.absolute(path));
        match self.ask(path, request, stat).await {
            Err(ZooKeeperError::Refused(Refusal::NoNode, _)) => Ok(None),
            found => found.map(Some),
        }
    }

    async fn set(&self, path: &str, data: &[u8], version: Option<i32>) -> Result<Stat, ZooKeeperError> {
        self.ask(path, requests::set(&self.absolute(path), data, version), stat).await
    }

    async fn delete(&self, path: &str, version: Option<i32>) -> Result<(), ZooKeeperError> {
        self.ask(path, requests::delete(&self.absolute(path), version), |_| Ok(())).await
    }

    async fn children(&self, path: &str) -> Result<Vec<String>, ZooKeeperError> {
        let request = Request::of_node("getChildren", code::GET_CHILDREN, &self.absolute(path));
        let mut names = self.ask(path, request, |body| Reader::new(body).texts()).await?;
        names.sort();
        Ok(names)
    }

    async fn acl(&self, path: &str) -> Result<(Vec<Acl>, Stat), ZooKeeperError> {
        let read = |body: &[u8]| {
            let mut reader = Reader::new(body);
            Ok((reader.acl()?, reader.stat()?))
        };
        self.ask(path, requests::get_acl(&self.absolute(path)), read).await
    }

    async fn set_acl(&self, path: &str, acl: &[Acl], version: Option<i32>) -> Result<Stat, ZooKeeperError> {
        self.ask(path, requests::set_acl(&self.absolute(path), acl, version), stat).await
    }

    async fn multi(&self, operations: &[Operation]) -> Result<Vec<Outcome>, ZooKeeperError> {
        if operations.is_empty() {
            return Ok(Vec::new());
        }
        let request = requests::multi(operations, |path| self.absolute(path));
        let (name, answered) = (request.name, self.call(request, None).await?);
        let (code, body) = answered;
        // The code in front of several outcomes is that of the one that was refused, where there is a body.
        if body.is_empty() {
            refuse(code, name, name)?;
        }
        let read = requests::read_multi(&body, operations, |path| self.relative(path));
        read.map_err(|why| ZooKeeperError::Protocol { request: name, why })?
    }

    async fn watch(&self, path: &str, kind: WatchKind) -> Result<Watching, ZooKeeperError> {
        let absolute = self.absolute(path);
        let (watching, watcher) = Watching::new();
        let request = requests::add_watch(&absolute, kind);
        let name = request.name;
        let (code, _) = self.call(request, Some((absolute, kind, watcher))).await?;
        refuse(code, path, name)?;
        Ok(watching)
    }

    async fn close(&self) -> Result<(), ZooKeeperError> {
        let request = Request { name: "closeSession", code: code::CLOSE, body: Vec::new() };
        match self.call(request, None).await {
            // The server may hang up before its answer is read: the session has ended all the same.
            Ok(_) | Err(ZooKeeperError::ConnectionLoss { .. } | ZooKeeperError::Closed) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
