//! What a ZooKeeper server says of itself in answer to its four-letter words: `srvr`, `conf` and `mntr`, as plain data.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The role in which a server works now (`Mode:` of `srvr`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServerMode {
    /// It leads the ensemble.
    Leader,
    /// It follows; so does a server that the ensemble's configuration does not have (any more): it has no vote.
    Follower,
    /// It follows without a vote.
    Observer,
    /// It is no member of an ensemble.
    Standalone,
    /// It has no quorum and serves reads only (`readonlymode.enabled`).
    ReadOnly,
}

impl fmt::Display for ServerMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Observer => "observer",
            Self::Standalone => "standalone",
            Self::ReadOnly => "read-only",
        })
    }
}

/// What `srvr` and `stat` say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerState {
    /// ZooKeeper's version, as `3.9.5-b6b3fa4b…, built on 2025-…`.
    pub version: Option<String>,
    /// The role.
    pub mode: ServerMode,
    /// The last transaction: the epoch in the upper 32 bits, its number within it in the lower ones.
    pub zxid: u64,
    /// How many znodes it has.
    pub node_count: u64,
    /// How long requests took, in milliseconds.
    pub latency: Option<Latency>,
    /// Open connections, that of this question too.
    pub connections: Option<u64>,
    /// Requests that wait.
    pub outstanding: Option<u64>,
}

impl ServerState {
    /// The epoch of the last transaction: each election begins another one.
    pub fn epoch(&self) -> u64 {
        self.zxid >> 32
    }
}

/// How long requests took since the server started, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// The shortest time.
    pub min: f64,
    /// The mean.
    pub avg: f64,
    /// The longest time.
    pub max: f64,
}

/// The role that the ensemble's configuration gives to a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberRole {
    /// It votes.
    Participant,
    /// It does not vote.
    Observer,
}

impl fmt::Display for MemberRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Participant => "participant",
            Self::Observer => "observer",
        })
    }
}

/// One line of the membership, as `server.3=zk-2:2888:3888:participant;0.0.0.0:2181`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The server's id (`myid`).
    pub id: u64,
    /// Its role; `participant` where the line names none.
    pub role: MemberRole,
    /// What stands behind the `=`: addresses, ports and role.
    pub server: String,
}

/// What `conf` says: how the server is configured, and which membership it serves.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ServerConfig {
    /// The server's own id; 0 for one that is no member of an ensemble.
    pub own_id: Option<u64>,
    /// The plaintext port for clients; none where there is none.
    pub client_port: Option<u16>,
    /// The TLS port for clients; none where there is none.
    pub secure_client_port: Option<u16>,
    /// The port for followers.
    pub quorum_port: Option<u16>,
    /// The port for elections.
    pub election_port: Option<u16>,
    /// The members, in the order of the answer; empty for one that is no member of an ensemble.
    pub members: Vec<Member>,
    /// The version of the membership: the zxid of the change that made it.
    pub version: Option<u64>,
}

impl ServerConfig {
    /// The server's own line in the membership that it serves.
    pub fn own(&self) -> Option<&Member> {
        self.members.iter().find(|member| Some(member.id) == self.own_id)
    }
}

/// What `mntr` says: metrics by name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ServerMetrics(pub BTreeMap<String, String>);

impl ServerMetrics {
    /// A metric as it is written.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A metric that is a finite number.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.text(name)?.parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// Voters that are in sync, the leader too; none where the server does not lead. The count of followers in the answer
    /// includes those without a vote.
    pub fn synced_voters(&self) -> Option<u64> {
        let count = |name| self.text(name)?.parse::<f64>().ok().filter(|count| *count >= 0.0 && *count < 1e6);
        let followers = count("zk_synced_followers")?;
        let without_vote = count("zk_synced_non_voting_followers").unwrap_or(0.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 0 to a million")]
        Some(1 + (followers - without_vote).max(0.0) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn followers_without_a_vote_are_not_counted_as_synced_voters() {
        let metrics = |pairs: &[(&str, &str)]| {
            ServerMetrics(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
        };
        let leader = metrics(&[("zk_synced_followers", "3"), ("zk_synced_non_voting_followers", "1")]);
        assert_eq!(leader.synced_voters(), Some(3));
        assert_eq!(metrics(&[("zk_synced_followers", "2.0")]).synced_voters(), Some(3));
        assert_eq!(metrics(&[("zk_server_state", "follower")]).synced_voters(), None);
        assert_eq!(metrics(&[("zk_synced_followers", "NaN")]).synced_voters(), None);
    }
}
