//! The membership of the fake, and which changes of it are accepted.
//!
//! Rules: ZooKeeper's `PrepRequestProcessor` (reconfig) and `Leader.isQuorumSynced`, as real servers of 3.8 and 3.9 showed them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::clients::zookeeper::{Reconfiguration, Refusal};

/// The membership.
#[derive(Debug)]
pub(super) struct Ensemble {
    /// What stands behind `server.N=`, by id.
    members: BTreeMap<u64, String>,
    /// Servers that are connected to the leader and up to date.
    connected: BTreeSet<u64>,
    /// The transaction of the last change.
    pub(super) version: i64,
    /// How many changes were accepted.
    pub(super) changes: u64,
    pub(super) is_reconfig_enabled: bool,
    pub(super) is_standalone: bool,
    pub(super) is_in_progress: bool,
}

impl Ensemble {
    /// These servers, all of them connected.
    pub(super) fn new(servers: &[&str]) -> Self {
        let members: BTreeMap<_, _> = servers.iter().filter_map(|line| parse(line).ok()).collect();
        let connected = members.keys().copied().collect();
        Self {
            members,
            connected,
            version: 0,
            changes: 0,
            is_reconfig_enabled: true,
            is_standalone: false,
            is_in_progress: false,
        }
    }

    pub(super) fn set_connected(&mut self, id: u64, is_connected: bool) {
        if is_connected {
            self.connected.insert(id);
        } else {
            self.connected.remove(&id);
        }
    }

    /// The text of the configuration's node.
    pub(super) fn text(&self) -> String {
        if self.is_standalone {
            return String::new();
        }
        let mut text = String::new();
        for (id, member) in &self.members {
            let _ = writeln!(text, "server.{id}={member}");
        }
        let _ = write!(text, "version={:x}", self.version);
        text
    }

    /// Whether this change would be accepted; `may_write` is what the access list of the configuration says.
    pub(super) fn check(&self, change: &Reconfiguration, may_write: bool) -> Result<BTreeMap<u64, String>, Refusal> {
        if !self.is_reconfig_enabled {
            return Err(Refusal::ReconfigDisabled);
        }
        if self.is_standalone {
            return Err(Refusal::Unimplemented);
        }
        if self.is_in_progress {
            return Err(Refusal::ReconfigInProgress);
        }
        if change.from_version.is_some_and(|version| version != self.version) {
            return Err(Refusal::BadVersion);
        }
        let mut members = self.members.clone();
        for id in &change.leaving {
            members.remove(id);
        }
        for line in &change.joining {
            let (id, member) = parse(line)?;
            // Also with the addresses of another server: 3.8 and 3.9 take that.
            members.insert(id, member);
        }
        let voters: BTreeSet<u64> = members.iter().filter(|(_, member)| votes(member)).map(|(id, _)| *id).collect();
        if voters.is_empty() {
            return Err(Refusal::BadArguments);
        }
        // A server that the present configuration has as an observer does not count, though it is up to date; one that it
        // does not know follows without a vote, and counts.
        let counts = |id: &u64| self.connected.contains(id) && self.members.get(id).is_none_or(|member| votes(member));
        if voters.iter().filter(|id| counts(id)).count() * 2 <= voters.len() {
            return Err(Refusal::NewConfigNoQuorum);
        }
        // This comes last: who may not may learn first that there would be no quorum.
        if may_write { Ok(members) } else { Err(Refusal::NoAuth) }
    }

    /// Takes the new members.
    pub(super) fn take(&mut self, members: BTreeMap<u64, String>) {
        self.members = members;
        self.changes += 1;
    }
}

/// Id and the rest of `server.N=HOST:QUORUM:ELECTION[:ROLE];[ADDRESS:]CLIENT`, with its role.
fn parse(line: &str) -> Result<(u64, String), Refusal> {
    let (name, member) = line.split_once('=').ok_or(Refusal::BadArguments)?;
    let id = name.rsplit_once('.').map_or(name, |(_, id)| id).parse().map_err(|_| Refusal::MarshallingError)?;
    let (servers, client) = member.split_once(';').ok_or(Refusal::BadArguments)?;
    let parts: Vec<_> = servers.split(':').collect();
    let is_port = |text: &str| text.parse::<u16>().is_ok();
    let of_clients = client.rsplit_once(':').map_or(client, |(_, port)| port);
    match parts[..] {
        [_, quorum, election] if is_port(quorum) && is_port(election) && is_port(of_clients) => {
            Ok((id, format!("{servers}:participant;{client}")))
        }
        [_, quorum, election, "participant" | "observer"]
            if is_port(quorum) && is_port(election) && is_port(of_clients) =>
        {
            Ok((id, member.to_owned()))
        }
        _ => Err(Refusal::BadArguments),
    }
}

fn votes(member: &str) -> bool {
    !member.contains(":observer;")
}
