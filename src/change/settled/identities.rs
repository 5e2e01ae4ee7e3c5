//! Entries of a registry of ids. Events of `identity` have no cluster's id: whoever gives out the first id of a cluster does not know
//! it. So it goes by where the registry is, and in Kubernetes by the pod, whose next start reads the registry again.
//!
//! Files and labels stay unknown: the next start writes whatever differs again, and what is as it should be may be so since before the
//! dead run.

use std::collections::BTreeMap;

use crate::change::carry_out::Ended;
use crate::change::event::Event;
use crate::change::settled::{Verdict, values};

/// Changes of an entry.
const REGISTERED: [&str; 3] = ["identity.assigned", "identity.refreshed", "identity.disk_replaced"];

/// The line of an intent that says where its registry is.
pub const REGISTRY: &str = "registry";

/// The line with the uid of the pod that gets an id.
pub const POD_UID: &str = "pod_uid";

/// The registry that a run has read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownRegistry {
    /// Where it is.
    pub place: String,
    /// The pod whose start this is. None outside Kubernetes, where the place alone says which registry it is: its file is in the
    /// state folder, beside the journals of dead runs.
    pub pod_uid: Option<String>,
    /// Whether it is such a file.
    pub is_file: bool,
    /// Each id's entry, `key: value` lines.
    pub entries: BTreeMap<i32, String>,
}

/// How a change of a registry ended whose run died; none for what is no such change.
pub fn settled_by_registry(intent: &Event, shown: Option<&ShownRegistry>) -> Option<Verdict> {
    if !REGISTERED.contains(&intent.kind.as_str()) {
        return None;
    }
    Some(shown.filter(|shown| is_same(intent, shown)).map_or(Verdict::NotAsked, |shown| verdict(intent, shown)))
}

/// Whether it is the registry that the intent is about: ConfigMaps of two API servers may have one name.
fn is_same(intent: &Event, shown: &ShownRegistry) -> bool {
    let after = values(intent.after.as_deref());
    let is_own_pod = || shown.pod_uid.is_some() && after.get(POD_UID).copied() == shown.pod_uid.as_deref();
    after.get(REGISTRY) == Some(&shown.place.as_str()) && (shown.is_file || is_own_pod())
}

fn verdict(intent: &Event, shown: &ShownRegistry) -> Verdict {
    let Some(id) = intent.subject.split_once(':').and_then(|(_, id)| id.parse::<i32>().ok()) else {
        return Verdict::NotShown;
    };
    let now = shown.entries.get(&id).map(|lines| values(Some(lines)));
    let before = intent.before.as_deref().map(|lines| values(Some(lines)));
    let mut after = values(intent.after.as_deref());
    after.remove(REGISTRY);
    let after = Some(after);
    match () {
        // What does not show in these lines.
        () if before == after => Verdict::NotShown,
        () if now == after => Verdict::Ended(Ended::settled(true)),
        () if now == before => Verdict::Ended(Ended::settled(false)),
        () => Verdict::NotShown,
    }
}
