//! What a ZooKeeper server says of itself: `srvr` and `conf`, asked at the same time; then which configuration its folder has.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::clients::files::read_bounded;
use crate::clients::four_letter_words::{FourLetterWords, WordError};
use crate::commands::probe::observe::disk::in_time;
use crate::commands::probe::verdict::zookeeper::{NoWord, Seen, Stored};
use crate::formats::properties::{self, FILE_BYTES_MAX};

/// A server has a change in memory a moment before it has written it: a file that is behind is read again after this time.
const WRITES_WITHIN: Duration = Duration::from_millis(300);

/// What is asked of a server, and where.
#[derive(Debug)]
pub struct Server {
    /// Its words.
    pub words: FourLetterWords,
    /// Whether its role is enough.
    pub role_only: bool,
    /// The folder of its zoo.cfg, where that is looked at.
    pub conf_dir: Option<PathBuf>,
}

/// Asks a server for its role and, unless that is all that counts, for the membership that it serves. With the folder of its zoo.cfg,
/// also looks what that has.
pub async fn look(server: &Server, deadline: Instant) -> Seen {
    let words = &server.words;
    let conf = async { if server.role_only { None } else { Some(words.conf().await.map_err(no_word)) } };
    let (state, config) = tokio::join!(words.srvr(), conf);
    let stored = match (&server.conf_dir, &config) {
        (Some(folder), Some(Ok(config))) => Some(stored(folder, config.version.unwrap_or_default(), deadline).await),
        _ => None,
    };
    Seen { address: words.address(), state: state.map_err(no_word), config, stored }
}

/// The version in the folder, once it is not behind what is served, or after a moment.
async fn stored(folder: &Path, served: u64, deadline: Instant) -> Stored {
    let read = async || {
        let of_thread = folder.to_owned();
        let read = in_time(&folder.display().to_string(), deadline, move || version(&of_thread)).await;
        read.unwrap_or_else(Err)
    };
    let mut found = read().await;
    let again = Instant::now() + WRITES_WITHIN;
    if again < deadline && found.as_ref().is_ok_and(|version| *version < served) {
        sleep_until(again).await;
        found = read().await;
    }
    Stored { folder: folder.display().to_string(), version: found }
}

/// The version of the file that zoo.cfg names: its name ends in it, in hexadecimal digits (`zoo.cfg.dynamic.100000000`). A file without
/// a version was not written by ZooKeeper: 0.
fn version(folder: &Path) -> Result<u64, String> {
    let path = folder.join("zoo.cfg");
    let source = path.display().to_string();
    let bytes =
        read_bounded(&path, FILE_BYTES_MAX as u64).map_err(|error| format!("failed to read {source}: {error}"))?;
    let found = properties::parse(&source, &bytes).map_err(|faults| faults.to_string())?;
    let named = found.iter().rev().find(|property| property.key == "dynamicConfigFile");
    let name = named.map(|property| property.value().trim().to_owned());
    let name = name.ok_or_else(|| format!("{source} has no dynamicConfigFile"))?;
    Ok(name.rsplit_once(".dynamic.").and_then(|(_, version)| u64::from_str_radix(version, 16).ok()).unwrap_or_default())
}

fn no_word(error: WordError) -> NoWord {
    match error {
        WordError::NotWhitelisted { .. } => NoWord::NotWhitelisted,
        WordError::NotServing { .. } => NoWord::NotServing,
        error @ (WordError::Unreachable { .. } | WordError::NoAnswer { .. }) => NoWord::NoAnswer(error.to_string()),
        error @ WordError::Nonsense { .. } => NoWord::OtherAnswer(error.to_string()),
        error @ WordError::Security(_) => NoWord::Unknown(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_on_disk_is_the_end_of_the_name_that_zoo_cfg_has() {
        let folder = tempfile::tempdir().unwrap();
        let with = |text: &str| {
            std::fs::write(folder.path().join("zoo.cfg"), text).unwrap();
            version(folder.path())
        };
        assert!(version(folder.path()).unwrap_err().starts_with("failed to read "));
        assert!(with("tickTime=500\n").unwrap_err().ends_with("has no dynamicConfigFile"));
        assert_eq!(with("dynamicConfigFile=/data/conf/zoo.cfg.dynamic.10000000a\n"), Ok(0x1_0000_000a));
        assert_eq!(with("dynamicConfigFile=/data/conf/zoo.cfg.dynamic\n"), Ok(0));
        assert_eq!(with("dynamicConfigFile=/data/conf/zoo.cfg.dynamic.next\n"), Ok(0));
    }
}
