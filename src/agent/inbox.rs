//! Requests to the agent, from whoever answers HTTP: bounded, heard by the leader alone, and dropped when nobody waits any
//! more.
//!
//! Each term has a queue of its own, so that nothing survives into another term. A request is claimed by exactly one side:
//! by the agent before it does it, or by whoever asked when they give up. What was given up is never done.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// Requests that may wait while a tick runs.
pub const WAITING_MAX: usize = 16;

/// How long a request that is being done when its time is over is still waited for.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// One request, claimed by the agent: it is to be answered.
#[derive(Debug)]
pub struct Asked<Q, R> {
    /// What is asked for.
    pub question: Q,
    /// Where the answer goes.
    pub answer: Answer<R>,
    claim: Claim,
}

/// Where an answer goes.
#[derive(Debug)]
pub struct Answer<R>(oneshot::Sender<R>);

impl<R> Answer<R> {
    /// Answers. Whoever asked may be gone.
    pub fn send(self, answer: R) {
        drop(self.0.send(answer));
    }
}

/// Why a request was not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unheard {
    /// This agent does not lead.
    #[error("{0}. Nothing was changed")]
    NotLeading(String),
    /// The queue is full.
    #[error("{WAITING_MAX} requests wait already. Nothing was changed; try again in a few seconds")]
    Busy,
    /// Nobody came to it in time.
    #[error(
        "the agent did not get to this request within {0} s, and will not carry it out any more. Nothing was changed; \
         look at the agent's log, then try again"
    )]
    TooLate(u64),
    /// The term ended before it was done.
    #[error("the agent ended, or lost its leadership, before it got to this request. Nothing was changed; ask again")]
    TermOver,
    /// It was begun, and nobody knows how that ended.
    #[error("the agent began to carry this request out and did not finish in time: look whether it is in force")]
    Unknown,
}

#[derive(Debug, Clone, Default)]
struct Claim(Arc<AtomicBool>);

impl Claim {
    /// Claims the request; whether nobody had.
    fn take(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
}

/// Withdraws a request when whoever asked is gone, however that came.
struct Withdrawn(Claim);

impl Drop for Withdrawn {
    fn drop(&mut self) {
        self.0.take();
    }
}

/// Between those who ask and the agent.
#[derive(Debug)]
pub struct Inbox<Q, R>(Mutex<Standing<Q, R>>);

#[derive(Debug)]
enum Standing<Q, R> {
    /// Nobody hears, and why.
    Closed(String),
    /// The agent leads, and hears.
    Open(mpsc::Sender<Asked<Q, R>>),
}

impl<Q, R> Default for Inbox<Q, R> {
    fn default() -> Self {
        Self(Mutex::new(Standing::Closed("not the leader; it is not known yet who leads".to_owned())))
    }
}

impl<Q, R> Inbox<Q, R> {
    /// Asks the leader, and waits this long at most until it begins.
    pub async fn ask(&self, question: Q, limit: Duration) -> Result<R, Unheard> {
        let (answer, mut answered) = oneshot::channel();
        let claim = Claim::default();
        let asked = Asked { question, answer: Answer(answer), claim: claim.clone() };
        match &*self.standing() {
            Standing::Closed(why) => return Err(Unheard::NotLeading(why.clone())),
            Standing::Open(queue) => queue.try_send(asked).map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => Unheard::Busy,
                mpsc::error::TrySendError::Closed(_) => Unheard::TermOver,
            })?,
        }
        let withdrawn = Withdrawn(claim);
        match timeout(limit, &mut answered).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(if withdrawn.0.take() { Unheard::TermOver } else { Unheard::Unknown }),
            Err(_) if withdrawn.0.take() => Err(Unheard::TooLate(limit.as_secs())),
            // It is being done right now.
            Err(_) => timeout(LAST_WAIT, answered).await.ok().and_then(Result::ok).ok_or(Unheard::Unknown),
        }
    }

    /// A new term's queue: from now on the agent hears.
    pub fn open(&self) -> Queue<Q, R> {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        *self.standing() = Standing::Open(sender);
        Queue(receiver)
    }

    /// Nobody hears from now on; whoever asks is answered at once with why.
    pub fn close(&self, why: impl Into<String>) {
        *self.standing() = Standing::Closed(why.into());
    }

    fn standing(&self) -> MutexGuard<'_, Standing<Q, R>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The requests of one term.
#[derive(Debug)]
pub struct Queue<Q, R>(mpsc::Receiver<Asked<Q, R>>);

impl<Q, R> Queue<Q, R> {
    /// Waits for requests; all that wait and that somebody still waits for. Dropped while it waits, it loses none.
    pub async fn next(&mut self) -> Vec<Asked<Q, R>> {
        loop {
            let mut asked = Vec::new();
            if self.0.recv_many(&mut asked, WAITING_MAX).await == 0 {
                // Closed: the term ends. Nothing comes any more.
                return std::future::pending().await;
            }
            asked.retain(|one| one.claim.take());
            if !asked.is_empty() {
                return asked;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_mins(1);

    #[tokio::test(start_paused = true)]
    async fn a_standby_refuses_at_once_and_names_the_leader() {
        let inbox = Inbox::<u8, u8>::default();
        inbox.close("not the leader; the leader is pod throttle-1");
        let begun = tokio::time::Instant::now();
        let words = inbox.ask(1, LIMIT).await.unwrap_err().to_string();
        assert_eq!(words, "not the leader; the leader is pod throttle-1. Nothing was changed");
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_timed_out_or_whose_client_is_gone_is_dropped_and_never_done() {
        let inbox = Inbox::<u8, u8>::default();
        let mut queue = inbox.open();
        assert_eq!(inbox.ask(1, LIMIT).await, Err(Unheard::TooLate(60)));
        assert!(timeout(Duration::from_secs(1), inbox.ask(2, LIMIT)).await.is_err(), "the client hangs up");
        let (answer, asked) = tokio::join!(inbox.ask(3, LIMIT), async {
            let asked = queue.next().await;
            let questions: Vec<_> = asked.iter().map(|one| one.question).collect();
            for one in asked {
                one.answer.send(30);
            }
            questions
        });
        assert_eq!((answer, asked), (Ok(30), vec![3]));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_that_waits_survives_into_another_term() {
        let inbox = Inbox::<u8, u8>::default();
        let queue = inbox.open();
        let next_term = async {
            drop(queue);
            inbox.close("not the leader; the leader is the other one");
            inbox.open()
        };
        let (answer, mut queue) = tokio::join!(inbox.ask(1, LIMIT), next_term);
        assert_eq!(answer, Err(Unheard::TermOver));
        assert!(timeout(LIMIT, queue.next()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn the_queue_is_bounded_and_what_was_begun_and_not_answered_is_unknown() {
        let inbox = Arc::new(Inbox::<u8, u8>::default());
        let mut queue = inbox.open();
        let waiting: Vec<_> = (0..16)
            .map(|question| {
                let inbox = Arc::clone(&inbox);
                tokio::spawn(async move { inbox.ask(question, LIMIT).await })
            })
            .collect();
        tokio::task::yield_now().await;
        assert_eq!(inbox.ask(17, LIMIT).await, Err(Unheard::Busy));
        drop(queue.next().await);
        for one in waiting {
            assert_eq!(one.await.unwrap(), Err(Unheard::Unknown));
        }
    }
}
