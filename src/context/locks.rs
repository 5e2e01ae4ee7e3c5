//! The locks of a run: chosen, taken, watched and given back.
//!
//! Moves and throttles are locked in the cluster that they are about, so that two runs exclude each other wherever they
//! come from; topics are locked where their records are kept. A lock that is lost pulls the run's brake, and no write is
//! sent while a lock is not certainly held.

use std::sync::Arc;

use anyhow::Context as _;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::task::AbortHandle;
use uuid::Uuid;

use crate::clients::kafka::Kafka;
use crate::clients::kafka::gate::{Condition, WriteGate};
use crate::clients::kubernetes::{Kubernetes, Live};
use crate::context::Context;
use crate::context::flags::LockIn;
use crate::exit::Stop;
use crate::output;
use crate::state::clock::boot_clock;
use crate::state::document::Document;
use crate::state::identity::{Identity, Purpose};
use crate::state::lock::file::{Holder, host};
use crate::state::lock::kafka::{LockError, Member};
use crate::state::lock::{file, kafka, lease};
use crate::state::place::{Place, object_of};

/// A lock that this run holds.
#[derive(Debug)]
pub(super) struct Lock {
    held: Held,
    identity: Identity,
    /// Pulls the brake when the lock is lost.
    watcher: Option<AbortHandle>,
}

#[derive(Debug)]
enum Held {
    /// A locked file; dropping it unlocks it.
    File(Arc<file::Held>),
    /// A Lease that is renewed in the background.
    Lease(Box<lease::Held>),
    /// Leadership of a consumer group, renewed in the background; and the file by which the next run of this machine knows
    /// whether this process is dead.
    Kafka(Box<(kafka::Held, Option<file::Held>)>),
    /// Given back.
    Gone,
}

/// Who holds a lock, as far as the lock tells.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LockHolder {
    /// In words: process or pod, command, since when, where its record is.
    pub words: String,
    /// The run.
    pub run_id: Option<Uuid>,
    /// Its command, as `throttle run`.
    pub command: Option<String>,
    /// Where it keeps its record, in words that mean the same on every machine.
    pub place: Option<String>,
}

impl LockHolder {
    fn of_kafka(holder: kafka::Holder) -> Self {
        let words = holder.to_string();
        let member = holder.member;
        Self {
            words,
            run_id: member.as_ref().map(|member| member.run_id),
            command: member.as_ref().map(|member| member.command.clone()),
            // What can't be read counts as elsewhere.
            place: Some(member.map_or_else(|| "a place that can't be read".to_owned(), |member| member.place)),
        }
    }

    fn of_file((words, holder): (String, Option<Holder>)) -> Self {
        // Whoever finds the file looks where its records are, too.
        let (run_id, command) = holder.map(|holder| (holder.run_id, holder.command)).unzip();
        Self { words, run_id, command, place: None }
    }
}

/// Asks whether locks are certainly held, right before something is written.
#[derive(Clone, Default)]
pub struct LockCheck(Vec<Condition>);

impl LockCheck {
    /// Whether every one of them is held; else why something must not be written.
    pub fn check(&self) -> Result<(), String> {
        self.0.iter().try_for_each(|condition| condition())
    }
}

impl std::fmt::Debug for LockCheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("LockCheck").field(&self.0.len()).finish()
    }
}

/// What a lock is made of, once `auto` is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Kafka,
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
        if self.locks.iter().any(|lock| lock.identity == *identity) {
            return Ok(());
        }
        let kind = self.lock_kind(identity.purpose).await?;
        let held = match kind {
            None => {
                self.settle_dead_runs().await;
                return Ok(());
            }
            Some(Kind::File) => Held::File(Arc::new(self.lock_file(identity)?)),
            Some(Kind::Lease) => {
                let held = self.lock_lease(identity).await?;
                if let Some(note) = held.found_note() {
                    self.recall_refusals(note);
                }
                Held::Lease(Box::new(held))
            }
            Some(Kind::Kafka) => self.lock_kafka(identity).await?,
        };
        let watcher = self.watch(&held);
        let lock = Lock { held, identity: identity.clone(), watcher };
        for kafka in self.kafka.get().into_iter().chain(self.controllers.get()) {
            lock.guard(kafka.write_gate());
        }
        self.locks.push(lock);
        // The holder before this run may have died between a change and its outcome.
        self.settle_dead_runs().await;
        Ok(())
    }

    /// Who holds the lock, without waiting for it; what a run that only wants to ask the other one goes by. A run that died
    /// some seconds ago may be taken for a living one.
    pub async fn lock_holder(&self, identity: &Identity) -> anyhow::Result<Option<LockHolder>> {
        match self.lock_kind(identity.purpose).await? {
            None => Ok(None),
            Some(Kind::File) => Ok(file::holder(&self.state_folder(), identity).map(LockHolder::of_file)),
            Some(Kind::Kafka) => {
                let found = kafka::holder(&self.kafka().await?, &group_of(identity.purpose)).await.map_err(refusal)?;
                let dead = file::dead(&self.state_folder(), identity).and_then(|dead| dead.member_id);
                let found = found.filter(|holder| dead.as_ref() != Some(&holder.member_id));
                Ok(found.map(LockHolder::of_kafka))
            }
            Some(Kind::Lease) => {
                let kubernetes = self.kubernetes().await?;
                let name = object_of(kubernetes.as_ref(), identity);
                let failed = "failed to look whether another run is working";
                let mut found = lease::other_names(kubernetes.as_ref(), identity, &name).await.context(failed)?;
                found.extend(kubernetes.lease(&name).await.context(failed)?);
                let found = found.into_iter().find(|lease| lease::is_renewed(lease, self.now()));
                Ok(found.map(|lease| LockHolder { words: lease::words(&lease), ..LockHolder::default() }))
            }
        }
    }

    /// Whose record of a purpose is to be changed: refused where another run holds the lock and keeps its record elsewhere,
    /// since what is written here would not reach it. `document` was read already.
    pub async fn check_same_place(&self, document: &Document) -> anyhow::Result<Option<LockHolder>> {
        let Some(holder) = self.lock_holder(document.identity()).await? else { return Ok(None) };
        let here = self.place().await?.words(&host());
        let is_its_record = holder.run_id.is_some() && holder.run_id == document.saved_by();
        // A file or a Lease says nothing of a place: whoever finds it looks where the records are, too.
        if holder.place.as_ref().is_none_or(|place| *place == here) || is_its_record {
            return Ok(Some(holder));
        }
        Err(Stop::refused(format!(
            "the {} are managed by another run: {}. This command keeps its records in {here}, where that run does not look. \
             Nothing was changed. Run this command where that run keeps its record, or stop that run first",
            document.identity(),
            holder.words
        ))
        .into())
    }

    /// Gives back the locks that this run holds, the last one first. Called last, however the run ended.
    pub async fn leave(&mut self) {
        self.forget_ensemble();
        let note = self.refusals_note();
        while let Some(lock) = self.locks.pop() {
            let name = lock.identity.file_name();
            lock.give_back(note.clone()).await;
            // Last: until then a write that is still under way somewhere is refused. The condition holds a locked file, too.
            for kafka in self.kafka.get().into_iter().chain(self.controllers.get()) {
                kafka.write_gate().waive(&name);
            }
        }
    }

    /// Leaves the locks that this run holds as they are at its end, instead of giving them back: what they guard goes on
    /// without it for a while. A Lease runs out by itself 30 s after its last renewal.
    pub fn leave_locks_to_expire(&mut self) {
        // What renews them ends with the process; to drop them would release them.
        self.locks.drain(..).for_each(std::mem::forget);
    }

    /// Whether every lock of this run is certainly held now; else why something must not be written.
    pub fn check_locks(&self) -> Result<(), String> {
        self.locks.iter().filter_map(|lock| lock.held.condition()).try_for_each(|condition| condition())
    }

    /// The same question for work that goes on while this context is busy: about the locks that are held now.
    pub fn lock_check(&self) -> LockCheck {
        LockCheck(self.locks.iter().filter_map(|lock| lock.held.condition()).collect())
    }

    /// Has every write of a connection ask for the locks that are held.
    pub(super) fn guard_writes(&self, kafka: &dyn Kafka) {
        self.locks.iter().for_each(|lock| lock.guard(kafka.write_gate()));
    }

    async fn lock_kind(&self, purpose: Purpose) -> anyhow::Result<Option<Kind>> {
        let is_in_kafka = matches!(purpose, Purpose::Moves | Purpose::Throttle);
        Ok(match self.flags.kubernetes.lock {
            LockIn::None => None,
            LockIn::File => Some(Kind::File),
            LockIn::Lease => Some(Kind::Lease),
            LockIn::Kafka | LockIn::Auto if is_in_kafka => Some(Kind::Kafka),
            LockIn::Kafka => {
                let words = format!(
                    "--lock kafka is for partition moves and throttles; for {purpose} choose lease, file or none, or leave \
                     it out"
                );
                return Err(Stop::usage(words).into());
            }
            LockIn::Auto => match self.place().await? {
                Place::Kubernetes(_) => Some(Kind::Lease),
                Place::Folder(_) => Some(Kind::File),
            },
        })
    }

    /// Takes the lock in the cluster. The file beside it says at once that a run of this machine is working, and tells the
    /// next one which member of the group is dead.
    async fn lock_kafka(&self, identity: &Identity) -> anyhow::Result<Held> {
        let mut beside = match self.lock_file(identity) {
            Ok(held) => Some(held),
            // It lives. Where it hangs and has lost the lock in the cluster, that one decides.
            Err(error) if error.is::<Stop>() && self.lock_holder(identity).await?.is_some() => return Err(error),
            Err(error) => {
                tracing::debug!(%error, "no file beside the lock in the cluster");
                None
            }
        };
        let known_dead = beside.as_ref().and_then(|file| file.former()?.member_id.clone());
        let kafka = self.kafka().await?;
        let group = group_of(identity.purpose);
        let claim = kafka::Claim { group, member: self.member().await?, known_dead, clock: boot_clock };
        let held = kafka::take(&kafka, claim, &|words| output::say(words)).await.map_err(refusal)?;
        if let Some(file) = &mut beside
            && let Err(error) = file.note_member(Some(held.member_id().to_owned()))
        {
            tracing::debug!(%error, "the file beside the lock can't be written");
        }
        Ok(Held::Kafka(Box::new((held, beside))))
    }

    /// Who this run is, for those who find its lock.
    async fn member(&self) -> anyhow::Result<Member> {
        let place = self.place().await?;
        let pod = match &place {
            Place::Kubernetes(kubernetes) => {
                let identity = kubernetes.identity();
                identity.pod.as_ref().map(|pod| format!("{}/{}", identity.namespace, pod.name))
            }
            Place::Folder(_) => None,
        };
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Ok(Member {
            host: host(),
            pod,
            pid: std::process::id(),
            boot_id: boot_id.trim().to_owned(),
            run_id: self.run_id,
            command: self.command.clone(),
            since: self.now(),
            place: place.words(&host()),
        })
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
            age: boot_clock,
            say: |words| output::complain(words),
        };
        let renewals = if self.is_kubernetes_given { lease::Renewals::Task } else { self.renewals_on_a_thread() };
        let held = lease::take(kubernetes, claim, renewals).await;
        held.context("failed to make sure that no other run is working")
    }

    /// Renewals over a connection of their own.
    fn renewals_on_a_thread(&self) -> lease::Renewals {
        let (access, timeout) = (self.kubernetes_access(), self.timeout());
        lease::Renewals::Thread(Box::new(move || {
            Box::pin(async move {
                let live = Live::connect(&access, timeout).await.map_err(|error| error.to_string())?;
                Ok(Arc::new(live) as Arc<dyn Kubernetes>)
            })
        }))
    }

    /// Pulls the brake when the lock is lost.
    fn watch(&self, held: &Held) -> Option<AbortHandle> {
        let (lost, brake) = (held.until_lost()?, self.brake.clone());
        Some(tokio::spawn(async move { brake.pull(lost.await) }).abort_handle())
    }
}

/// The consumer group of a lock.
fn group_of(purpose: Purpose) -> String {
    format!("toolbox-lock-{}", purpose.word())
}

/// An error of the lock in the cluster with its exit code: who is refused may try again later.
fn refusal(error: LockError) -> anyhow::Error {
    let holder = match &error {
        LockError::Held { holder, .. } => holder.to_string(),
        LockError::Unsettled { .. } => "another run, which takes the lock at this moment".to_owned(),
        LockError::Unavailable { .. } => return Stop::refused(error.to_string()).into(),
        LockError::Kafka { .. } => return error.into(),
    };
    let words = "Nothing was changed. Wait until that run ends, or stop it; a run that died loses the lock within 20 s";
    Stop::refused(format!("{error}. {words}")).held_by(holder).into()
}

impl Lock {
    /// Has each write ask for this lock.
    fn guard(&self, gate: &WriteGate) {
        if let Some(condition) = self.held.condition() {
            gate.require(&self.identity.file_name(), condition);
        }
    }

    async fn give_back(mut self, note: Option<String>) {
        if let Some(watcher) = self.watcher.take() {
            watcher.abort();
        }
        match std::mem::replace(&mut self.held, Held::Gone) {
            Held::Lease(mut held) => {
                if let Some(note) = note {
                    held.leave_note(note);
                }
                held.release().await;
            }
            Held::Kafka(both) => {
                let (held, file) = *both;
                held.release().await;
                if let Some(Err(error)) = file.map(|mut file| file.note_member(None)) {
                    tracing::debug!(%error, "the file beside the lock can't be written");
                }
            }
            Held::File(_) | Held::Gone => {}
        }
    }
}

impl Held {
    /// Whether it is certainly held, as a condition for writes.
    fn condition(&self) -> Option<Condition> {
        match self {
            Self::File(held) => {
                let held = Arc::clone(held);
                Some(Arc::new(move || held.check()))
            }
            Self::Lease(held) => {
                let renewal = Arc::clone(held.renewal());
                Some(Arc::new(move || renewal.check()))
            }
            Self::Kafka(both) => Some(both.0.condition()),
            Self::Gone => None,
        }
    }

    /// Waits until it is lost for good, and says why; none for what can't be lost.
    fn until_lost(&self) -> Option<BoxFuture<'static, String>> {
        match self {
            Self::File(_) | Self::Gone => None,
            Self::Lease(held) => {
                let renewal = Arc::clone(held.renewal());
                Some(async move { renewal.until_lost().await }.boxed())
            }
            Self::Kafka(both) => {
                let (group, lost) = (both.0.group().to_owned(), both.0.lost());
                Some(async move { format!("the lock `{group}` is lost: {}", lost.await) }.boxed())
            }
        }
    }
}
