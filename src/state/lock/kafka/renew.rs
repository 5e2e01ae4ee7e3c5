//! The renewals of a lock: a thread of its own, with its own connections, so that no planning and no slow write starves
//! them.
//!
//! A renewal is a heartbeat that the coordinator answers with success, and the word of another broker that this is the
//! coordinator: one that is cut off from the controller goes on answering after the group has moved and the lock was
//! given to another run. It counts from the moment of sending it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::sleep;
use tokio::time::timeout;

use crate::clients::kafka::KafkaError;
use crate::clients::kafka::codes;
use crate::clients::kafka::lock_group::Join;
use crate::clients::kafka::lock_group::Joining;
use crate::clients::kafka::lock_group::LockGroups;
use crate::clients::kafka::lock_group::Membership;
use crate::cluster::broker::BrokerId;
use crate::state::clock::BootClock;
use crate::state::lock::kafka::Held;
use crate::state::lock::kafka::held::Shared;
use crate::state::lock::kafka::take::assignments;
use crate::state::lock::kafka::take::is_elsewhere;

/// Renewals in one session: 3 s of 15 s.
const RENEWALS_IN_SESSION: u32 = 5;

/// Longest single renewal.
const RENEWAL_MAX: Duration = Duration::from_secs(3);

/// The pause after one that failed.
const PAUSE: Duration = Duration::from_millis(500);

/// How long the coordinator may take to answer a join beyond the rebalance timeout.
const JOIN_EXTRA: Duration = Duration::from_secs(5);

/// Longest time that a run which is done gives to the release.
const RELEASE_MAX: Duration = Duration::from_secs(5);

/// Keeps one membership.
pub(super) struct Renewer {
    pub(super) groups: Arc<dyn LockGroups>,
    pub(super) shared: Arc<Shared>,
    pub(super) clock: BootClock,
    /// The coordinator, where it is known.
    pub(super) at: Option<BrokerId>,
    /// What to join again with.
    pub(super) join: Join,
    pub(super) membership: Membership,
    /// Whether the group rebalances, and this member has to join again.
    pub(super) must_rejoin: bool,
}

/// What comes after one round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The next renewal in its turn.
    InTurn,
    /// Another attempt soon.
    Soon,
    /// Another step at once.
    AtOnce,
    /// Nothing: the lock is lost.
    Over,
}

/// Starts the thread.
pub(super) fn spawn(renewer: Renewer) -> io::Result<Held> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (held, work) = renewals(renewer);
    std::thread::Builder::new().name("lock-renewals".to_owned()).spawn(move || runtime.block_on(work))?;
    Ok(held)
}

/// The lock, and the work that renews it.
pub(super) fn renewals(renewer: Renewer) -> (Held, impl Future<Output = ()> + Send + 'static) {
    let (release, released) = oneshot::channel();
    let (ending, ended) = oneshot::channel();
    let shared = Arc::clone(&renewer.shared);
    let over = Over { shared: Arc::clone(&shared), _ending: ending };
    let work = async move {
        let _over = over;
        renewer.run(released).await;
    };
    (Held { shared, release, ended }, work)
}

/// However the thread ends, nobody believes in renewals any more, and whoever waits for its end goes on.
struct Over {
    shared: Arc<Shared>,
    _ending: oneshot::Sender<()>,
}

impl Drop for Over {
    fn drop(&mut self) {
        self.shared.lose("nothing renews it any more".to_owned());
    }
}

impl Renewer {
    /// Renews until the lock is lost or given back.
    pub(super) async fn run(mut self, mut released: oneshot::Receiver<()>) {
        let mut pause = self.turn();
        loop {
            let started = (self.clock)();
            let round = async {
                sleep(pause).await;
                self.round().await
            };
            let next = tokio::select! {
                biased;
                asked = &mut released => {
                    if asked.is_ok() {
                        self.leave().await;
                    }
                    return;
                }
                next = round => next,
            };
            pause = match next {
                Next::InTurn => self.turn().saturating_sub((self.clock)().saturating_sub(started + pause)),
                Next::Soon => PAUSE,
                Next::AtOnce => Duration::ZERO,
                Next::Over => return,
            };
        }
    }

    fn turn(&self) -> Duration {
        self.join.session / RENEWALS_IN_SESSION
    }

    /// One renewal, or one step on the way to the next one.
    async fn round(&mut self) -> Next {
        let within = self.turn().min(RENEWAL_MAX);
        let at = match self.at {
            Some(at) => at,
            None => match self.groups.coordinator(&self.membership.group, within).await {
                Ok(at) => *self.at.insert(at),
                Err(error) => return self.failed(&error),
            },
        };
        if self.must_rejoin {
            return self.rejoin(at).await;
        }
        let sent = (self.clock)();
        let group = &self.membership.group;
        let (renewed, confirmed) = tokio::join!(
            self.groups.heartbeat(at, &self.membership, within),
            self.groups.confirmed_coordinator(group, at, within)
        );
        match (renewed, confirmed) {
            (Ok(()), Ok(named)) if named == at => {
                self.shared.renewed(sent, self.membership.generation);
                Next::InTurn
            }
            (Ok(()), Ok(named)) => {
                tracing::debug!(group, %at, %named, "another broker names another coordinator");
                self.shared.pause();
                self.at = Some(named);
                Next::Soon
            }
            (Ok(()), Err(error)) => {
                tracing::debug!(group, %at, %error, "no other broker confirms the coordinator");
                if self.is_final(&error) { self.failed(&error) } else { Next::Soon }
            }
            (Err(error), confirmed) => {
                let next = self.failed(&error);
                // What the others say is newer than what the cluster's list says.
                self.at = confirmed.ok().or(self.at);
                next
            }
        }
    }

    /// What an error means.
    fn failed(&mut self, error: &KafkaError) -> Next {
        tracing::debug!(group = self.membership.group, %error, "the lock could not be renewed");
        if self.is_final(error) {
            self.shared.lose(match error.code() {
                Some(codes::GROUP_AUTHORIZATION_FAILED) => format!("the right to the group was taken away ({error})"),
                _ => format!("the coordinator has removed this run from the group ({error})"),
            });
            return Next::Over;
        }
        if error.code() == Some(codes::REBALANCE_IN_PROGRESS) {
            self.shared.pause();
            self.must_rejoin = true;
            return Next::AtOnce;
        }
        if is_elsewhere(error) {
            self.shared.pause();
            self.at = None;
        }
        if matches!(error.code(), Some(codes::BROKER_NOT_AVAILABLE)) {
            self.at = None;
        }
        Next::Soon
    }

    /// Whether an error says that this member is not in the group any more, or may not be. A generation that is not
    /// known says nothing while this member has to join again anyway.
    fn is_final(&self, error: &KafkaError) -> bool {
        match error.code() {
            Some(codes::UNKNOWN_MEMBER_ID | codes::GROUP_AUTHORIZATION_FAILED | codes::INCONSISTENT_GROUP_PROTOCOL) => {
                true
            }
            Some(codes::ILLEGAL_GENERATION) => !self.must_rejoin,
            _ => false,
        }
    }

    /// Joins again with the same id. Who is the leader still, was it all the time: a leader stays one as long as it is
    /// a member, and a member that was removed is not known by its id any more.
    async fn rejoin(&mut self, at: BrokerId) -> Next {
        self.shared.pause();
        let joined = match self.groups.join(at, &self.join, self.join.rebalance + JOIN_EXTRA).await {
            Ok(Joining::Joined(joined)) => joined,
            Ok(Joining::Named(_)) => {
                self.shared.lose("the coordinator does not know this run any more".to_owned());
                return Next::Over;
            }
            Err(error) => return self.failed(&error),
        };
        if !joined.leads() {
            self.shared.lose(format!("the group has another leader, member {}", joined.leader));
            self.leave().await;
            return Next::Over;
        }
        self.membership = joined.membership.clone();
        let within = self.turn().min(RENEWAL_MAX);
        match self.groups.sync(at, &self.membership, assignments(&joined), within).await {
            Ok(()) => {
                self.must_rejoin = false;
                Next::AtOnce
            }
            Err(error) => self.failed(&error),
        }
    }

    /// Leaves the group, so that the next run does not wait.
    async fn leave(&self) {
        let Membership { group, member_id, .. } = &self.membership;
        let leave = async {
            let at = match self.at {
                Some(at) => at,
                None => self.groups.coordinator(group, RELEASE_MAX).await?,
            };
            self.groups.leave(at, group, member_id, RELEASE_MAX).await
        };
        match timeout(RELEASE_MAX, leave).await {
            Ok(Ok(())) => tracing::debug!(group, "left"),
            Ok(Err(error)) => tracing::debug!(group, %error, "could not leave; the session ends by itself"),
            Err(_) => tracing::debug!(group, "could not leave in time; the session ends by itself"),
        }
    }
}
