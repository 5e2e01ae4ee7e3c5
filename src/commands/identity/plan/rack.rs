//! The broker's rack: the pod's label, else the node's, else a variable of the environment. An empty label is no rack.

use serde::{Deserialize, Serialize};

use crate::cluster::visible;
use crate::commands::identity::plan::evidence::{NodeSeen, Seen};
use crate::commands::identity::plan::refusal::{Code, Halt, refused};
use crate::commands::identity::plan::terms::{Kind, Terms};

/// Most characters of a rack.
const LENGTH_MAX: usize = 249;

/// A rack, and who says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RackFound {
    /// The rack.
    pub rack: String,
    /// Who says so.
    pub source: RackSource,
}

/// Who names a rack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RackSource {
    /// The pod's label, by the downward API.
    PodLabel,
    /// The node's label.
    NodeLabel,
    /// A variable of the environment.
    Environment(String),
}

/// The rack, or none where it may be missing.
pub(super) fn rack(terms: &Terms, seen: &Seen) -> Result<Option<RackFound>, Halt> {
    if terms.kind == Kind::Zookeeper {
        return Ok(None);
    }
    let text =
        |value: &Option<String>| value.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let of_node = match &seen.node {
        NodeSeen::Labels { zone, .. } => text(zone),
        _ => None,
    };
    let environment = seen.me.environment_rack.as_ref();
    let of_environment = environment
        .and_then(|word| Some((text(&Some(word.value.clone()))?, RackSource::Environment(word.variable.clone()))));
    let found = text(&seen.me.pod_rack)
        .map(|rack| (rack, RackSource::PodLabel))
        .or(of_node.map(|rack| (rack, RackSource::NodeLabel)))
        .or(of_environment);
    match found {
        Some((rack, source)) => check(rack, source).map(Some),
        None if terms.rack.is_optional => Ok(None),
        None => refused(Code::RackUnknown, missing(seen)),
    }
}

/// A rack goes into property files and shell variables: it has nothing that either would take for something else.
fn check(rack: String, source: RackSource) -> Result<RackFound, Halt> {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || "._:/-".contains(c);
    if rack.len() <= LENGTH_MAX && rack.chars().all(is_legal) {
        return Ok(RackFound { rack, source });
    }
    refused(
        Code::RackUnknown,
        format!(
            "`{}` is no legal rack: letters, digits and `. _ : / -` are, up to {LENGTH_MAX} of them. Correct the label or the \
             variable",
            visible::value(&rack)
        ),
    )
}

fn missing(seen: &Seen) -> String {
    let node = match &seen.node {
        NodeSeen::NotRead => "the node was not read (NODE_NAME is not set, or this is not Kubernetes)".to_owned(),
        NodeSeen::Unreadable(why) | NodeSeen::Unlabelled(why) => {
            format!("the node can't be read ({})", visible::line(why))
        }
        NodeSeen::Labels { .. } => "the node has no such label".to_owned(),
    };
    format!(
        "no rack is known: the pod has no label topology.kubernetes.io/zone (variable POD_ZONE), {node}, and --rack-from-env names \
         no variable with a value. Label the node, or start without a rack with --rack-optional"
    )
}

/// Why a rack that changed is worth a word, if it did.
pub(super) fn changed(before: Option<&str>, now: Option<&RackFound>) -> Option<String> {
    let (before, now) = (before?, now.map(|found| found.rack.as_str()));
    (Some(before) != now).then(|| format!("{} -> {}", visible::value(before), now.unwrap_or("none")))
}
