//! What a pod is given: fixtures, the decision table row by row, racks, and the laws.

mod laws;
mod racks;
mod replaced;
mod silent;
mod table;

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use crate::cluster::broker::BrokerId;
use crate::commands::identity::plan::{
    Allocation, Claim, ClusterSeen, Code, Decision, Entry, Folder, Halt, Holds, Kind, Me, NodeSeen, PodSeen, Question,
    RackTerms, Registry, Replaced, Seen, State, Terms, Traces, decide,
};
use crate::commands::identity::spec::disk::DiskId;

const CLUSTER: &str = "MkU3OEVBNTcwNTJENDM2Qg";

fn now() -> Timestamp {
    "2026-11-29T12:00:00Z".parse().unwrap()
}

fn ago(hours: i64) -> Timestamp {
    now().checked_sub(SignedDuration::from_hours(hours)).unwrap()
}

/// Map `map1` with the ids 1001 to 1006, by ordinal; racks are optional.
fn terms() -> Terms {
    Terms {
        kind: Kind::Kafka,
        map: "map1".into(),
        ids: (1001..=1006).map(BrokerId).collect::<BTreeSet<_>>(),
        mapped: Some((1001..=1006).map(BrokerId).collect()),
        is_new_cluster: false,
        allocation: Allocation::Ordinal,
        replaced: Replaced::Refuse,
        cluster_id: Some(CLUSTER.into()),
        rack: RackTerms { is_optional: true, is_immutable: false },
        listeners: None,
        label_node: false,
        label_pod: false,
        now: now(),
    }
}

/// Pod `kafka-2` on node `n2` with an empty disk on volume `v2`; nothing is registered, and the cluster does not answer.
fn seen() -> Seen {
    Seen {
        me: Me { pod: "kafka-2".into(), uid: Some("u2".into()), node: Some("n2".into()), ..Me::default() },
        folders: vec![folder("/data", Holds::Nothing)],
        claim: Some(Claim { name: "data-kafka-2".into(), volume: Some("v2".into()), broker_id: None }),
        cluster: ClusterSeen::NoAnswer("connection refused".into()),
        traces: Traces::Nothing,
        ..Seen::default()
    }
}

fn folder(path: &str, holds: Holds) -> Folder {
    Folder { path: path.into(), holds }
}

fn disk(id: i32) -> DiskId {
    DiskId { id: BrokerId(id), cluster_id: Some(CLUSTER.into()), directory_id: Some(format!("dir-{id}")) }
}

/// The same with a disk that holds an id.
fn with_disk(id: i32) -> Seen {
    Seen { folders: vec![folder("/data", Holds::Id(disk(id)))], ..seen() }
}

/// An entry of a pod with its uid, node and volume by one number, a day old, whose disk was seen.
fn entry(number: usize) -> Entry {
    Entry {
        state: State::Assigned,
        pod: format!("kafka-{number}"),
        pod_uid: Some(format!("u{number}")),
        node: Some(format!("n{number}")),
        volume: Some(format!("v{number}")),
        directory_ids: Vec::new(),
        rack: None,
        is_on_disk: true,
        since: ago(24),
    }
}

/// The same with entries of the registry.
fn registered(seen: Seen, entries: &[(i32, Entry)]) -> Seen {
    let ids = entries.iter().map(|(id, entry)| (BrokerId(*id), entry.clone())).collect();
    Seen { registry: Registry { ids, ..Registry::default() }, ..seen }
}

/// The same with a pod that was looked up.
fn with_pod(mut seen: Seen, pod: &str, answer: PodSeen) -> Seen {
    seen.pods.insert(pod.into(), answer);
    seen
}

fn node_label(seen: Seen, id: &str) -> Seen {
    let node = NodeSeen::Labels { uid: "node".into(), zone: None, broker_id: Some(id.into()) };
    Seen { node, ..seen }
}

#[track_caller]
fn assigned(terms: &Terms, seen: &Seen) -> Decision {
    decide(terms, seen).unwrap_or_else(|halt| panic!("{halt:?}"))
}

/// The refusal's name and words.
#[track_caller]
fn refused(terms: &Terms, seen: &Seen) -> (Code, String) {
    match decide(terms, seen) {
        Err(Halt::Refused(refusal)) => (refusal.code, refusal.to_string()),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn asks(terms: &Terms, seen: &Seen) -> Question {
    match decide(terms, seen) {
        Err(Halt::Ask(question)) => question,
        other => panic!("{other:?}"),
    }
}
