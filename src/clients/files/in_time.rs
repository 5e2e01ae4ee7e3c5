//! Reads and writes that end in time, each in a thread of its own: a disk that hangs must not hold up whoever waits.

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

/// What came of it, by the deadline; else an error that names the file.
///
/// # Errors
///
/// The disk did not answer.
pub async fn in_time<T: Send + 'static>(
    what: &str,
    deadline: Instant,
    act: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    let (done, answer) = oneshot::channel();
    // On a thread that nobody waits for: one that a dead disk holds can't be ended.
    std::thread::spawn(move || drop(done.send(act())));
    match timeout_at(deadline, answer).await {
        Ok(Ok(found)) => Ok(found),
        _ => Err(format!("{what}: the disk did not answer within --timeout")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_disk_that_hangs_does_not_keep_a_probe_beyond_its_time() {
        let (release, hangs) = std::sync::mpsc::channel::<()>();
        let begun = Instant::now();
        let deadline = begun + Duration::from_millis(50);
        let hung = in_time("/data/myid", deadline, move || hangs.recv().is_ok()).await;
        assert_eq!(hung.unwrap_err(), "/data/myid: the disk did not answer within --timeout");
        assert!(begun.elapsed() < Duration::from_secs(10));
        drop(release);
        assert_eq!(in_time("x", Instant::now() + Duration::from_secs(10), || 7).await, Ok(7));
    }
}
