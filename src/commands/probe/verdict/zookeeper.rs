//! Whether a ZooKeeper server is ready: it has a role, and the membership that it serves has the server with that role.
//!
//! A server that was removed, or that has not joined yet, answers "Mode: follower" all the same: it has no vote, and does not
//! start again. So the role alone proves nothing.

use serde::Serialize;

use crate::cluster::four_letter::{MemberRole, ServerConfig, ServerMode, ServerState};
use crate::commands::probe::verdict::{State, Verdict};

/// Why a word has no answer, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state", content = "why")]
pub enum NoWord {
    /// The server is up, and the word is not in its whitelist.
    NotWhitelisted,
    /// The server is up without a quorum.
    NotServing,
    /// It can't be reached, or gave no answer in time.
    NoAnswer(String),
    /// What came is no answer of a ZooKeeper server.
    OtherAnswer(String),
    /// The settings are wrong, or TLS failed.
    Unknown(String),
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Seen {
    /// Where the server listens.
    pub address: String,
    /// What `srvr` says.
    pub state: Result<ServerState, NoWord>,
    /// What `conf` says; none where it is not asked for.
    pub config: Option<Result<ServerConfig, NoWord>>,
    /// What its folder has; none where that is not looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored: Option<Stored>,
}

/// The configuration from which a server would restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stored {
    /// The folder.
    pub folder: String,
    /// Its version, 0 for a file that ZooKeeper has not written; why it can't be read, where it can't.
    pub version: Result<u64, String>,
}

/// What is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expected {
    /// The id that the server must have.
    pub id: Option<u64>,
    /// A server that is no member of an ensemble is all right.
    pub standalone: bool,
}

/// Whether the server is ready.
pub fn ready(seen: &Seen, expected: Expected) -> Verdict {
    let address = &seen.address;
    let state = match &seen.state {
        Ok(state) => state,
        Err(why) => return no_state(address, why),
    };
    let mode = state.mode;
    match mode {
        ServerMode::Standalone if expected.standalone => {
            return Verdict::new(State::Ready, format!("{address} runs standalone"));
        }
        ServerMode::Standalone => {
            let reason = "runs standalone, as no member of an ensemble: look at its server list and at \
                          standaloneEnabled=false; --standalone takes it for ready";
            return Verdict::new(State::NotReady, format!("{address} {reason}"));
        }
        ServerMode::ReadOnly => {
            return Verdict::new(State::NotReady, format!("{address} serves reads only: it has no quorum"));
        }
        ServerMode::Leader | ServerMode::Follower | ServerMode::Observer => {}
    }
    match &seen.config {
        None => {
            Verdict::new(State::Ready, format!("{address} is {mode}; its membership is not looked at (--role-only)"))
        }
        Some(Ok(config)) => {
            let verdict = member(address, mode, config, expected);
            not_persisted(config, seen.stored.as_ref()).filter(|_| verdict.state == State::Ready).unwrap_or(verdict)
        }
        Some(Err(why)) => no_config(address, mode, why),
    }
}

fn no_state(address: &str, why: &NoWord) -> Verdict {
    match why {
        NoWord::NotServing => Verdict::new(
            State::NotReady,
            format!("{address} is up, but has no quorum: it waits for other servers, or is in no configuration"),
        ),
        NoWord::NotWhitelisted => Verdict::new(
            State::Unknown,
            format!("{address} is up, but does not execute `srvr`: add it to 4lw.commands.whitelist in zoo.cfg"),
        ),
        NoWord::NoAnswer(why) => Verdict::new(State::NotReady, why.clone()),
        NoWord::OtherAnswer(why) => Verdict::new(
            State::NotReady,
            format!("the port of {address} answers, but not as a ZooKeeper server: {why}"),
        ),
        NoWord::Unknown(why) => Verdict::new(State::Unknown, why.clone()),
    }
}

/// The role is known and the membership is not.
fn no_config(address: &str, mode: ServerMode, why: &NoWord) -> Verdict {
    match why {
        NoWord::NotWhitelisted => Verdict::new(
            State::Unknown,
            format!(
                "{address} is {mode}, but whether it is a member is not known, as it does not execute `conf`: set \
                 4lw.commands.whitelist=srvr,conf in zoo.cfg, or be content with the role (--role-only)"
            ),
        ),
        NoWord::NotServing => {
            Verdict::new(State::NotReady, format!("{address} has just lost its quorum: it was {mode} a moment ago"))
        }
        NoWord::NoAnswer(why) | NoWord::OtherAnswer(why) => {
            Verdict::new(State::NotReady, format!("{address} is {mode}, but {why}"))
        }
        NoWord::Unknown(why) => Verdict::new(State::Unknown, format!("{address} is {mode}, but {why}")),
    }
}

/// A server that serves a newer configuration than its folder has restarts with former members.
fn not_persisted(config: &ServerConfig, stored: Option<&Stored>) -> Option<Verdict> {
    let Stored { folder, version } = stored?;
    let (served, id) = (config.version?, config.own_id.unwrap_or_default());
    let reason = match version {
        Err(why) => {
            return Some(Verdict::new(State::Unknown, format!("whether server {id} keeps what it serves: {why}")));
        }
        Ok(version) if *version >= served => return None,
        Ok(0) => format!("{folder} has none that it wrote"),
        Ok(version) => format!("{folder} has version {version:x}"),
    };
    let next = "A restart would bring former members back: make the folder writable, and restart the server by way of \
                `toolbox ensemble prestart zookeeper`";
    let reason = format!("E_CONFIG_NOT_PERSISTED: server {id} serves configuration {served:x}, and {reason}. {next}");
    Some(Verdict::new(State::NotReady, reason))
}

fn member(address: &str, mode: ServerMode, config: &ServerConfig, expected: Expected) -> Verdict {
    let Some(id) = config.own_id else {
        return Verdict::new(State::Unknown, format!("{address} is {mode}, and does not show its own id"));
    };
    if let Some(other) = expected.id.filter(|expected| *expected != id) {
        return Verdict::new(
            State::NotReady,
            format!("{address} is server {id}, not {other}: look at --address and at its myid"),
        );
    }
    let version = config.version.map(|version| format!(" (version {version:x})")).unwrap_or_default();
    let Some(own) = config.own() else {
        let ids: Vec<_> = config.members.iter().map(|member| member.id.to_string()).collect();
        return Verdict::new(
            State::NotReady,
            format!(
                "server {id} is {mode} without a vote: the configuration that it serves{version} has only {}. It joins, or \
                 was removed",
                ids.join(", ")
            ),
        );
    };
    let fits = match mode {
        ServerMode::Observer => own.role == MemberRole::Observer,
        ServerMode::Leader | ServerMode::Follower => own.role == MemberRole::Participant,
        ServerMode::Standalone | ServerMode::ReadOnly => false,
    };
    if !fits {
        let reason = format!("server {id} is {mode}, but the configuration{version} lists it as {}", own.role);
        return Verdict::new(State::NotReady, reason);
    }
    let count = config.members.len();
    Verdict::new(State::Ready, format!("server {id} is {mode} and one of {count} members{version}"))
}
