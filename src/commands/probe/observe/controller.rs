//! What the quorum says of one controller: itself where it leads, else its leader.

use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

use crate::clients::kafka::live::{Nodes, OneNode};
use crate::clients::kafka::{KafkaError, codes};
use crate::cluster::address::Address;
use crate::cluster::quorum::Controllers;
use crate::commands::probe::verdict::controller::Seen;

/// Asks a controller, and its leader if that is another one.
pub async fn look(nodes: &Nodes, address: &Address, now: Timestamp, deadline: Instant) -> Seen {
    let looked = timeout_at(deadline, look_at(nodes, address, now, deadline)).await;
    looked.unwrap_or_else(|_| Seen::NoAnswer(format!("{address} did not answer everything within --timeout")))
}

async fn look_at(nodes: &Nodes, address: &Address, now: Timestamp, deadline: Instant) -> Seen {
    let node = match nodes.connect(&address.host, address.port, deadline).await {
        Ok(node) => node,
        Err(error) => return no_answer(&error),
    };
    match node.quorum(deadline).await {
        Ok(view) => Seen::Quorum { view, now },
        Err(error) if error.code() == Some(codes::NOT_LEADER_OR_FOLLOWER) => {
            of_leader(nodes, &node, now, deadline).await
        }
        Err(error @ KafkaError::Unsupported { .. }) => {
            Seen::Unknown(format!("{address} is no controller's port: {error}"))
        }
        Err(error) => no_answer(&error),
    }
}

async fn of_leader(nodes: &Nodes, node: &OneNode, now: Timestamp, deadline: Instant) -> Seen {
    let Controllers { active: leader, nodes: all, .. } = match node.controllers(deadline).await {
        Ok(controllers) => controllers,
        Err(error) => return no_answer(&error),
    };
    let Some(leader) = leader else { return Seen::NoLeader };
    let Some(at) = all.get(&leader) else {
        return Seen::LeaderSilent { leader, why: "it is not among the controllers that are registered".to_owned() };
    };
    let asked = async { nodes.connect(&at.host, at.port, deadline).await?.quorum(deadline).await };
    match asked.await {
        Ok(view) => Seen::Quorum { view, now },
        Err(error) => Seen::LeaderSilent { leader, why: error.to_string() },
    }
}

fn no_answer(error: &KafkaError) -> Seen {
    match error {
        KafkaError::Security { .. } | KafkaError::Settings(_) | KafkaError::Unsupported { .. } => {
            Seen::Unknown(error.to_string())
        }
        KafkaError::Protocol { .. } => Seen::NoAnswer(format!("its port answers, but not as a controller: {error}")),
        error => Seen::NoAnswer(error.to_string()),
    }
}
