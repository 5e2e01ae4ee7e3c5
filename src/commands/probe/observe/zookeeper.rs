//! What a ZooKeeper server says of itself: `srvr` and `conf`, asked at the same time.

use crate::clients::four_letter_words::{FourLetterWords, WordError};
use crate::commands::probe::verdict::zookeeper::{NoWord, Seen};

/// Asks a server for its role and, unless that is all that counts, for the membership that it serves.
pub async fn look(server: &FourLetterWords, role_only: bool) -> Seen {
    let conf = async { if role_only { None } else { Some(server.conf().await.map_err(no_word)) } };
    let (state, config) = tokio::join!(server.srvr(), conf);
    Seen { address: server.address(), state: state.map_err(no_word), config }
}

fn no_word(error: WordError) -> NoWord {
    match error {
        WordError::NotWhitelisted { .. } => NoWord::NotWhitelisted,
        WordError::NotServing { .. } => NoWord::NotServing,
        error @ (WordError::Unreachable { .. } | WordError::NoAnswer { .. }) => NoWord::NoAnswer(error.to_string()),
        error @ (WordError::Nonsense { .. } | WordError::Security(_)) => NoWord::Unknown(error.to_string()),
    }
}
