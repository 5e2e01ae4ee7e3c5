//! Carries the steps of a pass out: the intent is written first, the change is sent for the version that was seen, read back, made
//! active by a write, and recorded.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::change::carry_out::Ended;
use crate::change::fail_point::fail_point;
use crate::change::in_order::Executor;
use crate::clients::kubernetes::Kubernetes;
use crate::clients::zookeeper::live::Live;
use crate::clients::zookeeper::{
    Acl, Creation, Mode, Permissions, Reconfiguration, Refusal as Answer, ZooKeeper as _, ZooKeeperError,
};
use crate::cluster::address::Address;
use crate::cluster::ensemble::desired::{Desired, DesiredState as _, Op};
use crate::cluster::ensemble::membership::{EnsembleConfig, Membership};
use crate::commands::ensemble::apply::record::{Record, conflict, refused, unknown};
use crate::commands::ensemble::apply::zookeeper::scale::lower;
use crate::commands::ensemble::observe::pass::{serving, views};
use crate::commands::ensemble::observe::servers::Look;
use crate::commands::ensemble::observe::sessions::{CHANGES_PATH, Connections, FOLDER, ID_PATH, leave};
use crate::commands::ensemble::plan::ZooKeeper;
use crate::commands::ensemble::plan::code::{Code, Refusal};
use crate::commands::ensemble::plan::planned::{EnsembleId, EnsembleStep, Planned};
use crate::commands::ensemble::plan::refuse::next_step;
use crate::commands::ensemble::plan::settle::{is_confirmed, recorded};
use crate::commands::ensemble::plan::steps::Steps as _;
use crate::context::LockCheck;
use crate::state::clock::SteadyClock;

/// How long a change may take to be seen everywhere.
const CONFIRM: Duration = Duration::from_secs(30);

/// The pause between two looks for it.
const CONFIRM_PAUSE: Duration = Duration::from_millis(200);

/// Longest call while a change is confirmed: servers may be electing a leader.
const CALL: Duration = Duration::from_secs(5);

/// Carries out the steps of a pass over an ensemble.
pub struct EnsembleExecutor<'a> {
    /// How the servers are reached.
    pub connections: &'a Connections,
    /// The record.
    pub record: &'a mut Record<Desired>,
    /// The API server that the servers' pods belong to, where one does.
    pub kubernetes: Option<Arc<dyn Kubernetes>>,
    /// What was seen.
    pub look: Look,
    /// Whether the locks are held.
    pub locks: LockCheck,
    /// The clock by which ages are counted.
    pub clock: SteadyClock,
    /// Whether nodes belong to whoever is logged in, or to everybody.
    pub has_login: bool,
}

/// How a call ended.
enum Sent {
    /// It was accepted, or nobody knows.
    Maybe,
    /// It was not carried out.
    Not(Ended),
}

impl fmt::Debug for EnsembleExecutor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { record, look, .. } = self;
        f.debug_struct("EnsembleExecutor").field("record", record).field("look", look).finish_non_exhaustive()
    }
}

impl Executor for EnsembleExecutor<'_> {
    type Step = EnsembleStep;

    async fn execute(&mut self, step: &EnsembleStep) -> Result<Ended, Ended> {
        self.locks.check().map_err(conflict)?;
        match step {
            EnsembleStep::Forget { op } => self.record.forget(op).await?,
            EnsembleStep::Mark { id, state, .. } => self.record.mark(*id, *state).await?,
            EnsembleStep::Confirm { op } => return self.confirm(op).await,
            EnsembleStep::Change(planned) => return self.change(planned).await,
            EnsembleStep::ScaleDown(scale_down) => return lower(self.kubernetes.as_deref(), scale_down).await,
            EnsembleStep::Identify(EnsembleId { ensemble_id }) => self.identify(ensemble_id).await?,
            EnsembleStep::Declare(declared) => {
                self.record.declare(declared.before.as_deref(), &declared.after).await?;
            }
        }
        Ok(Ended::done())
    }
}

impl EnsembleExecutor<'_> {
    /// Sends a change: the intent first, so that whoever comes next can find out how it ended.
    async fn change(&mut self, planned: &Planned) -> Result<Ended, Ended> {
        let op = ZooKeeper::op(planned, Uuid::now_v7().to_string(), self.clock.now());
        fail_point("ensemble.decided");
        self.record.intend(&op).await?;
        fail_point("ensemble.intended");
        match self.send(planned).await {
            Sent::Maybe => self.confirm(&op).await,
            Sent::Not(ended) => {
                self.record.forget_unmade(&op).await;
                Err(ended)
            }
        }
    }

    async fn send(&self, planned: &Planned) -> Sent {
        let members: BTreeSet<_> = planned.from.membership.servers.keys().copied().collect();
        let staying = members.iter().filter(|id| planned.change.leaving() != Some(**id)).copied().collect();
        let mut addresses = serving(&self.look, &staying, planned.leader);
        if addresses.is_empty() {
            addresses = serving(&self.look, &members, planned.leader);
        }
        let change = match reconfiguration(planned) {
            Ok(change) => change,
            Err(refusal) => return Sent::Not(refused(&refusal)),
        };
        let session = match self.connections.session(&addresses, self.connections.timeout()).await {
            Ok(session) => session,
            Err(error) => return Sent::Not(Ended::failed(format!("nothing was sent: {error}"))),
        };
        fail_point("ensemble.connected");
        // Last of all: from here on it is under way.
        if let Err(why) = self.locks.check() {
            return Sent::Not(conflict(why));
        }
        let answer = session.reconfigure(&change).await;
        fail_point("ensemble.sent");
        leave(&session).await;
        match answer {
            Ok(_) => Sent::Maybe,
            Err(error) if error.is_unknown() => {
                tracing::info!(%error, "the answer was lost: the configuration is read back");
                Sent::Maybe
            }
            Err(error) => Sent::Not(not_carried_out(&error, planned)),
        }
    }

    /// Reads a change back, makes it active, waits until every member has it, and records it.
    async fn confirm(&mut self, op: &Op) -> Result<Ended, Ended> {
        let deadline = Instant::now() + CONFIRM;
        let config = self.read_back(op, deadline).await?;
        fail_point("ensemble.read_back");
        self.activate(&op.after, deadline).await?;
        fail_point("ensemble.activated");
        self.seen_by_all(op, deadline).await?;
        fail_point("ensemble.confirmed");
        let now = self.clock.now();
        let next = |desired: &Desired| desired.is_open(op).then(|| recorded(desired, op, &config, now));
        let saved = self.record.update(next).await;
        fail_point("ensemble.recorded");
        saved.map_err(|ended| {
            let why = ended.reason.unwrap_or_default();
            unknown(&format!("{op} was made, and is not in the record: {why}"))
        })?;
        Ok(Ended::done())
    }

    /// What the quorum has, once it is what was wanted.
    async fn read_back(&self, op: &Op, deadline: Instant) -> Result<EnsembleConfig, Ended> {
        loop {
            let why = match self.connections.quorum(&places(&self.look, &op.after, op), CALL).await {
                Ok(config) if config.membership == op.after => return Ok(config),
                Ok(config) if config.membership == op.before => "the configuration shows no effect yet".to_owned(),
                Ok(config) => {
                    let difference = op.before.difference(&config.membership);
                    return Err(conflict(format!("somebody else changed the membership meanwhile: {difference}")));
                }
                Err(why) => why,
            };
            wait(deadline, &format!("{why}; {} s were waited for", CONFIRM.as_secs())).await?;
        }
    }

    /// An ordinary write: a reconfiguration that is committed is active only after the next one.
    async fn activate(&self, members: &Membership, deadline: Instant) -> Result<(), Ended> {
        let ids = members.servers.keys().copied().collect();
        let addresses = serving(&self.look, &ids, None);
        loop {
            let why = match self.connections.session(&addresses, CALL).await {
                Ok(session) => {
                    let written = self.count(&session).await;
                    leave(&session).await;
                    match written {
                        Ok(()) => return Ok(()),
                        Err(error) if error.refusal() == Some(Answer::NoAuth) => {
                            // The change is made; only the count can't be kept.
                            tracing::warn!(%error, "the node {CHANGES_PATH} can't be written");
                            return Ok(());
                        }
                        Err(error) => error.to_string(),
                    }
                }
                Err(error) => error.to_string(),
            };
            wait(deadline, &format!("the change was made, and no write went through since: {why}")).await?;
        }
    }

    async fn count(&self, session: &Live) -> Result<(), ZooKeeperError> {
        let data = self.clock.now().to_string();
        match session.set(CHANGES_PATH, data.as_bytes(), None).await {
            Err(error) if error.refusal() == Some(Answer::NoNode) => {
                self.folder(session).await?;
                made(session.create(CHANGES_PATH, data.as_bytes(), &self.creation()).await)
            }
            written => written.map(drop),
        }
    }

    async fn folder(&self, session: &Live) -> Result<(), ZooKeeperError> {
        made(session.create(FOLDER, b"", &self.creation()).await)
    }

    /// Everybody reads; whoever is logged in does the rest.
    fn creation(&self) -> Creation {
        if !self.has_login {
            return Creation::open(Mode::Persistent);
        }
        let of =
            |permissions, scheme: &str, id: &str| Acl { permissions, scheme: scheme.to_owned(), id: id.to_owned() };
        let acl = vec![of(Permissions::ALL, "auth", ""), of(Permissions::READ, "world", "anyone")];
        Creation { mode: Mode::Persistent, acl }
    }

    /// Waits until every member that serves has the new configuration as its own, and one leads.
    async fn seen_by_all(&self, op: &Op, deadline: Instant) -> Result<(), Ended> {
        loop {
            let look = views(self.connections, self.record.desired.as_ref()).await;
            let Err(why) = is_confirmed(op, &look.seen) else { return Ok(()) };
            wait(deadline, &format!("the change was made, and not every server has it: {why}")).await?;
        }
    }

    async fn identify(&self, ensemble_id: &str) -> Result<(), Ended> {
        let failed = |error: &ZooKeeperError| match error.refusal() {
            Some(Answer::NoAuth) => {
                let next = format!("Let this identity create {FOLDER} (setAcl), or give credentials that may");
                refused(&Refusal::new(Code::Auth, error.to_string(), next))
            }
            _ => Ended::failed(error.to_string()),
        };
        let ids = self.look.seen.membership().map(|it| it.servers.keys().copied().collect()).unwrap_or_default();
        let addresses = serving(&self.look, &ids, self.look.seen.leader());
        let session =
            self.connections.session(&addresses, self.connections.timeout()).await.map_err(|it| failed(&it))?;
        let mut written = self.folder(&session).await;
        if written.is_ok() {
            written = session.create(ID_PATH, ensemble_id.as_bytes(), &self.creation()).await.map(drop);
        }
        leave(&session).await;
        written.map_err(|error| failed(&error))
    }
}

/// Fails once the time is over; else waits a moment.
async fn wait(deadline: Instant, why: &str) -> Result<(), Ended> {
    if Instant::now() >= deadline {
        return Err(unknown(why));
    }
    sleep(CONFIRM_PAUSE).await;
    Ok(())
}

/// A node that is there is as good as one that was created.
fn made(created: Result<String, ZooKeeperError>) -> Result<(), ZooKeeperError> {
    match created {
        Err(error) if error.refusal() == Some(Answer::NodeExists) => Ok(()),
        created => created.map(drop),
    }
}

/// Where a change is read back: at members after it, never at a server that it removes.
fn places(look: &Look, after: &Membership, op: &Op) -> Vec<Address> {
    let ids: BTreeSet<_> = after.servers.keys().copied().collect();
    // The one that is added, or moved, last: it may have other things to do.
    let mut addresses = serving(look, &ids.iter().filter(|id| **id != op.target).copied().collect(), None);
    addresses.extend(serving(look, &ids.iter().filter(|id| **id == op.target).copied().collect(), None));
    addresses
}

/// The call: always for the version that was seen. Without one, ZooKeeper would make the change whatever the members are by then.
fn reconfiguration(planned: &Planned) -> Result<Reconfiguration, Refusal> {
    let Planned { change, from, .. } = planned;
    let joining = change.line.iter().map(|line| format!("server.{}={line}", change.target)).collect();
    let leaving = change.leaving().map(|id| u64::try_from(id.0)).transpose();
    let leaving = leaving.map_err(|_| bad(Code::BadAddress, format!("{} is no id of a server", change.target)))?;
    let version = i64::try_from(from.version.0).ok().filter(|version| *version > 0);
    let unknown =
        || bad(Code::ReconfigOff, format!("version {} of the configuration is none to change from", from.version));
    let from_version = Some(version.ok_or_else(unknown)?);
    Ok(Reconfiguration { joining, leaving: leaving.into_iter().collect(), from_version })
}

fn bad(code: Code, why: String) -> Refusal {
    Refusal::new(code, why, next_step(code))
}

/// What a server refused, by our names.
fn not_carried_out(error: &ZooKeeperError, planned: &Planned) -> Ended {
    let code = match error.refusal() {
        Some(Answer::BadVersion) => Code::Conflict,
        Some(Answer::ReconfigInProgress) => Code::InProgress,
        Some(Answer::ReconfigDisabled | Answer::Unimplemented) => Code::ReconfigOff,
        Some(Answer::NewConfigNoQuorum) if planned.change.line.is_some() => Code::NotCaughtUp,
        Some(Answer::NewConfigNoQuorum) => Code::UnsafeSize,
        Some(Answer::NoAuth) => Code::Auth,
        Some(Answer::BadArguments | Answer::MarshallingError) => Code::BadAddress,
        _ => return Ended::failed(error.to_string()),
    };
    refused(&Refusal::new(code, error.to_string(), next_step(code)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ensemble::desired::ChangeKind;
    use crate::cluster::ensemble::member::ServerId;
    use crate::cluster::ensemble::membership::ConfigVersion;
    use crate::commands::ensemble::plan::change::Change;

    fn planned(version: u64, id: i64) -> Planned {
        let (kind, target) = (ChangeKind::Shrink, ServerId(id));
        let from = EnsembleConfig { version: ConfigVersion(version), ..EnsembleConfig::default() };
        Planned {
            change: Change { kind, target, instead_of: None, line: None, is_leader: false },
            from,
            after: Membership::default(),
            leader: None,
            arguments: String::new(),
            impact: "",
            checks: Vec::new(),
        }
    }

    #[test]
    fn a_change_is_sent_for_the_version_that_was_seen_or_not_at_all() {
        let sent = reconfiguration(&planned(0x1_0000_0000, 3)).unwrap();
        assert_eq!((sent.from_version, sent.leaving), (Some(0x1_0000_0000), vec![3]));
        for version in [0, u64::MAX, 1 << 63] {
            assert_eq!(reconfiguration(&planned(version, 3)).unwrap_err().code, Code::ReconfigOff, "{version:x}");
        }
        assert_eq!(reconfiguration(&planned(7, -3)).unwrap_err().code, Code::BadAddress);
    }
}
