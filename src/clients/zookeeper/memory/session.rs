//! A session with the fake: the same trait as that with real servers.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::tree::{Happened, Who};
use super::{Fault, Memory, State};
use crate::clients::zookeeper::nodes::Watcher;
use crate::clients::zookeeper::{
    Acl, CONFIG_PATH, Configuration, Creation, Event, EventKind, Node, Operation, Outcome, Permissions,
    Reconfiguration, Refusal, Stat, WatchKind, Watching, ZooKeeper, ZooKeeperError,
};
use crate::formats::secret::{ExposeSecret, SecretString};

/// A session.
#[derive(Debug)]
pub struct MemorySession {
    memory: Memory,
    who: Who,
    /// Why it has ended, if it has.
    ended: Mutex<Option<ZooKeeperError>>,
}

impl MemorySession {
    pub(super) fn new(memory: &Memory, login: Option<(&str, &SecretString)>) -> Self {
        let mut who = Who::default();
        {
            let mut state = memory.state();
            state.sessions += 1;
            who.session = state.sessions;
            if let Some((user, password)) = login {
                let id = Acl::digest(user, password, Permissions::ALL).id;
                who.ids.push(("digest".to_owned(), id));
                let expected = state.super_password.as_ref().map(ExposeSecret::expose_secret);
                who.is_super = user == "super" && expected == Some(password.expose_secret());
            }
        }
        Self { memory: memory.clone(), who, ended: Mutex::new(None) }
    }

    fn end(&self, error: &ZooKeeperError) {
        let happened = self.memory.state().tree.end_session(self.who.session);
        self.memory.state().deliver(&happened);
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
        self.memory.state().forget(self.who.session);
    }

    /// Does a request, or what the test wants to happen instead.
    fn call<T>(
        &self,
        request: &'static str,
        path: &str,
        work: impl FnOnce(&mut State, &Who) -> Result<T, ZooKeeperError>,
    ) -> Result<T, ZooKeeperError> {
        if let Some(error) = &*self.ended.lock().unwrap_or_else(PoisonError::into_inner) {
            return Err(error.clone());
        }
        let lost = || ZooKeeperError::ConnectionLoss { request, why: "the test wants it".to_owned() };
        let fault = self.memory.state().faults.pop_front();
        match fault {
            None | Some(Fault::Nothing) => work(&mut self.memory.state(), &self.who),
            Some(Fault::AnswerLost) => {
                let _ = work(&mut self.memory.state(), &self.who);
                Err(lost())
            }
            Some(Fault::RequestLost) => Err(lost()),
            Some(Fault::Refused(refusal)) => Err(ZooKeeperError::Refused(refusal, path.to_owned())),
            Some(Fault::Expired) => {
                self.end(&ZooKeeperError::SessionExpired);
                Err(ZooKeeperError::SessionExpired)
            }
        }
    }
}

impl Drop for MemorySession {
    fn drop(&mut self) {
        self.end(&ZooKeeperError::Closed);
    }
}

/// Who watches what, of which session.
#[derive(Debug)]
pub(super) struct Watched {
    session: i64,
    path: String,
    kind: WatchKind,
    watcher: Watcher,
}

impl State {
    /// Delivers what happened to whoever watches it. A watch of a tree gets no changes of lists of children.
    fn deliver(&mut self, happened: &Happened) {
        for (kind, path) in happened {
            self.watched.retain(|watched| {
                let covers = match watched.kind {
                    WatchKind::Node => watched.path == *path,
                    WatchKind::Tree => {
                        *kind != EventKind::ChildrenChanged
                            && path
                                .strip_prefix(watched.path.trim_end_matches('/'))
                                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                    }
                };
                !covers || watched.watcher.deliver(Event { kind: *kind, path: path.clone() })
            });
        }
    }

    fn forget(&mut self, session: i64) {
        self.watched.retain(|watched| watched.session != session);
    }
}

fn refused(path: &str) -> impl Fn(Refusal) -> ZooKeeperError {
    let path = path.to_owned();
    move |refusal| ZooKeeperError::Refused(refusal, path.clone())
}

#[async_trait]
impl ZooKeeper for MemorySession {
    async fn configuration(&self) -> Result<Configuration, ZooKeeperError> {
        let Node { data, stat } = self.get(CONFIG_PATH).await?;
        Ok(Configuration { text: data, stat })
    }

    async fn reconfigure(&self, change: &Reconfiguration) -> Result<Configuration, ZooKeeperError> {
        self.call("reconfig", "reconfig", |state, who| {
            let may_write = state.tree.find(CONFIG_PATH, who, Permissions::WRITE).is_ok();
            let members = state.ensemble.check(change, may_write).map_err(refused("reconfig"))?;
            state.ensemble.take(members);
            state.publish();
            state.deliver(&vec![(EventKind::DataChanged, CONFIG_PATH.to_owned())]);
            let stored = state.tree.find(CONFIG_PATH, who, Permissions::READ).map_err(refused("reconfig"))?;
            Ok(Configuration { text: stored.data.clone(), stat: stored.stat })
        })
    }

    async fn sync(&self, path: &str) -> Result<(), ZooKeeperError> {
        self.call("sync", path, |_, _| Ok(()))
    }

    async fn create(&self, path: &str, data: &[u8], creation: &Creation) -> Result<String, ZooKeeperError> {
        self.call("create", path, |state, who| {
            let (path, happened) = state.tree.create(path, data, creation, who).map_err(refused(path))?;
            state.deliver(&happened);
            Ok(path)
        })
    }

    async fn get(&self, path: &str) -> Result<Node, ZooKeeperError> {
        self.call("getData", path, |state, who| {
            let stored = state.tree.find(path, who, Permissions::READ).map_err(refused(path))?;
            Ok(Node { data: stored.data.clone(), stat: stored.stat })
        })
    }

    async fn stat(&self, path: &str) -> Result<Option<Stat>, ZooKeeperError> {
        self.call("exists", path, |state, _| Ok(state.tree.stat(path)))
    }

    async fn set(&self, path: &str, data: &[u8], version: Option<i32>) -> Result<Stat, ZooKeeperError> {
        self.call("setData", path, |state, who| {
            let (stat, happened) = state.tree.set(path, data, version, who).map_err(refused(path))?;
            state.deliver(&happened);
            Ok(stat)
        })
    }

    async fn delete(&self, path: &str, version: Option<i32>) -> Result<(), ZooKeeperError> {
        self.call("delete", path, |state, who| {
            let happened = state.tree.delete(path, version, who).map_err(refused(path))?;
            state.deliver(&happened);
            Ok(())
        })
    }

    async fn children(&self, path: &str) -> Result<Vec<String>, ZooKeeperError> {
        self.call("getChildren", path, |state, who| state.tree.children(path, who).map_err(refused(path)))
    }

    async fn acl(&self, path: &str) -> Result<(Vec<Acl>, Stat), ZooKeeperError> {
        self.call("getACL", path, |state, who| {
            let stored = state.tree.find(path, who, Permissions::READ).map_err(refused(path))?;
            Ok((stored.acl.clone(), stored.stat))
        })
    }

    async fn set_acl(&self, path: &str, acl: &[Acl], version: Option<i32>) -> Result<Stat, ZooKeeperError> {
        self.call("setACL", path, |state, who| state.tree.set_acl(path, acl, version, who).map_err(refused(path)))
    }

    async fn multi(&self, operations: &[Operation]) -> Result<Vec<Outcome>, ZooKeeperError> {
        self.call("multi", "multi", |state, who| {
            let (outcomes, happened) = state.tree.multi(operations, who).map_err(|(index, refusal)| {
                let path = operations.get(index).map_or("multi", Operation::path);
                ZooKeeperError::Operation { index, error: Box::new(refused(path)(refusal)) }
            })?;
            state.deliver(&happened);
            Ok(outcomes)
        })
    }

    async fn watch(&self, path: &str, kind: WatchKind) -> Result<Watching, ZooKeeperError> {
        self.call("addWatch", path, |state, who| {
            let (watching, watcher) = Watching::new();
            state.watched.push(Watched { session: who.session, path: path.to_owned(), kind, watcher });
            Ok(watching)
        })
    }

    async fn close(&self) -> Result<(), ZooKeeperError> {
        self.end(&ZooKeeperError::Closed);
        Ok(())
    }
}
