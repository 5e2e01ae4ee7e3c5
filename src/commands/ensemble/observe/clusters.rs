//! The Kafka clusters that an ensemble serves, by their nodes `cluster/id`: at its root, at the chroot that was named, and at chroots
//! one or two levels below the root. Each cluster that is missed could be rolled while the ensemble is changed, so an error is never
//! "none".

use std::collections::BTreeSet;

use futures_util::stream::{self, StreamExt as _};
use serde::Deserialize;

use crate::clients::zookeeper::{Refusal, ZooKeeper, ZooKeeperError};
use crate::commands::ensemble::plan::served::Served;

/// Most nodes of one level that are looked into.
const CHILDREN_MAX: usize = 100;

/// Most nodes on the second level that are looked at, in all.
const DEEP_MAX: usize = 1_000;

/// Questions that are under way at once.
const AT_ONCE: usize = 32;

/// Longest id of a cluster, in bytes.
const ID_BYTES_MAX: usize = 256;

/// Nodes at the root that are no chroot of Kafka: ZooKeeper's own, and ours.
const OTHERS: [&str; 2] = ["zookeeper", "kafka-toolbox"];

/// Nodes of a Kafka cluster itself, below its chroot (Kafka's `ZkData`).
const OF_KAFKA: [&str; 16] = [
    "admin",
    "brokers",
    "cluster",
    "config",
    "consumers",
    "controller",
    "controller_epoch",
    "delegation_token",
    "feature",
    "isr_change_notification",
    "kafka-acl",
    "kafka-acl-changes",
    "kafka-acl-extended",
    "kafka-acl-extended-changes",
    "latest_producer_id_block",
    "log_dir_event_notification",
];

/// The data of Kafka's node `/cluster/id`.
#[derive(Deserialize)]
struct ClusterId {
    id: String,
}

/// What stands at a place where a cluster may have its id.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Holds {
    Nothing,
    Id(String),
    Other,
}

/// Finds them. Fails where a question was not answered; `chroot` is empty, or a path.
pub(super) async fn served(session: &dyn ZooKeeper, chroot: &str) -> Result<Served, String> {
    let mut served = Served::default();
    let mut is_at_root = false;
    for place in BTreeSet::from(["", chroot]) {
        match id_at(session, place).await? {
            Holds::Nothing => {}
            Holds::Id(id) => {
                is_at_root |= place.is_empty();
                served.ids.insert(id);
            }
            Holds::Other => return Err(format!("the node {place}/cluster/id holds no cluster id that can be read")),
        }
    }
    let top = session.children("/").await.map_err(|error| error.to_string())?;
    if top.len() > CHILDREN_MAX {
        served.incomplete =
            Some(format!("{} nodes are at its root, and at most {CHILDREN_MAX} are looked at", top.len()));
        return Ok(served);
    }
    let is_own = |name: &String| is_at_root && OF_KAFKA.contains(&name.as_str());
    let top = top.into_iter().filter(|name| !OTHERS.contains(&name.as_str()) && !is_own(name));
    let top: Vec<_> = top.map(|name| format!("/{name}")).collect();
    let clusters = find(session, &top, &mut served).await?;
    let top: Vec<_> = top.iter().map(|place| Top { place, is_of_kafka: clusters.contains(place.as_str()) }).collect();
    let deep = below(session, &top, &mut served.notes).await?;
    find(session, &deep, &mut served).await?;
    Ok(served)
}

/// A node at the root.
#[derive(Debug, Clone, Copy)]
struct Top<'a> {
    place: &'a str,
    /// Whether it is the chroot of a cluster: then most nodes below it are that cluster's own.
    is_of_kafka: bool,
}

/// Adds the ids at these places, which may as well be of anybody; the places that have one.
async fn find<'a>(
    session: &dyn ZooKeeper,
    places: &'a [String],
    served: &mut Served,
) -> Result<BTreeSet<&'a str>, String> {
    let asked = places.iter().map(|place| async move { (place.as_str(), id_at(session, place).await) });
    let found: Vec<_> = stream::iter(asked).buffered(AT_ONCE).collect().await;
    let mut clusters = BTreeSet::new();
    for (place, holds) in found {
        match holds? {
            Holds::Nothing => {}
            Holds::Id(id) => {
                clusters.insert(place);
                served.ids.insert(id);
            }
            Holds::Other => served.notes.push(format!("the node {place}/cluster/id is not Kafka's")),
        }
    }
    Ok(clusters)
}

/// The nodes below these, as far as there are few.
async fn below(session: &dyn ZooKeeper, top: &[Top<'_>], notes: &mut Vec<String>) -> Result<Vec<String>, String> {
    let asked = top.iter().map(|top| async move { (*top, session.children(top.place).await) });
    let answers: Vec<_> = stream::iter(asked).buffered(AT_ONCE).collect().await;
    let mut deep = Vec::new();
    for (Top { place, is_of_kafka }, answer) in answers {
        let names = match answer {
            Ok(names) => names,
            Err(error) if error.refusal() == Some(Refusal::NoNode) => continue,
            // Its own id could be read, if it had one; what is deeper is shown to nobody.
            Err(error) if error.refusal() == Some(Refusal::NoAuth) => {
                notes.push(format!("{place} was not looked into: {error}"));
                continue;
            }
            Err(error) => return Err(error.to_string()),
        };
        let is_own = |name: &&String| is_of_kafka && OF_KAFKA.contains(&name.as_str());
        let names: Vec<_> = names.iter().filter(|name| !is_own(name)).collect();
        if names.len() > CHILDREN_MAX || deep.len() + names.len() > DEEP_MAX {
            notes.push(format!("{place} was not looked into: it has {} nodes", names.len()));
            continue;
        }
        deep.extend(names.into_iter().map(|name| format!("{place}/{name}")));
    }
    Ok(deep)
}

async fn id_at(session: &dyn ZooKeeper, place: &str) -> Result<Holds, String> {
    match session.get(&format!("{place}/cluster/id")).await {
        Ok(node) => Ok(match serde_json::from_slice::<ClusterId>(&node.data) {
            Ok(ClusterId { id }) if !id.is_empty() && id.len() <= ID_BYTES_MAX => Holds::Id(id),
            _ => Holds::Other,
        }),
        Err(ZooKeeperError::Refused(Refusal::NoNode, _)) => Ok(Holds::Nothing),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::zookeeper::memory::{Fault, Memory, MemorySession};
    use crate::clients::zookeeper::{Creation, Mode};

    async fn ensemble(nodes: &[(&str, &str)]) -> (Memory, MemorySession) {
        let memory = Memory::new(&["server.1=a:1:2:participant;3"]);
        let session = memory.session();
        for (path, data) in nodes {
            let parents = path.match_indices('/').map(|(end, _)| &path[..end]).filter(|parent| !parent.is_empty());
            for parent in parents {
                drop(session.create(parent, b"", &Creation::open(Mode::Persistent)).await);
            }
            session.create(path, data.as_bytes(), &Creation::open(Mode::Persistent)).await.unwrap();
        }
        (memory, session)
    }

    fn json(id: &str) -> String {
        format!("{{\"version\":\"1\",\"id\":\"{id}\"}}")
    }

    async fn found(nodes: &[(&str, &str)], chroot: &str) -> Vec<String> {
        let (_memory, session) = ensemble(nodes).await;
        served(&session, chroot).await.unwrap().ids.into_iter().collect()
    }

    #[tokio::test]
    async fn clusters_are_found_at_the_root_at_chroots_and_one_level_below_without_any_of_them_being_named() {
        let (a, b, c, d) = (json("a"), json("b"), json("c"), json("d"));
        let all = [("/cluster/id", &*a), ("/shop/cluster/id", &*b), ("/kafka/eu/cluster/id", &*c)];
        assert_eq!(found(&all, "").await, ["a", "b", "c"]);
        let deep = [("/x/y/z/cluster/id", &*d), ("/brokers/ids/1", "")];
        assert_eq!(found(&deep, "").await, [""; 0], "deeper ones are named");
        assert_eq!(found(&deep, "/x/y/z").await, ["d"]);
        assert_eq!(found(&[], "").await, [""; 0]);
    }

    #[tokio::test]
    async fn an_error_while_looking_is_not_none() {
        let id = json("a");
        for question in 0..5 {
            let (memory, session) = ensemble(&[("/shop/eu/cluster/id", &*id)]).await;
            (0..question).for_each(|_| memory.add_fault(Fault::Nothing));
            memory.add_fault(Fault::RequestLost);
            assert!(served(&session, "").await.is_err(), "question {question}");
        }
        let (memory, session) = ensemble(&[("/shop/eu/cluster/id", &*id)]).await;
        memory.add_fault(Fault::Refused(Refusal::NoAuth));
        assert!(served(&session, "").await.is_err());
        let (_memory, session) = ensemble(&[("/cluster/id", "{}")]).await;
        assert!(served(&session, "").await.unwrap_err().contains("/cluster/id holds no cluster id"));
    }

    #[tokio::test]
    async fn a_root_with_more_nodes_than_are_looked_at_is_said_and_what_is_not_kafkas_is_no_cluster() {
        let id = json("a");
        let names: Vec<_> = (0..CHILDREN_MAX).map(|number| format!("/n{number}")).collect();
        let mut nodes: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
        nodes.push(("/shop/cluster/id", &*id));
        let (_memory, session) = ensemble(&nodes).await;
        let many = served(&session, "").await.unwrap();
        assert!(many.ids.is_empty() && many.incomplete.is_some_and(|why| why.starts_with("102 nodes")));
        assert_eq!(served(&session, "/shop").await.unwrap().ids.len(), 1);
        let (_memory, session) = ensemble(&[("/app/cluster/id", "blue"), ("/shop/cluster/id", &*id)]).await;
        let beside = served(&session, "").await.unwrap();
        assert_eq!((beside.ids.len(), beside.notes.len(), beside.incomplete), (1, 1, None));
    }
}
