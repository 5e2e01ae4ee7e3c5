//! What these tests share: plans as files, and what the cluster in memory shows.

use kafka_toolbox::clients::kafka::memory::Memory;
use kafka_toolbox::cluster::topic::TopicName;

use crate::support::desk::{Desk, Said};

/// One move: topic, partition, replicas before and after, bytes.
pub(crate) type Row<'a> = (&'a str, i32, &'a [i32], &'a [i32], u64);

/// A plan of these moves for a cluster.
pub(crate) fn plan(cluster_id: &str, rows: &[Row<'_>]) -> String {
    let moves: Vec<_> = rows
        .iter()
        .map(|(topic, partition, from, to, bytes)| {
            serde_json::json!({ "topic": topic, "partition": partition, "from": from, "to": to, "bytes": bytes })
        })
        .collect();
    let plan = serde_json::json!({
        "version": 1, "tool_version": "0.1.0", "cluster_id": cluster_id, "observed_at": "2026-11-22T20:00:00Z",
        "made_by": "mapping rebalance", "moves": moves,
    });
    plan.to_string()
}

/// Writes a file beside the desk's state.
pub(crate) fn file(desk: &Desk, name: &str, text: &str) -> String {
    let path = desk.folder().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Writes a plan and executes it.
pub(crate) async fn execute(desk: &Desk, rows: &[Row<'_>], more: &[&str]) -> Said {
    let id = desk.kafka.look(|cluster| cluster.cluster_id.clone());
    let path = file(desk, "plan.json", &plan(&id, rows));
    let yes = ["reassign", "execute", &path, "--yes", "--max-risk", "moves-data"];
    desk.run(&[&yes[..], more].concat()).await
}

/// The replicas of a partition.
pub(crate) fn replicas(desk: &Desk, topic: &str, partition: usize) -> Vec<i32> {
    let name = TopicName::new(topic).unwrap();
    desk.kafka.look(|cluster| cluster.topics[&name].partitions[partition].replicas.iter().map(|one| one.0).collect())
}

/// The leader of a partition.
pub(crate) fn leader(desk: &Desk, topic: &str, partition: usize) -> Option<i32> {
    let name = TopicName::new(topic).unwrap();
    desk.kafka.look(|cluster| cluster.topics[&name].partitions[partition].leader.map(|one| one.0))
}

/// Two topics of two and one partitions, with bytes, on four brokers.
pub(crate) fn four_brokers(kraft: bool) -> Memory {
    let kafka = if kraft { Memory::kraft(4) } else { Memory::zookeeper(4) };
    kafka
        .topic("orders", &[&[2, 1], &[2, 3]])
        .topic("bills", &[&[1, 2]])
        .bytes("orders", 0, 1_000)
        .bytes("orders", 1, 2_000)
        .bytes("bills", 0, 3_000)
}
