//! The ids that a map gives out, compared with those that the cluster has: brokers that were numbered from another number before (an
//! offset, or 0 instead of 1) would get a second id each.

use crate::cluster::broker::BrokerId;
use crate::commands::identity::plan::cluster::Listed;
use crate::commands::identity::plan::free::{shown, shown_ids};
use crate::commands::identity::plan::refusal::{Code, Halt, refused};
use crate::commands::identity::plan::terms::{Allocation, Kind, Terms};

/// Refuses to give an id out that nobody has had, where the cluster has brokers that no map has, and these are near the map's ids, or
/// instead of them. An id that was named (`--id`) is believed.
pub(super) fn check(terms: &Terms, listed: &Listed) -> Result<(), Halt> {
    let Some(mapped) = &terms.mapped else { return Ok(()) };
    if terms.kind == Kind::Zookeeper || matches!(terms.allocation, Allocation::Given(_)) {
        return Ok(());
    }
    let all = || listed.brokers.iter().chain(listed.replicas.keys()).copied();
    let strangers: std::collections::BTreeSet<_> = all().filter(|id| !mapped.contains(id)).collect();
    let has_none_of_map = !all().any(|id| terms.ids.contains(&id));
    let is_wrong = has_none_of_map || strangers.iter().any(|id| is_near(terms, *id));
    if strangers.is_empty() || !is_wrong {
        return Ok(());
    }
    refused(
        Code::IdRange,
        format!(
            "the cluster has brokers {}, which no map has, and map {} gives out {}: ids seem to be counted from another number. Nothing \
             was written. Correct the `brokers` of the maps in toolbox.yaml so that they have all ids of the cluster, or name this \
             pod's id with --id",
            shown_ids(&strangers),
            terms.map,
            shown(terms)
        ),
    )
}

/// Whether an id is as near to the map's ids as an offset between two ways to count them would bring it.
fn is_near(terms: &Terms, id: BrokerId) -> bool {
    let (Some(first), Some(last)) = (terms.ids.first(), terms.ids.last()) else { return false };
    let count = i64::try_from(terms.ids.len()).unwrap_or(i64::MAX);
    let (first, last, id) = (i64::from(first.0), i64::from(last.0), i64::from(id.0));
    (first.saturating_sub(count)..=last.saturating_add(count)).contains(&id)
}
