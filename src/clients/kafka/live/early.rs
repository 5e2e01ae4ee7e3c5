//! Connections that are opened before they are needed, for commands that will ask all brokers.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::timeout;

use crate::clients::kafka::live::cluster::Cluster;

/// Most connections that are opened before they are needed.
const EARLY_MAX: usize = 8;

/// How long a connection waits for those that were begun before it; a broker that hangs keeps it no longer.
const PAUSE: Duration = Duration::from_millis(50);

/// Connects to addresses to start from, beside whatever is done meanwhile: a handshake takes longer than most answers. One
/// begins after the other: the first request goes to the first of them, and handshakes beside it would take the CPUs that
/// its login and its answer need. Where one fails, whoever needs it says why.
pub(super) fn open(cluster: &Arc<Cluster>) {
    let cluster = Arc::clone(cluster);
    tokio::spawn(async move {
        let deadline = cluster.deadline();
        let early = cluster.bootstrap().iter().take(EARLY_MAX);
        let opened = one_after_the_other(early.map(|address| cluster.connection(address, deadline))).await;
        let open = opened.iter().filter(|connection| connection.is_ok()).count();
        tracing::debug!(open, "connected early");
    });
}

/// All of them: each begins when those before it are done, or [`PAUSE`] after the one before it.
async fn one_after_the_other<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let (mut running, mut done) = (FuturesUnordered::new(), Vec::new());
    for one in all {
        running.push(one);
        let pause = async {
            while let Some(next) = running.next().await {
                done.push(next);
            }
        };
        // Whether they are done or not, the next one begins.
        let _ = timeout(PAUSE, pause).await;
    }
    while let Some(next) = running.next().await {
        done.push(next);
    }
    done
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};

    use super::*;

    /// When each of those that take so many milliseconds began, and when all were done.
    async fn begun(milliseconds: &[u64]) -> (Vec<u128>, u128) {
        let start = Instant::now();
        let all = milliseconds.iter().map(|milliseconds| async move {
            let begun = start.elapsed().as_millis();
            sleep(Duration::from_millis(*milliseconds)).await;
            begun
        });
        let mut begun = one_after_the_other(all).await;
        begun.sort_unstable();
        (begun, start.elapsed().as_millis())
    }

    #[tokio::test(start_paused = true)]
    async fn each_waits_for_those_before_it_but_not_for_long() {
        assert_eq!(begun(&[20, 30, 10]).await, (vec![0, 20, 50], 60));
        assert_eq!(begun(&[1_000, 30, 10]).await, (vec![0, 50, 100], 1_000));
        assert_eq!(begun(&[]).await, (vec![], 0));
    }
}
