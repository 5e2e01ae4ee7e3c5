//! Waiting with a limit; what was waited for and the last state seen are in the error.

use std::time::{Duration, Instant};

use anyhow::bail;

/// Asks every 30 ms until the answer is there. `Ok(Err(state))` goes on waiting, `Err` ends it at once.
pub(crate) fn until<T>(
    limit: Duration,
    what: &str,
    mut ask: impl FnMut() -> anyhow::Result<Result<T, String>>,
) -> anyhow::Result<T> {
    let start = Instant::now();
    loop {
        let state = match ask()? {
            Ok(answer) => return Ok(answer),
            Err(state) => state,
        };
        if start.elapsed() > limit {
            bail!("waited {} s for {what}; last seen: {state}", limit.as_secs());
        }
        std::thread::sleep(Duration::from_millis(30));
    }
}

/// Tells the person at the terminal; in a test it shows when the test fails.
#[expect(clippy::print_stderr, reason = "the harness has no other voice")]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}
