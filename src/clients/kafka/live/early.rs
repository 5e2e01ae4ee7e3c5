//! Connections that are opened before they are needed, for commands that will ask all brokers.

use std::iter;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::Either;
use futures_util::future::join;
use futures_util::future::join_all;
use futures_util::future::select;
use tokio::time::sleep;

use crate::clients::kafka::live::cluster::Cluster;

/// Most connections that are opened before they are needed.
const EARLY_MAX: usize = 8;

/// How long the other connections that are opened early wait for the first one; a broker that hangs keeps them no longer.
const FIRST_ALONE: Duration = Duration::from_millis(100);

/// Connects to addresses to start from, beside whatever is done meanwhile: a handshake takes longer than most answers.
/// The first of them, which the first request goes to, has the CPUs for itself until it is connected: handshakes beside
/// it would keep that request waiting. Where one fails, whoever needs it says why.
pub(super) fn open(cluster: &Arc<Cluster>) {
    let cluster = Arc::clone(cluster);
    tokio::spawn(async move {
        let deadline = cluster.deadline();
        let mut early = cluster.bootstrap().iter().take(EARLY_MAX);
        let Some(first) = early.next() else { return };
        let first = cluster.connection(first, deadline);
        let others = join_all(early.map(|address| cluster.connection(address, deadline)));
        let (first, others) = first_alone(first, others).await;
        let open = iter::once(&first).chain(&others).filter(|connection| connection.is_ok()).count();
        tracing::debug!(open, "connected early");
    });
}

/// Both: `first` alone until it is done, for [`FIRST_ALONE`] at most, then the others, beside it where it still runs.
async fn first_alone<A, B>(first: impl Future<Output = A>, others: impl Future<Output = B>) -> (A, B) {
    match select(pin!(first), pin!(sleep(FIRST_ALONE))).await {
        Either::Left((first, _)) => (first, others.await),
        Either::Right(((), first)) => join(first, others).await,
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn others_wait_for_the_first_one_until_it_is_done_and_not_longer_than_a_tenth_of_a_second() {
        let after = |milliseconds| async move {
            let begun = Instant::now();
            sleep(Duration::from_millis(milliseconds)).await;
            (begun, Instant::now())
        };
        let begun = Instant::now();
        let (first, others) = first_alone(after(30), after(50)).await;
        assert_eq!((first.1 - begun, others.0 - begun), (Duration::from_millis(30), Duration::from_millis(30)));
        let begun = Instant::now();
        let (first, others) = first_alone(after(1_000), after(50)).await;
        assert_eq!((others.0 - begun, others.1 - begun), (FIRST_ALONE, Duration::from_millis(150)));
        assert_eq!(first.1 - begun, Duration::from_secs(1));
    }
}
