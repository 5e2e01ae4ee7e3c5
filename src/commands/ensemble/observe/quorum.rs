//! The quorum of KRaft's controllers: from its leader, or from a broker, whichever of the named nodes answers first.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout, timeout_at};

use crate::clients::kafka::live::{Nodes, OneNode};
use crate::clients::kafka::{KafkaError, codes};
use crate::cluster::address::Address;
use crate::cluster::ensemble::controllers::DesiredQuorum;
use crate::cluster::metadata::TopicSelection;
use crate::cluster::quorum::{Controllers, QuorumState};
use crate::commands::ensemble::observe::controllers::{self, endpoints};
use crate::commands::ensemble::plan::kraft::Input;
use crate::commands::ensemble::plan::kraft::seen::SeenQuorum;

/// How long one node may take, with the way over to the leader.
pub const NODE_LIMIT: Duration = Duration::from_secs(2);

/// How long a node that described the quorum may take to say which controllers are registered.
const REGISTERED_LIMIT: Duration = Duration::from_millis(300);

/// One look at a quorum, as `--save-observed` writes it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct QuorumLook {
    /// What was seen.
    pub seen: SeenQuorum,
    /// The record, where it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired: Option<DesiredQuorum>,
    /// When it was looked, where ages matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

impl QuorumLook {
    /// What a pass looks at that may send a change.
    pub fn input(&self, now: Timestamp, rest: Duration) -> Input<'_> {
        let now = self.at.unwrap_or(now);
        Input { desired: self.desired.as_ref(), seen: &self.seen, now, rest, is_strict: true }
    }
}

/// Why no node described the quorum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoQuorumSeen {
    /// The cluster keeps its metadata in ZooKeeper.
    ZooKeeperMode,
    /// Controllers answer, and none of them knows a leader.
    NoLeader,
    /// Nothing useful came; what each node said.
    NoAnswer(Vec<String>),
}

/// Asks all nodes at once; the first that knows the quorum is believed.
pub async fn look_at(nodes: &Nodes, named: &[Address], limit: Duration) -> Result<SeenQuorum, NoQuorumSeen> {
    let deadline = Instant::now() + limit;
    let mut asked: FuturesUnordered<_> = named.iter().map(|address| ask(nodes, address, deadline)).collect();
    let mut why = Vec::new();
    let (mut is_leaderless, mut is_zookeeper) = (false, false);
    while let Some(answer) = asked.next().await {
        match answer {
            Ok(seen) => return Ok(seen),
            Err(NoQuorumSeen::ZooKeeperMode) => is_zookeeper = true,
            Err(NoQuorumSeen::NoLeader) => is_leaderless = true,
            Err(NoQuorumSeen::NoAnswer(words)) => why.extend(words),
        }
    }
    match (is_zookeeper, is_leaderless) {
        (true, _) => Err(NoQuorumSeen::ZooKeeperMode),
        (_, true) => Err(NoQuorumSeen::NoLeader),
        _ => Err(NoQuorumSeen::NoAnswer(why)),
    }
}

/// The cluster's id, as the first of the named nodes says that answers; none where none does in time.
pub async fn cluster_id(nodes: &Nodes, named: &[Address], limit: Duration) -> Option<String> {
    let deadline = Instant::now() + limit;
    let ask = async |address: &Address| {
        let node = nodes.connect(&address.host, address.port, deadline).await.ok()?;
        match node.controllers(deadline).await {
            Ok(controllers) => Some(controllers.cluster_id),
            // It is a broker.
            Err(_) => Some(node.metadata(TopicSelection::None, deadline).await.ok()?.cluster_id),
        }
    };
    let mut asked: FuturesUnordered<_> =
        named.iter().map(|one| async move { timeout_at(deadline, ask(one)).await.ok().flatten() }).collect();
    while let Some(id) = asked.next().await {
        if id.as_ref().is_some_and(|id| !id.is_empty()) {
            return id;
        }
    }
    None
}

async fn ask(nodes: &Nodes, address: &Address, deadline: Instant) -> Result<SeenQuorum, NoQuorumSeen> {
    let late = || NoQuorumSeen::NoAnswer(vec![format!("{address} did not answer in time")]);
    timeout_at(deadline, ask_node(nodes, address, deadline)).await.unwrap_or_else(|_| Err(late()))
}

async fn ask_node(nodes: &Nodes, address: &Address, deadline: Instant) -> Result<SeenQuorum, NoQuorumSeen> {
    let node = nodes.connect(&address.host, address.port, deadline).await.map_err(|error| no_answer(&error))?;
    match node.quorum(deadline).await {
        Ok(quorum) => {
            // Brokers do not say which controllers are registered.
            let registered = timeout(REGISTERED_LIMIT, node.controllers(deadline)).await;
            Ok(seen(quorum, registered.ok().and_then(Result::ok).as_ref()))
        }
        Err(error) if error.code() == Some(codes::NOT_LEADER_OR_FOLLOWER) => of_leader(nodes, &node, deadline).await,
        Err(KafkaError::Unsupported { .. }) if !node.is_kraft() => Err(NoQuorumSeen::ZooKeeperMode),
        Err(error) => Err(no_answer(&error)),
    }
}

async fn of_leader(nodes: &Nodes, node: &OneNode, deadline: Instant) -> Result<SeenQuorum, NoQuorumSeen> {
    let controllers = node.controllers(deadline).await.map_err(|error| no_answer(&error))?;
    let leader = controllers.active.and_then(|active| controllers.nodes.get(&active)).ok_or(NoQuorumSeen::NoLeader)?;
    let leader = nodes.connect(&leader.host, leader.port, deadline).await.map_err(|error| no_answer(&error))?;
    let quorum = leader.quorum(deadline).await.map_err(|error| no_answer(&error))?;
    Ok(seen(quorum, Some(&controllers)))
}

fn seen(quorum: QuorumState, controllers: Option<&Controllers>) -> SeenQuorum {
    let registered = controllers.map(|controllers| endpoints(&quorum, controllers)).unwrap_or_default();
    let cluster_id = controllers.and_then(controllers::cluster_id);
    SeenQuorum { cluster_id, quorum, registered, ..SeenQuorum::default() }
}

fn no_answer(error: &KafkaError) -> NoQuorumSeen {
    NoQuorumSeen::NoAnswer(vec![error.to_string()])
}
