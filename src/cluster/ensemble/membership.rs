//! The members of an ensemble, and the version under which ZooKeeper keeps them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cluster::ensemble::member::{Role, ServerId};
use crate::cluster::ensemble::server_line::ServerLine;
use crate::cluster::ensemble::tolerance::Tolerance;

/// The version of a configuration: the zxid of the reconfiguration that made it. ZooKeeper writes it in hexadecimal.
/// Zero where reconfiguration was never on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ConfigVersion(pub u64);

impl fmt::Display for ConfigVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:x}", self.0))
    }
}

impl TryFrom<String> for ConfigVersion {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match u64::from_str_radix(&text, 16) {
            Ok(version) if text.bytes().all(|byte| byte.is_ascii_hexdigit()) => Ok(Self(version)),
            _ => Err("a version is a hexadecimal number, as `100000000`".to_owned()),
        }
    }
}

impl From<ConfigVersion> for String {
    fn from(version: ConfigVersion) -> Self {
        version.to_string()
    }
}

/// Who belongs to an ensemble. Two memberships are equal if all servers, addresses and roles are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Membership {
    /// Each server's line.
    pub servers: BTreeMap<ServerId, ServerLine>,
    /// Groups and weights, where the quorum is hierarchical: ZooKeeper has no incremental reconfiguration then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hierarchy: Option<Hierarchy>,
}

/// Groups of voters, and their weights.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Hierarchy {
    /// Each group's servers.
    pub groups: BTreeMap<i64, BTreeSet<ServerId>>,
    /// Servers whose votes do not count as one.
    pub weights: BTreeMap<ServerId, i64>,
}

/// A membership, and the version that ZooKeeper keeps it under.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EnsembleConfig {
    /// Who belongs to it.
    pub membership: Membership,
    /// Its version.
    pub version: ConfigVersion,
}

/// Servers that listen on one and the same address; ZooKeeper 3.8 accepts such a line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Clash {
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Who names it: two servers, or one that names it twice.
    pub servers: Vec<ServerId>,
}

impl Membership {
    /// Servers of one role.
    pub fn of_role(&self, role: Role) -> BTreeSet<ServerId> {
        self.servers.iter().filter(|(_, line)| line.role == role).map(|(id, _)| *id).collect()
    }

    /// Servers that vote.
    pub fn voters(&self) -> BTreeSet<ServerId> {
        self.of_role(Role::Participant)
    }

    /// Whether a server votes.
    pub fn is_voter(&self, id: ServerId) -> bool {
        self.servers.get(&id).is_some_and(|line| line.role == Role::Participant)
    }

    /// How many failures it survives while these servers are live.
    pub fn tolerance(&self, live: &BTreeSet<ServerId>) -> Tolerance {
        let voters = self.voters();
        Tolerance { voters: voters.len(), live: voters.intersection(live).count() }
    }

    /// Addresses that are named more than once.
    pub fn clashes(&self) -> Vec<Clash> {
        let mut named: BTreeMap<(String, u16), Vec<ServerId>> = BTreeMap::new();
        for (id, line) in &self.servers {
            for endpoint in line.endpoints() {
                named.entry(endpoint).or_default().push(*id);
            }
        }
        let clash = |((host, port), servers)| Clash { host, port, servers };
        named.into_iter().filter(|(_, servers)| servers.len() > 1).map(clash).collect()
    }

    /// What another membership has that this one has not, and the reverse, as `adds 4, removes 3`; empty if they are equal.
    pub fn difference(&self, other: &Self) -> String {
        let only = |one: &Self, two: &Self| {
            one.servers.keys().filter(|id| !two.servers.contains_key(id)).map(ToString::to_string).collect::<Vec<_>>()
        };
        let changed = self.servers.iter().filter(|(id, line)| other.servers.get(id).is_some_and(|it| it != *line));
        let changed: Vec<_> = changed.map(|(id, _)| id.to_string()).collect();
        let mut words: Vec<_> = [("adds", only(other, self)), ("removes", only(self, other)), ("changes", changed)]
            .into_iter()
            .filter(|(_, ids)| !ids.is_empty())
            .map(|(verb, ids)| format!("{verb} {}", ids.join(", ")))
            .collect();
        if self.hierarchy != other.hierarchy {
            words.push("changes groups or weights".to_owned());
        }
        words.join("; ")
    }
}

impl fmt::Display for EnsembleConfig {
    /// As the text of `/zookeeper/config`: one line a server, the version last.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, line) in &self.membership.servers {
            writeln!(f, "server.{id}={line}")?;
        }
        for (group, servers) in self.membership.hierarchy.iter().flat_map(|it| &it.groups) {
            let servers: Vec<_> = servers.iter().map(ToString::to_string).collect();
            writeln!(f, "group.{group}={}", servers.join(":"))?;
        }
        for (id, weight) in self.membership.hierarchy.iter().flat_map(|it| &it.weights) {
            writeln!(f, "weight.{id}={weight}")?;
        }
        write!(f, "version={}", self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn membership(lines: &[(i64, &str)]) -> Membership {
        let servers = lines.iter().map(|(id, line)| (ServerId(*id), ServerLine::parse(line).unwrap())).collect();
        Membership { servers, hierarchy: None }
    }

    #[test]
    fn addresses_that_two_servers_name_are_found_and_so_is_one_named_twice() {
        assert_eq!(membership(&[(1, "a:1:2;9"), (2, "b:1:2;9")]).clashes(), []);
        let clashes = membership(&[(1, "a:1:2;9"), (2, "A:3:9;5"), (3, "b:4:4;6")]).clashes();
        let found: Vec<_> =
            clashes.iter().map(|clash| (clash.host.as_str(), clash.port, clash.servers.len())).collect();
        assert_eq!(found, [("a", 9, 2), ("b", 4, 2)]);
    }

    #[test]
    fn the_difference_of_two_memberships_is_named() {
        let one = membership(&[(1, "a:1:2;9"), (2, "b:1:2;9"), (3, "c:1:2;9")]);
        let two = membership(&[(1, "a:1:2;8"), (2, "b:1:2;9"), (4, "d:1:2;9")]);
        assert_eq!(one.difference(&two), "adds 4; removes 3; changes 1");
        assert_eq!(one.difference(&one), "");
    }

    #[test]
    fn observers_do_not_count_for_the_quorum() {
        let members = membership(&[(1, "a:1:2;9"), (2, "b:1:2:observer;9"), (3, "c:1:2;9")]);
        let live = [1, 2].map(ServerId).into();
        assert_eq!(members.tolerance(&live), Tolerance { voters: 2, live: 1 });
    }
}
