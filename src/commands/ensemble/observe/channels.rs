//! Brokers that answer metadata from memory, and get no answer from the controller: nothing that clients ask them to change is
//! done, and no replica of theirs comes into an ISR.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, timeout_at};

use crate::clients::kafka::KafkaError;
use crate::clients::kafka::live::Nodes;
use crate::cluster::address::Address;
use crate::cluster::broker::{Broker, BrokerId};
use crate::cluster::metadata::TopicSelection;

/// Most brokers that are asked.
const BROKERS_MAX: usize = 200;

/// Asks all live brokers at once, as one of the named nodes lists them; nobody where these are controllers, which list none.
/// Brokers that can't be reached are no part of it.
pub async fn cut_off(nodes: &Nodes, named: &[Address], limit: Duration) -> BTreeMap<BrokerId, String> {
    let deadline = Instant::now() + limit;
    let brokers = timeout_at(deadline, brokers(nodes, named, deadline)).await.unwrap_or_default();
    let asked = brokers.iter().take(BROKERS_MAX).map(|broker| why_cut_off(nodes, broker, deadline));
    join_all(asked).await.into_iter().flatten().collect()
}

/// The live brokers, by the first of the named nodes that lists some.
async fn brokers(nodes: &Nodes, named: &[Address], deadline: Instant) -> Vec<Broker> {
    let ask = async |address: &Address| {
        let node = nodes.connect(&address.host, address.port, deadline).await?;
        node.metadata(TopicSelection::None, deadline).await
    };
    let mut asked: FuturesUnordered<_> = named.iter().map(ask).collect();
    while let Some(answer) = asked.next().await {
        match answer {
            Ok(metadata) if !metadata.brokers.is_empty() => return metadata.brokers.into_values().collect(),
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "a node lists no brokers"),
        }
    }
    Vec::new()
}

async fn why_cut_off(nodes: &Nodes, broker: &Broker, deadline: Instant) -> Option<(BrokerId, String)> {
    let node = timeout_at(deadline, nodes.connect(&broker.host, broker.port, deadline)).await.ok()?.ok()?;
    // In ZooKeeper mode no request without a side effect goes through this channel: one that hangs is not found.
    if !node.is_kraft() {
        return None;
    }
    let late = || Some((broker.id, "it gave no answer in time".to_owned()));
    match timeout_at(deadline, node.passes_on(deadline)).await {
        Ok(Ok(()) | Err(KafkaError::Unsupported { .. })) => None,
        Ok(Err(error)) => Some((broker.id, error.to_string())),
        Err(_) => late(),
    }
}
