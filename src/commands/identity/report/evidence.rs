//! Why this id: the evidence, as `identity.json` holds it. The same inputs give the same bytes.

use serde::{Deserialize, Serialize};

use crate::cluster::broker::BrokerId;
use crate::commands::identity::plan::{Claim, Decision, Entry, Folder, NodeSeen, RackFound, Seen, Source, Terms};

/// The form of the file.
const FORM: u32 = 1;

/// Why this id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The form of this document.
    pub form: u32,
    /// The id.
    pub id: BrokerId,
    /// Who says so.
    pub source: Source,
    /// The map.
    pub map: String,
    /// The cluster's id, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// The pod.
    pub pod: String,
    /// The node's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_ip: Option<String>,
    /// The rack, and who names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rack: Option<RackFound>,
    /// What the log dirs hold.
    pub folders: Vec<Folder>,
    /// The claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// What the node's labels say.
    pub node: NodeSeen,
    /// The entry in the registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<Entry>,
}

impl Evidence {
    /// The evidence of a decision.
    pub fn of(terms: &Terms, seen: &Seen, decision: &Decision) -> Self {
        Self {
            form: FORM,
            id: decision.id,
            source: decision.source,
            map: terms.map.clone(),
            cluster_id: decision.registry.cluster_id.clone(),
            pod: seen.me.pod.clone(),
            host_ip: seen.me.host_ip.clone(),
            rack: decision.rack.clone(),
            folders: seen.folders.clone(),
            claim: seen.claim.clone(),
            node: seen.node.clone(),
            entry: decision.registry.ids.get(&decision.id).cloned(),
        }
    }
}
