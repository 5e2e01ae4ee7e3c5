//! The brake: asks a run to stop before its next batch of changes, and says why.
//!
//! Whoever wants a run to end (a signal, a deadline, a Lease that another run took) pulls it; whoever carries changes
//! out looks at it between two batches. [`braked`] drops work that has changed nothing yet at once, and lets work that
//! has begun to change things come to its own end, within a limit.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// How long work that is given up may take to record what it has begun.
const RECORDING_MAX: Duration = Duration::from_secs(2);

/// A brake; its clones are the same brake.
#[derive(Debug, Clone, Default)]
pub struct Brake {
    own: Own,
    /// The brake of what this work is a part of: pulling it pulls this one, too.
    above: Option<Arc<Brake>>,
}

#[derive(Debug, Clone)]
struct Own(Arc<watch::Sender<State>>);

#[derive(Debug, Clone, Default)]
struct State {
    why: Option<String>,
    is_insisted: bool,
    is_changing: bool,
}

impl Default for Own {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(State::default())))
    }
}

impl Brake {
    /// A brake for a part of this brake's work: it is pulled when this one is, but not the other way round.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { own: Own::default(), above: Some(Arc::new(self.clone())) }
    }

    /// Asks to stop before the next batch. The first reason stays.
    pub fn pull(&self, why: impl Into<String>) {
        let why = why.into();
        self.own.0.send_modify(|state| {
            state.why.get_or_insert(why);
        });
    }

    /// Asks to stop at once, in the middle of a batch: a person pressed Ctrl-C twice, or a grace has passed.
    pub fn insist(&self) {
        self.own.0.send_modify(|state| state.is_insisted = true);
    }

    /// Why to stop before the next batch, if somebody asked for it.
    pub fn pulled(&self) -> Option<String> {
        let own = self.own.0.borrow().why.clone();
        own.or_else(|| self.above.as_ref()?.pulled())
    }

    /// Says that changes begin: from now on the work is not dropped, but comes to its own end.
    pub fn changes_begin(&self) {
        self.own.0.send_modify(|state| state.is_changing = true);
    }

    /// Whether changes have begun.
    pub fn is_changing(&self) -> bool {
        self.own.0.borrow().is_changing
    }

    /// Waits until somebody asks to stop, and says why.
    pub async fn until_pulled(&self) -> String {
        self.until(|state| state.why.is_some()).await.why.unwrap_or_default()
    }

    /// Waits until a person asks to stop at once.
    pub async fn until_insisted(&self) {
        self.until(|state| state.is_insisted).await;
    }

    /// Waits until this brake's state, or that of one above, is as wanted.
    async fn until(&self, is_so: impl Fn(&State) -> bool + Copy) -> State {
        let mut changes = self.own.0.subscribe();
        // The sender lives as long as this brake, so that waiting can't fail.
        let own = async { changes.wait_for(|state| is_so(state)).await.map(|state| state.clone()).unwrap_or_default() };
        match &self.above {
            None => own.await,
            Some(above) => tokio::select! {
                biased;
                state = own => state,
                state = Box::pin(above.until(is_so)) => state,
            },
        }
    }
}

/// Work was given up before its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Halted(pub String);

/// Does work until its end, or until the brake stops it: at once if it has changed nothing yet. Work that changes things
/// may go on for `grace`, or until a person insists; then it gives its batch up and records that, and is dropped only if
/// it does not do even that.
pub async fn braked<R>(brake: &Brake, grace: Duration, work: impl Future<Output = R>) -> Result<R, Halted> {
    tokio::pin!(work);
    let why = tokio::select! {
        biased;
        result = &mut work => return Ok(result),
        why = brake.until_pulled() => why,
    };
    if !brake.is_changing() {
        return Err(Halted(format!("{why}; nothing was changed")));
    }
    let given_up = tokio::select! {
        biased;
        result = &mut work => return Ok(result),
        () = brake.until_insisted() => "were given up".to_owned(),
        () = tokio::time::sleep(grace) => {
            format!("did not end within {} s and were given up", grace.as_secs_f64())
        }
    };
    brake.insist();
    let ended = tokio::time::timeout(RECORDING_MAX, work).await;
    ended.map_err(|_| Halted(format!("{why}; changes that were under way {given_up}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(25);

    #[tokio::test(start_paused = true)]
    async fn work_that_has_changed_nothing_is_dropped_at_once() {
        let brake = Brake::default();
        brake.pull("SIGTERM");
        let halted = braked(&brake, GRACE, std::future::pending::<()>()).await.unwrap_err();
        assert_eq!(halted.to_string(), "SIGTERM; nothing was changed");
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_changes_things_comes_to_its_own_end() {
        let brake = Brake::default();
        let work = async {
            brake.changes_begin();
            brake.pull("SIGTERM");
            tokio::time::sleep(GRACE / 2).await;
            brake.pulled()
        };
        assert_eq!(braked(&brake, GRACE, work).await, Ok(Some("SIGTERM".into())));
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_does_not_end_is_given_up_after_its_grace_or_when_a_person_insists() {
        let brake = Brake::default();
        brake.changes_begin();
        brake.pull("SIGINT");
        let started = tokio::time::Instant::now();
        let halted = braked(&brake, GRACE, std::future::pending::<()>()).await.unwrap_err();
        assert!(halted.to_string().contains("did not end within 25 s"), "{halted}");
        assert_eq!(started.elapsed(), GRACE + RECORDING_MAX);
        let halted = braked(&brake, GRACE, std::future::pending::<()>()).await.unwrap_err();
        assert_eq!(halted.to_string(), "SIGINT; changes that were under way were given up");
        assert_eq!(started.elapsed(), GRACE + RECORDING_MAX * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_is_given_up_may_still_record_that() {
        let brake = Brake::default();
        brake.changes_begin();
        brake.pull("SIGTERM");
        let work = async {
            brake.until_insisted().await;
            "recorded"
        };
        assert_eq!(braked(&brake, GRACE, work).await, Ok("recorded"));
    }

    #[tokio::test]
    async fn a_part_is_stopped_with_the_whole_and_the_whole_goes_on_without_a_part() {
        let whole = Brake::default();
        let (one, two) = (whole.child(), whole.child());
        one.pull("the deadline has passed");
        assert_eq!(
            (one.pulled().as_deref(), two.pulled(), whole.pulled()),
            (Some("the deadline has passed"), None, None)
        );
        whole.pull("SIGTERM");
        assert_eq!((two.pulled().as_deref(), two.child().until_pulled().await.as_str()), (Some("SIGTERM"), "SIGTERM"));
        assert_eq!(one.until_pulled().await, "the deadline has passed");
        whole.insist();
        two.child().until_insisted().await;
    }
}
