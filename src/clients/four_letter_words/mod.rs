//! ZooKeeper's four-letter words: one question a connection, over the plaintext or the TLS port, within limits of size and
//! time. "Not in the whitelist" and "not currently serving requests" are answers: such a server is not
//! reported as down.
//!
//! [`answers`] reads the answers into the types of `cluster/four_letter`.

mod answers;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use crate::clients::kafka::KafkaError;
use crate::clients::kafka::settings::Settings;
use crate::clients::kafka::tls::{Connector, Stream};
use crate::cluster::address::show_address;
use crate::cluster::four_letter::{ServerConfig, ServerMetrics, ServerState};
use crate::cluster::visible;

/// Longest answer that is read, in bytes: `stat` names every client.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// What a server says of a word that `4lw.commands.whitelist` lacks (ZooKeeper's `NopCommand`).
const NOT_WHITELISTED: &str = "is not executed because it is not in the whitelist";

/// What a server says that has no quorum (ZooKeeper's `AbstractFourLetterCommand.ZK_NOT_SERVING`).
const NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests";

/// The words that are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// Role, last transaction, counts: the only word that is whitelisted by default.
    Srvr,
    /// The configuration and the membership.
    Conf,
    /// Metrics.
    Mntr,
    /// Whether the process answers.
    Ruok,
    /// Whether it takes writes.
    Isro,
    /// As `srvr`, with a line for each client.
    Stat,
}

impl Word {
    /// The word itself.
    pub fn text(self) -> &'static str {
        match self {
            Self::Srvr => "srvr",
            Self::Conf => "conf",
            Self::Mntr => "mntr",
            Self::Ruok => "ruok",
            Self::Isro => "isro",
            Self::Stat => "stat",
        }
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// What `isro` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    /// The server takes writes.
    Taken,
    /// It serves reads only.
    ReadOnly,
    /// It has no quorum.
    NotServing,
}

/// Why a word has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    /// The server is up and refuses this word.
    #[error(
        "{address} is up, but does not execute `{word}`: add it to 4lw.commands.whitelist in zoo.cfg (only srvr is there \
         by default)"
    )]
    NotWhitelisted {
        /// The server.
        address: String,
        /// The word.
        word: Word,
    },
    /// The process is up and has no quorum, or is not (any more) a member of one.
    #[error("{address} is up, but does not serve requests now: it has no quorum")]
    NotServing {
        /// The server.
        address: String,
    },
    /// No connection was made.
    #[error("{address} can't be reached: {}", visible::line(why))]
    Unreachable {
        /// The server.
        address: String,
        /// What happened.
        why: String,
    },
    /// The connection was made; no whole answer came.
    #[error("{address} accepts connections, but gave no answer to `{word}`: {}", visible::line(why))]
    NoAnswer {
        /// The server.
        address: String,
        /// The word.
        word: Word,
        /// What happened.
        why: String,
    },
    /// What came is no answer to the word.
    #[error("what {address} answers to `{word}` is not ZooKeeper's: {}", visible::line(why))]
    Nonsense {
        /// The server.
        address: String,
        /// The word.
        word: Word,
        /// What is wrong with it.
        why: String,
    },
    /// TLS failed in a way that no retry mends, or its settings are wrong.
    #[error("{}", visible::line(.0))]
    Security(String),
}

/// One server's port for clients.
#[derive(Debug, Clone)]
pub struct FourLetterWords {
    connector: Connector,
    host: String,
    port: u16,
    timeout: Duration,
}

impl FourLetterWords {
    /// Prepares questions to a server; nothing is sent yet. TLS is spoken where the settings ask for it; a question takes as
    /// long as their timeout says, connecting and handshake included. Fails on settings that can't work.
    pub fn new(settings: &Settings, host: &str, port: u16) -> Result<Self, WordError> {
        let connector = Connector::new(settings).map_err(|error| WordError::Security(error.to_string()))?;
        Ok(Self { connector, host: host.to_owned(), port, timeout: settings.timeout })
    }

    /// Where the server listens.
    pub fn address(&self) -> String {
        show_address(&self.host, self.port)
    }

    /// Asks a word; the answer as the server wrote it.
    pub async fn ask(&self, word: Word) -> Result<String, WordError> {
        let deadline = Instant::now() + self.timeout;
        let stream = match timeout_at(deadline, self.connector.connect(&self.host, self.port)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(self.not_connected(error)),
            Err(_) => return Err(self.unreachable(format!("no connection within {} s", self.timeout.as_secs_f64()))),
        };
        let mut answer = Vec::new();
        let exchange = timeout_at(deadline, exchange(stream, word, &mut answer)).await;
        let no_answer = |why: String| WordError::NoAnswer { address: self.address(), word, why };
        match exchange {
            Ok(Ok(())) if answer.len() > ANSWER_BYTES_MAX => {
                Err(self.nonsense(word, format!("it is longer than {ANSWER_BYTES_MAX} bytes")))
            }
            Ok(Ok(())) if answer.is_empty() => Err(no_answer("it closed the connection".to_owned())),
            Ok(Ok(())) => self.read(word, answer),
            Ok(Err(error)) => Err(no_answer(error.to_string())),
            Err(_) => Err(no_answer(format!("nothing whole within {} s", self.timeout.as_secs_f64()))),
        }
    }

    /// Role, last transaction, number of znodes, latency.
    pub async fn srvr(&self) -> Result<ServerState, WordError> {
        let text = self.ask(Word::Srvr).await?;
        answers::server_state(&text).map_err(|why| self.nonsense(Word::Srvr, why))
    }

    /// The same from `stat`, which names every client besides: the answer is long.
    pub async fn stat(&self) -> Result<ServerState, WordError> {
        let text = self.ask(Word::Stat).await?;
        answers::server_state(&text).map_err(|why| self.nonsense(Word::Stat, why))
    }

    /// The configuration and the membership that it serves.
    pub async fn conf(&self) -> Result<ServerConfig, WordError> {
        let text = self.ask(Word::Conf).await?;
        answers::server_config(&text).map_err(|why| self.nonsense(Word::Conf, why))
    }

    /// Metrics.
    pub async fn mntr(&self) -> Result<ServerMetrics, WordError> {
        let text = self.ask(Word::Mntr).await?;
        answers::server_metrics(&text).map_err(|why| self.nonsense(Word::Mntr, why))
    }

    /// Whether it takes writes.
    pub async fn isro(&self) -> Result<Writes, WordError> {
        match self.ask(Word::Isro).await?.trim() {
            "rw" => Ok(Writes::Taken),
            "ro" => Ok(Writes::ReadOnly),
            "null" => Ok(Writes::NotServing),
            other => Err(self.nonsense(Word::Isro, format!("`{}`", visible::bounded(other, 60)))),
        }
    }

    /// Whether the process answers; it says nothing about a quorum.
    pub async fn ruok(&self) -> Result<(), WordError> {
        match self.ask(Word::Ruok).await?.trim() {
            "imok" => Ok(()),
            other => Err(self.nonsense(Word::Ruok, format!("`{}`", visible::bounded(other, 60)))),
        }
    }

    fn read(&self, word: Word, answer: Vec<u8>) -> Result<String, WordError> {
        let text = String::from_utf8(answer).map_err(|_| self.nonsense(word, "it is no text".to_owned()))?;
        if text.trim_start().starts_with(NOT_SERVING) {
            return Err(WordError::NotServing { address: self.address() });
        }
        if text
            .trim_start()
            .strip_prefix(word.text())
            .is_some_and(|rest| rest.trim_start().starts_with(NOT_WHITELISTED))
        {
            return Err(WordError::NotWhitelisted { address: self.address(), word });
        }
        Ok(text)
    }

    fn not_connected(&self, error: KafkaError) -> WordError {
        match error {
            KafkaError::Unreachable { tried, .. } => {
                self.unreachable(tried.into_iter().map(|(_, why)| why).collect::<Vec<_>>().join("; "))
            }
            error => WordError::Security(error.to_string()),
        }
    }

    fn unreachable(&self, why: String) -> WordError {
        WordError::Unreachable { address: self.address(), why }
    }

    fn nonsense(&self, word: Word, why: String) -> WordError {
        WordError::Nonsense { address: self.address(), word, why }
    }
}

/// Sends a word and reads until the server closes the connection, or until there is more than an answer may have.
async fn exchange(mut stream: Stream, word: Word, answer: &mut Vec<u8>) -> io::Result<()> {
    stream.write_all(word.text().as_bytes()).await?;
    stream.flush().await?;
    match stream.take(ANSWER_BYTES_MAX as u64 + 1).read_to_end(answer).await {
        Ok(_) => Ok(()),
        // ZooKeeper closes without the farewell of TLS, or resets the connection once its answer is out.
        Err(error) if !answer.is_empty() && is_end(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset)
}
