//! Who logs in first: a cluster's connections are made beside each other, but only one of them logs in until one was
//! admitted. A wrong password is sent once, not to each broker, and what keeps the accounts counts one failure; a broker
//! that takes longer than [`FIRST_LOGIN`] to refuse it can't prevent that the next ones get it, too.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio::time::timeout;

use crate::clients::kafka::KafkaError;

/// How long the others wait for the first login; a broker that hangs in it keeps nobody longer.
const FIRST_LOGIN: Duration = Duration::from_millis(500);

/// How long a refusal counts. It covers what one command asks at its beginning; an agent tries again at its next look.
const REFUSED: Duration = Duration::from_secs(3);

/// What the brokers said of our login so far.
#[derive(Debug, Default)]
pub(super) struct Admission(Mutex<Known>);

#[derive(Debug, Default)]
enum Known {
    #[default]
    Nothing,
    Admitted,
    Refused(KafkaError, Instant),
}

impl Admission {
    /// Logs in with `login`: after whoever does that now where nobody was admitted yet, and not at all where a broker has
    /// just refused us. The error is that refusal then.
    pub(super) async fn log_in<T>(&self, login: impl Future<Output = Result<T, KafkaError>>) -> Result<T, KafkaError> {
        let Ok(mut known) = timeout(FIRST_LOGIN, self.0.lock()).await else { return login.await };
        match &*known {
            Known::Refused(error, at) if at.elapsed() < REFUSED => Err(error.clone()),
            Known::Admitted => {
                drop(known);
                let done = login.await;
                if let Some(refused) = refused(&done) {
                    *self.0.lock().await = refused;
                }
                done
            }
            Known::Nothing | Known::Refused(..) => {
                let done = login.await;
                *known = match (&done, refused(&done)) {
                    (Ok(_), _) => Known::Admitted,
                    (Err(_), Some(refused)) => refused,
                    (Err(_), None) => Known::Nothing,
                };
                done
            }
        }
    }
}

fn refused<T>(done: &Result<T, KafkaError>) -> Option<Known> {
    match done {
        Err(error @ KafkaError::Security { is_login: true, .. }) => Some(Known::Refused(error.clone(), Instant::now())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;
    use tokio::time::sleep;

    use super::*;

    fn no(is_login: bool) -> KafkaError {
        KafkaError::Security { address: "b:9092".to_owned(), message: "no".to_owned(), is_login }
    }

    #[tokio::test(start_paused = true)]
    async fn one_logs_in_until_one_is_admitted_and_the_others_do_it_beside_each_other() {
        let (admission, running, most) = (Admission::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        let log_in = async || {
            let login = async {
                most.fetch_max(running.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                sleep(Duration::from_millis(100)).await;
                running.fetch_sub(1, Ordering::Relaxed);
                Ok(())
            };
            admission.log_in(login).await.unwrap();
        };
        let begun = Instant::now();
        log_in().await;
        assert_eq!(most.load(Ordering::Relaxed), 1);
        join_all((0..4).map(|_| log_in())).await;
        assert_eq!((most.load(Ordering::Relaxed), begun.elapsed()), (4, Duration::from_millis(200)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_login_is_not_sent_again_for_a_while_and_other_trouble_counts_for_one_broker() {
        let (admission, sent) = (Admission::default(), AtomicUsize::new(0));
        let log_in = async |is_login: Option<bool>| {
            let login = async {
                sent.fetch_add(1, Ordering::Relaxed);
                sleep(Duration::from_millis(10)).await;
                is_login.map_or(Ok(()), |is_login| Err(no(is_login)))
            };
            admission.log_in(login).await
        };
        join_all((0..3).map(|_| log_in(Some(false)))).await;
        assert_eq!(sent.swap(0, Ordering::Relaxed), 3);
        let all = join_all((0..3).map(|_| log_in(Some(true)))).await;
        assert!(all.iter().all(Result::is_err));
        assert_eq!(sent.swap(0, Ordering::Relaxed), 1);
        sleep(REFUSED).await;
        log_in(None).await.unwrap();
        // A password that is changed while we run.
        log_in(Some(true)).await.unwrap_err();
        log_in(None).await.unwrap_err();
        assert_eq!(sent.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_broker_that_hangs_in_the_first_login_keeps_the_others_for_half_a_second() {
        let admission = Admission::default();
        let hangs = admission.log_in(std::future::pending::<Result<(), KafkaError>>());
        let begun = Instant::now();
        tokio::select! {
            biased;
            _ = hangs => unreachable!("it hangs"),
            done = async { admission.log_in(async { Ok(()) }).await } => done.unwrap(),
        }
        assert_eq!(begun.elapsed(), FIRST_LOGIN);
    }
}
