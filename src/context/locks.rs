//! The locks of a run: chosen, taken, watched and given back.
//!
//! Moves and throttles are locked in the cluster that they are about, so that two runs exclude each other wherever they
//! come from; topics are locked where their records are kept. A lock that is lost pulls the run's brake, and no write is
//! sent while a lock is not certainly held.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::task::AbortHandle;

use crate::clients::kubernetes::{Kubernetes, Live};
use crate::context::Context;
use crate::context::flags::LockIn;
use crate::output;
use crate::state::clock::Clock;
use crate::state::identity::{Identity, Purpose};
use crate::state::lock::file::{Holder, host};
use crate::state::lock::renewal::Renewal;
use crate::state::lock::{file, lease};
use crate::state::place::{Place, object_of};

/// A lock that this run holds.
#[derive(Debug)]
pub(super) struct Lock {
    held: Held,
    purpose: Purpose,
    /// Pulls the brake when the lock is lost.
    watcher: Option<AbortHandle>,
}

#[derive(Debug)]
enum Held {
    /// A locked file; dropping it unlocks it.
    File(Arc<file::Held>),
    /// A Lease that is renewed in the background.
    Lease(lease::Held),
    /// Given back.
    Gone,
}

/// What a lock is made of, once `auto` is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Lease,
    File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(watcher) = self.watcher.take() {
            watcher.abort();
        }
    }
}

impl Context {
    /// Makes sure that no other run works on the same: from now to [`Context::leave`], or refuses.
    pub async fn lock(&mut self, identity: &Identity) -> anyhow::Result<()> {
        if self.locks.iter().any(|lock| lock.purpose == identity.purpose) {
            return Ok(());
        }
        let held = match self.lock_kind(identity.purpose).await? {
            None => return Ok(()),
            Some(Kind::File) => Held::File(Arc::new(self.lock_file(identity)?)),
            Some(Kind::Lease) => Held::Lease(self.lock_lease(identity).await?),
        };
        let watcher = held.renewal().map(|renewal| self.watch(renewal));
        let lock = Lock { held, purpose: identity.purpose, watcher };
        self.locks.push(lock);
        Ok(())
    }

    /// Who holds the lock, in words, without waiting for it; what a run that only wants to ask the other one goes by. A
    /// run that died some seconds ago may be taken for a living one.
    pub async fn is_locked(&self, identity: &Identity) -> anyhow::Result<Option<String>> {
        match self.lock_kind(identity.purpose).await? {
            None => Ok(None),
            Some(Kind::File) => Ok(file::holder(&self.state_folder(), identity)),
            Some(Kind::Lease) => {
                let kubernetes = self.kubernetes().await?;
                let found = kubernetes.lease(&object_of(kubernetes.as_ref(), identity)).await;
                let found = found.context("failed to look whether another run is working")?;
                Ok(found.filter(|lease| lease::is_renewed(lease, self.now())).map(|lease| lease::words(&lease)))
            }
        }
    }

    /// Gives back the locks that this run holds, the last one first. Called last, however the run ended.
    pub async fn leave(&mut self) {
        while let Some(lock) = self.locks.pop() {
            lock.give_back().await;
        }
    }

    /// Waits until a lock of this run is lost, and says why; for ever where it holds none that can be lost.
    pub fn until_lock_lost(&self) -> impl Future<Output = String> + use<> {
        let renewals: Vec<_> = self.locks.iter().filter_map(|lock| lock.held.renewal().cloned()).collect();
        async move {
            let lost = renewals.iter().map(|renewal| Box::pin(renewal.until_lost()));
            match futures_util::future::select_all(lost.collect::<Vec<_>>()).await {
                (why, ..) => why,
            }
        }
    }

    /// Whether every lock of this run is certainly held now; else why something must not be written.
    pub fn check_locks(&self) -> Result<(), String> {
        self.locks.iter().try_for_each(|lock| lock.held.check())
    }

    async fn lock_kind(&self, purpose: Purpose) -> anyhow::Result<Option<Kind>> {
        Ok(match self.flags.kubernetes.lock {
            LockIn::None => None,
            LockIn::File => Some(Kind::File),
            LockIn::Lease => Some(Kind::Lease),
            LockIn::Kafka | LockIn::Auto => match self.place().await? {
                Place::Kubernetes(_) => Some(Kind::Lease),
                Place::Folder(_) => Some(Kind::File),
            },
        })
        .inspect(|_| tracing::debug!(%purpose, "the kind of lock is chosen"))
    }

    fn lock_file(&self, identity: &Identity) -> anyhow::Result<file::Held> {
        let holder = Holder {
            pid: std::process::id(),
            host: host(),
            since: self.now(),
            run_id: self.run_id,
            command: self.command.clone(),
            member_id: None,
        };
        file::take(&self.state_folder(), identity, holder)
    }

    async fn lock_lease(&self, identity: &Identity) -> anyhow::Result<lease::Held> {
        let kubernetes = self.kubernetes().await?;
        let pod = kubernetes.identity().pod.as_ref().map_or_else(host, |pod| pod.name.clone());
        let claim = lease::Claim {
            name: object_of(kubernetes.as_ref(), identity),
            identity: identity.clone(),
            holder: format!("{pod}_{}", self.run_id),
            clock: self.clock,
            age: Clock::Boot,
            say: |words| output::complain(words),
        };
        let renewals = if self.is_kubernetes_given { lease::Renewals::Task } else { self.renewals_on_a_thread() };
        let held = lease::take(kubernetes, claim, renewals).await;
        held.context("failed to make sure that no other run is working")
    }

    /// Renewals over a connection of their own.
    fn renewals_on_a_thread(&self) -> lease::Renewals {
        let (access, timeout) = (self.kubernetes_access(), self.kubernetes_timeout());
        lease::Renewals::Thread(Box::new(move || {
            Box::pin(async move {
                let live = Live::connect(&access, timeout).await.map_err(|error| error.to_string())?;
                Ok(Arc::new(live) as Arc<dyn Kubernetes>)
            })
        }))
    }

    /// Pulls the brake when the lock is lost.
    fn watch(&self, renewal: &Arc<Renewal>) -> AbortHandle {
        let (renewal, brake) = (Arc::clone(renewal), self.brake.clone());
        tokio::spawn(async move { brake.pull(renewal.until_lost().await) }).abort_handle()
    }
}

impl Lock {
    async fn give_back(mut self) {
        if let Some(watcher) = self.watcher.take() {
            watcher.abort();
        }
        let held = std::mem::replace(&mut self.held, Held::Gone);
        match held {
            Held::Lease(held) => held.release().await,
            Held::File(_) | Held::Gone => {}
        }
    }
}

impl Held {
    fn renewal(&self) -> Option<&Arc<Renewal>> {
        match self {
            Self::File(_) | Self::Gone => None,
            Self::Lease(held) => Some(held.renewal()),
        }
    }

    /// Whether it is certainly held now.
    fn check(&self) -> Result<(), String> {
        match self {
            Self::File(held) => held.check(),
            Self::Lease(held) => held.renewal().check(),
            Self::Gone => Ok(()),
        }
    }
}
