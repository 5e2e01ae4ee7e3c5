//! A lock that is held: how fresh its last renewal is, that it was lost, and how it is given back.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::sync::watch;

use crate::clients::kafka::gate::Condition;
use crate::clients::kafka::lock_group::Membership;
use crate::state::clock::BootClock;

/// How sure a holder may be that nobody else holds the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Freshness {
    /// The last renewal is young enough: writes may be sent.
    Fresh,
    /// Nothing may be sent now: the last renewal was sent so long ago, or the group rebalances or has no coordinator at
    /// this moment. It may become fresh again.
    Stale {
        /// The time since the last renewal was sent.
        since_renewal: Duration,
    },
    /// The lock is lost for good.
    Lost {
        /// Why.
        why: String,
    },
}

/// What the thread that renews and the one that works have in common.
#[derive(Debug)]
pub(super) struct Shared {
    group: String,
    member_id: String,
    clock: BootClock,
    /// A renewal counts for so long, from its sending: the session less the margin.
    trusted_for: Duration,
    /// When the last renewal that counts was sent, in nanoseconds of the clock.
    renewed: AtomicU64,
    generation: AtomicI32,
    /// Whether the group rebalances or looks for its coordinator: no renewal counts until that is over.
    paused: AtomicBool,
    lost: watch::Sender<Option<String>>,
}

impl Shared {
    /// Of a lock that was just taken; the last renewal was sent at this time.
    pub(super) fn new(membership: &Membership, clock: BootClock, trusted_for: Duration, renewed: Duration) -> Self {
        Self {
            group: membership.group.clone(),
            member_id: membership.member_id.clone(),
            clock,
            trusted_for,
            renewed: AtomicU64::new(nanoseconds(renewed)),
            generation: AtomicI32::new(membership.generation),
            paused: AtomicBool::new(false),
            lost: watch::Sender::new(None),
        }
    }

    /// A renewal counts, from its sending.
    pub(super) fn renewed(&self, sent: Duration, generation: i32) {
        self.renewed.store(nanoseconds(sent), Ordering::SeqCst);
        self.generation.store(generation, Ordering::SeqCst);
        self.paused.store(false, Ordering::SeqCst);
    }

    /// Nothing may be sent until the next renewal.
    pub(super) fn pause(&self) {
        self.paused.store(true, Ordering::SeqCst);
    }

    /// The lock is lost for good. The first reason stays.
    pub(super) fn lose(&self, why: String) {
        self.lost.send_modify(|lost| {
            lost.get_or_insert(why);
        });
    }

    pub(super) fn freshness(&self) -> Freshness {
        if let Some(why) = self.lost.borrow().clone() {
            return Freshness::Lost { why };
        }
        let since_renewal = (self.clock)().saturating_sub(Duration::from_nanos(self.renewed.load(Ordering::SeqCst)));
        if self.paused.load(Ordering::SeqCst) || since_renewal >= self.trusted_for {
            return Freshness::Stale { since_renewal };
        }
        Freshness::Fresh
    }

    fn condition(&self) -> Result<(), String> {
        let group = &self.group;
        match self.freshness() {
            Freshness::Fresh => Ok(()),
            Freshness::Stale { since_renewal } => Err(format!(
                "the lock `{group}` was last renewed {:.1} s ago, and another run may have taken it",
                since_renewal.as_secs_f64()
            )),
            Freshness::Lost { why } => Err(format!("the lock `{group}` is lost: {why}")),
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A lock that this run holds. When it is dropped without [`Held::release`], renewals stop: nobody can take it before its
/// session ends.
pub struct Held {
    pub(super) shared: Arc<Shared>,
    /// Asks the thread that renews to leave the group; dropped, it asks it to end.
    pub(super) release: oneshot::Sender<()>,
    /// Closed when that thread has ended.
    pub(super) ended: oneshot::Receiver<()>,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("shared", &self.shared).finish_non_exhaustive()
    }
}

impl Held {
    /// The group.
    pub fn group(&self) -> &str {
        &self.shared.group
    }

    /// The id of this member in the group: kept in a state folder, it lets the next run there remove this one if it died
    /// ([`Claim::known_dead`]).
    ///
    /// [`Claim::known_dead`]: crate::state::lock::kafka::Claim::known_dead
    pub fn member_id(&self) -> &str {
        &self.shared.member_id
    }

    /// The generation of the group in which the lock was renewed last; each rebalance makes a new one.
    pub fn generation(&self) -> i32 {
        self.shared.generation.load(Ordering::SeqCst)
    }

    /// How sure this run may be that nobody else holds the lock. Cheap: it may be asked before each write.
    ///
    /// A stale lock that is renewed again was held all the time: the coordinator answers a heartbeat with success only
    /// while this member and its generation are in the group, a member that was removed never comes back with its old
    /// id, and a leader stays the leader as long as it is a member. Whatever else happened, the answer is an error that
    /// ends in [`Freshness::Lost`].
    pub fn freshness(&self) -> Freshness {
        self.shared.freshness()
    }

    /// The same as a condition for writes: `kafka.write_gate().require(held.group(), held.condition())`. It goes on to
    /// be false after the lock was given back.
    pub fn condition(&self) -> Condition {
        let shared = Arc::clone(&self.shared);
        Arc::new(move || shared.condition())
    }

    /// Waits until the lock is lost for good, and says why.
    pub fn lost(&self) -> impl Future<Output = String> + Send + 'static {
        let mut lost = self.shared.lost.subscribe();
        async move {
            match lost.wait_for(Option::is_some).await {
                Ok(why) => why.clone().unwrap_or_default(),
                Err(_) => "nothing renews it any more".to_owned(),
            }
        }
    }

    /// Gives the lock back, so that the next run does not wait; takes five seconds at most. If that fails, it runs out
    /// by itself.
    pub async fn release(self) {
        let Self { shared, release, ended } = self;
        shared.lose("this run gave it back".to_owned());
        // A thread that is gone has lost the lock, and there is nothing to release.
        let _ = release.send(());
        // The thread has the time limit: its clock runs also where this one is a test's.
        let _ = ended.await;
    }
}
