//! A decision as a plan: the registry first, then files, then labels; what is as it should be is left alone.

use std::fmt;

use serde::Serialize;

use crate::change::event::Severity;
use crate::change::plan::{Plan, Risk, Step};
use crate::change::settled::identities::{POD_UID, REGISTRY};
use crate::cluster::broker::BrokerId;
use crate::commands::identity::plan::decide::Decision;
use crate::commands::identity::plan::evidence::{Holds, NodeSeen, Seen};
use crate::commands::identity::plan::registry::Entry;
use crate::commands::identity::plan::terms::{Kind, Terms};

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IdentityStep {
    /// The id that it is about.
    pub id: BrokerId,
    /// What has the id: `broker` or `server`.
    pub what: &'static str,
    /// Whether it belongs to the replacement of a lost disk: all steps of one are let through, or none.
    #[serde(skip)]
    pub is_replacement: bool,
    /// What is done.
    #[serde(flatten)]
    pub act: Act,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Act {
    /// The registry gets an entry.
    Register(Box<Registration>),
    /// A data dir gets its `myid`.
    WriteMyid {
        /// The data dir.
        folder: String,
    },
    /// The output files are written.
    WriteOutputs {
        /// The files that differ from what is there.
        files: Vec<&'static str>,
    },
    /// The pod gets a label.
    LabelPod {
        /// The pod.
        pod: String,
    },
    /// The node gets a label.
    LabelNode {
        /// The node.
        node: String,
        /// The map, which is part of the label's key.
        map: String,
    },
}

/// An entry of the registry, before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Registration {
    /// The pod.
    pub pod: String,
    /// The id whose disk is lost, where this is its replacement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces: Option<BrokerId>,
    /// Where the registry is, once that is known: by that the next start recognises what a start that died was about to write.
    #[serde(skip)]
    pub registry: Option<String>,
    /// The entry that was there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Entry>,
    /// The entry that will be there.
    pub after: Entry,
}

/// A file for the broker's container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputFile {
    /// Its name.
    pub name: &'static str,
    /// Its text.
    pub text: String,
}

/// The files as they should be.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a>(pub &'a [OutputFile]);

/// What is to be done for a decision.
pub fn plan(terms: &Terms, seen: &Seen, decision: &Decision, wanted: Wanted<'_>) -> Plan<IdentityStep> {
    let mut plan = Plan::default();
    let id = decision.id;
    let what = if terms.kind == Kind::Kafka { "broker" } else { "server" };
    for note in &decision.notes {
        plan.find(format!("{what}:{id}"), note.kind, note.words.clone());
    }
    let is_replacement = decision.replaces.is_some();
    let mut add = |act: Act| plan.steps.push(IdentityStep { id, what, is_replacement, act });
    if decision.registry != seen.registry
        && let Some(after) = decision.registry.ids.get(&id)
    {
        add(Act::Register(Box::new(Registration {
            pod: seen.me.pod.clone(),
            replaces: decision.replaces,
            registry: None,
            before: seen.registry.ids.get(&id).cloned(),
            after: after.clone(),
        })));
    }
    if terms.kind == Kind::Zookeeper {
        let empty = seen.folders.iter().filter(|folder| folder.holds == Holds::Nothing);
        empty.for_each(|folder| add(Act::WriteMyid { folder: folder.path.clone() }));
    }
    let differs = |file: &&OutputFile| seen.outputs.get(file.name) != Some(&file.text);
    let files: Vec<_> = wanted.0.iter().filter(differs).map(|file| file.name).collect();
    if !files.is_empty() {
        add(Act::WriteOutputs { files });
    }
    if terms.label_pod && seen.pod_label.as_deref() != Some(&*id.to_string()) {
        add(Act::LabelPod { pod: seen.me.pod.clone() });
    }
    let has_label = match &seen.node {
        NodeSeen::Labels { broker_id, .. } => broker_id.as_deref() == Some(&*id.to_string()),
        _ => false,
    };
    if let Some(node) = seen.me.node.as_ref().filter(|_| terms.label_node && !has_label) {
        add(Act::LabelNode { node: node.clone(), map: terms.map.clone() });
    }
    plan
}

impl fmt::Display for IdentityStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, what, act, .. } = self;
        match act {
            Act::Register(entry) => {
                let pod = &entry.pod;
                match (entry.replaces, &entry.before) {
                    (Some(old), _) if old == *id => {
                        write!(
                            f,
                            "~ {what} {id}: pod {pod} takes the id over with an empty disk; the old disk is retired"
                        )
                    }
                    (Some(old), _) => {
                        write!(f, "+ {what} {id}: pod {pod} gets it instead of {old}, which is retired with its disk")
                    }
                    (None, None) => write!(f, "+ {what} {id}: pod {pod} gets the id"),
                    (None, Some(_)) => {
                        write!(f, "~ {what} {id}: pod {pod} starts again; its entry is updated")
                    }
                }
            }
            Act::WriteMyid { folder } => write!(f, "+ {what} {id}: {folder}/myid is written"),
            Act::WriteOutputs { files } => write!(f, "+ {what} {id}: {} are written", files.join(", ")),
            Act::LabelPod { pod } => write!(f, "~ {what} {id}: pod {pod} gets the label {POD_LABEL}={id}"),
            Act::LabelNode { node, map } => {
                write!(f, "~ {what} {id}: node {node} gets the label {}={id}", node_label(map))
            }
        }
    }
}

/// The label of a pod with its id, and the annotation of a claim.
pub const POD_LABEL: &str = "kafka-toolbox/broker-id";

/// The label of a node with the id of the map's broker whose disk it has.
pub fn node_label(map: &str) -> String {
    format!("{POD_LABEL}.{map}")
}

/// What steps do, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum IdentityBatch {
    /// The registry is written.
    Register,
    /// A data dir gets its `myid`.
    Myid,
    /// Output files are written.
    Write,
    /// The pod or the node is labelled.
    Label,
}

impl fmt::Display for IdentityBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Register => "register",
            Self::Myid => "myid",
            Self::Write => "write",
            Self::Label => "label",
        })
    }
}

impl Step for IdentityStep {
    type Batch = IdentityBatch;

    fn subject(&self) -> String {
        format!("{}:{}", self.what, self.id)
    }

    fn risk(&self) -> Risk {
        // An empty disk takes an id's place: its replicas are copied again, or moved.
        if self.is_replacement { Risk::MovesData } else { Risk::Reversible }
    }

    fn kind(&self) -> &'static str {
        match &self.act {
            Act::Register(entry) => match (entry.replaces, &entry.before) {
                (Some(_), _) => "identity.disk_replaced",
                (None, None) => "identity.assigned",
                (None, Some(_)) => "identity.refreshed",
            },
            Act::WriteMyid { .. } | Act::WriteOutputs { .. } => "identity.written",
            Act::LabelPod { .. } | Act::LabelNode { .. } => "identity.labelled",
        }
    }

    fn batch(&self) -> IdentityBatch {
        match &self.act {
            Act::Register(_) => IdentityBatch::Register,
            Act::WriteMyid { .. } => IdentityBatch::Myid,
            Act::WriteOutputs { .. } => IdentityBatch::Write,
            Act::LabelPod { .. } | Act::LabelNode { .. } => IdentityBatch::Label,
        }
    }

    fn severity(&self) -> Severity {
        match &self.act {
            Act::Register(entry) if entry.replaces.is_some() => Severity::Warning,
            Act::Register(entry) if entry.before.is_none() => Severity::Info,
            _ => Severity::Low,
        }
    }

    fn before_after(&self) -> (Option<String>, Option<String>) {
        match &self.act {
            Act::Register(entry) => {
                let place = entry.registry.as_ref().map(|place| format!("\n{REGISTRY}: {place}"));
                (entry.before.as_ref().map(lines), Some(lines(&entry.after) + &place.unwrap_or_default()))
            }
            _ => (None, None),
        }
    }
}

/// An entry, `key: value` lines.
pub fn lines(entry: &Entry) -> String {
    let shown = [
        ("pod", Some(entry.pod.as_str())),
        (POD_UID, entry.pod_uid.as_deref()),
        ("node", entry.node.as_deref()),
        ("volume", entry.volume.as_deref()),
        ("rack", entry.rack.as_deref()),
    ];
    shown.iter().filter_map(|(key, value)| Some(format!("{key}: {}", (*value)?))).collect::<Vec<_>>().join("\n")
}
