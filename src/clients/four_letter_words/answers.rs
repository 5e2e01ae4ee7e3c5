//! Reads the answers of `srvr`, `stat`, `conf` and `mntr` (ZooKeeper's `ServerStats.toString`, `ConfCommand`,
//! `MonitorCommand`). Lines that are not known are passed over: each version has some more.

use crate::cluster::four_letter::{Latency, Member, MemberRole, ServerConfig, ServerMetrics, ServerMode, ServerState};
use crate::cluster::visible;

/// Most members that a membership may have.
const MEMBERS_MAX: usize = 1_000;

/// Most metrics that are kept.
const METRICS_MAX: usize = 20_000;

/// The answer of `srvr` or `stat`.
pub(super) fn server_state(text: &str) -> Result<ServerState, String> {
    let (mut mode, mut zxid, mut node_count) = (None, None, None);
    let (mut version, mut latency, mut connections, mut outstanding) = (None, None, None, None);
    for (key, value) in text.lines().filter_map(|line| line.split_once(": ")) {
        let value = value.trim();
        match key {
            "Mode" => mode = Some(mode_of(value)?),
            "Zxid" => zxid = Some(hexadecimal(value).ok_or_else(|| wrong("Zxid", value))?),
            "Node count" => node_count = Some(value.parse().map_err(|_| wrong("Node count", value))?),
            "Zookeeper version" => version = Some(value.to_owned()),
            "Latency min/avg/max" => latency = latency_of(value),
            "Connections" => connections = value.parse().ok(),
            "Outstanding" => outstanding = value.parse().ok(),
            _ => {}
        }
    }
    Ok(ServerState {
        version,
        mode: mode.ok_or_else(|| lacks("Mode", text))?,
        zxid: zxid.ok_or_else(|| lacks("Zxid", text))?,
        node_count: node_count.ok_or_else(|| lacks("Node count", text))?,
        latency,
        connections,
        outstanding,
    })
}

fn mode_of(value: &str) -> Result<ServerMode, String> {
    match value {
        "leader" => Ok(ServerMode::Leader),
        "follower" => Ok(ServerMode::Follower),
        "observer" => Ok(ServerMode::Observer),
        "standalone" => Ok(ServerMode::Standalone),
        "read-only" => Ok(ServerMode::ReadOnly),
        other => Err(wrong("Mode", other)),
    }
}

fn latency_of(value: &str) -> Option<Latency> {
    let mut numbers = value.split('/').map(|number| number.parse::<f64>().ok().filter(|number| number.is_finite()));
    let latency = Latency { min: numbers.next()??, avg: numbers.next()??, max: numbers.next()?? };
    numbers.next().is_none().then_some(latency)
}

/// The answer of `conf`.
pub(super) fn server_config(text: &str) -> Result<ServerConfig, String> {
    let mut config = ServerConfig::default();
    for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
        let (key, value) = (key.trim(), value.trim());
        match key {
            "serverId" => config.own_id = Some(value.parse().map_err(|_| wrong(key, value))?),
            "clientPort" => config.client_port = port(key, value)?,
            "secureClientPort" => config.secure_client_port = port(key, value)?,
            "quorumPort" => config.quorum_port = port(key, value)?,
            "electionPort" => config.election_port = port(key, value)?,
            // The membership names it; where there is none, nothing does.
            "version" => config.version = u64::from_str_radix(value, 16).ok(),
            _ => {
                if let Some(id) = key.strip_prefix("server.") {
                    config.members.push(member(id, value)?);
                }
            }
        }
        if config.members.len() > MEMBERS_MAX {
            return Err(format!("it has more than {MEMBERS_MAX} members"));
        }
    }
    // Every version since 3.3 names it, alone or in an ensemble.
    if config.own_id.is_none() {
        return Err(lacks("serverId", text));
    }
    Ok(config)
}

/// A port; ZooKeeper writes -1 or 0 where there is none.
fn port(key: &str, value: &str) -> Result<Option<u16>, String> {
    let number: i32 = value.parse().map_err(|_| wrong(key, value))?;
    if number <= 0 {
        return Ok(None);
    }
    u16::try_from(number).map(Some).map_err(|_| wrong(key, value))
}

/// `host:port:port[:role][;[client address:]client port]`; several addresses are joined by `|`.
fn member(id: &str, server: &str) -> Result<Member, String> {
    let id = id.parse().map_err(|_| wrong("server.", id))?;
    let quorum = server.split(';').next().unwrap_or_default();
    let role = match quorum.rsplit(':').next() {
        Some("observer") => MemberRole::Observer,
        _ => MemberRole::Participant,
    };
    Ok(Member { id, role, server: server.to_owned() })
}

/// The answer of `mntr`: a tab between name and value.
pub(super) fn server_metrics(text: &str) -> Result<ServerMetrics, String> {
    let pairs = text.lines().filter_map(|line| line.split_once('\t'));
    let metrics = pairs.take(METRICS_MAX).map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()));
    let metrics = ServerMetrics(metrics.collect());
    if metrics.text("zk_version").is_none() && metrics.text("zk_server_state").is_none() {
        return Err(lacks("zk_server_state", text));
    }
    Ok(metrics)
}

fn hexadecimal(value: &str) -> Option<u64> {
    u64::from_str_radix(value.strip_prefix("0x")?, 16).ok()
}

fn wrong(key: &str, value: &str) -> String {
    format!("`{key}` is `{}`", visible::bounded(value, 60))
}

fn lacks(key: &str, text: &str) -> String {
    let first = text.lines().next().unwrap_or_default();
    format!("it lacks `{key}` and begins with `{}`", visible::bounded(first, 60))
}
