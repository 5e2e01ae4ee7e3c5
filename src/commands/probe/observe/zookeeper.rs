//! What a ZooKeeper server says of itself: `srvr` and `conf`, asked at the same time; then which configuration its folder has.

use std::path::{Path, PathBuf};

use tokio::time::Instant;

use crate::clients::four_letter_words::{FourLetterWords, WordError};
use crate::clients::zookeeper::folder::stored_version;
use crate::commands::probe::verdict::zookeeper::{NoWord, Seen, Stored};

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

async fn stored(folder: &Path, served: u64, deadline: Instant) -> Stored {
    let version = stored_version(folder, served, deadline).await;
    Stored { folder: folder.display().to_string(), version }
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
