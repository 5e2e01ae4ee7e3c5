//! Runs a command line of the user's through `sh -c`, within a time limit, and keeps the end of what it printed.
//!
//! What it starts in the background goes on: only the shell's own end is waited for. Its output goes to a file without a
//! name, so that a server that inherits it neither blocks nor is ended by us.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

/// Bytes of its output that are kept for a message.
const OUTPUT_MAX: u64 = 2_048;

/// Runs a command line. Variables are added to this process's environment.
///
/// # Errors
///
/// In words: it could not be started, ended with another code than 0, or took longer than `limit` and was killed.
pub async fn run(line: &str, variables: &[(&str, String)], limit: Duration) -> Result<(), String> {
    let output = tempfile::tempfile().map_err(|error| format!("no file for its output: {error}"))?;
    let both = || output.try_clone().map(Stdio::from).map_err(|error| format!("no file for its output: {error}"));
    let mut command = Command::new("sh");
    command.arg("-c").arg(line).stdin(Stdio::null()).stdout(both()?).stderr(both()?);
    command.envs(variables.iter().map(|(name, value)| (*name, value.as_str())));
    let mut child = command.spawn().map_err(|error| format!("`sh` can't be started: {error}"))?;
    let status = match timeout(limit, child.wait()).await {
        Ok(status) => status.map_err(|error| format!("its end is not known: {error}"))?,
        Err(_) => {
            if let Err(error) = child.kill().await {
                tracing::debug!(%error, "the command can't be killed");
            }
            return Err(format!("did not end within {} s and was killed{}", limit.as_secs_f64(), end_of(output)));
        }
    };
    if status.success() {
        return Ok(());
    }
    Err(format!("ended with {status}{}", end_of(output)))
}

/// The end of what was printed, as part of a message.
fn end_of(mut output: File) -> String {
    let length = output.metadata().map(|about| about.len()).unwrap_or_default();
    let mut text = Vec::new();
    let read = output
        .seek(SeekFrom::Start(length.saturating_sub(OUTPUT_MAX)))
        .and_then(|_| output.take(OUTPUT_MAX).read_to_end(&mut text));
    match read {
        Ok(count) if count > 0 => format!(": {}", String::from_utf8_lossy(&text).trim()),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_command_that_fails_is_told_with_its_code_and_its_last_words() {
        let said = run("echo \"no $WHAT\" >&2; exit 3", &[("WHAT", "disk".to_owned())], LIMIT).await.unwrap_err();
        assert_eq!(said, "ended with exit status: 3: no disk");
        assert_eq!(run("true", &[], LIMIT).await, Ok(()));
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_killed_and_one_in_the_background_is_not_waited_for() {
        let said = run("sleep 60", &[], Duration::from_millis(50)).await.unwrap_err();
        assert!(said.contains("did not end within 0.05 s"), "{said}");
        assert_eq!(run("sleep 5 & true", &[], LIMIT).await, Ok(()));
    }
}
