//! Who takes the place of whom when brokers are replaced.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::Severity;
use super::model;
use super::model::Model;
use super::notes::Notes;
use super::numbers;
use crate::cluster::broker::BrokerId;

/// The successor of each leaving broker that has one; the replicas of the others go wherever they fit.
///
/// A successor that was named is taken. Otherwise a broker is looked for that holds nothing of these topics and stands
/// in the rack of the leaving one; where that is not known it is the rack that the fewest of its partitions have a
/// replica in already.
pub(super) fn find(
    model: &Model<'_>,
    named: &BTreeMap<BrokerId, Option<BrokerId>>,
    notes: &mut Notes,
) -> BTreeMap<u32, u32> {
    let index = model::index_of(model);
    let mut found = BTreeMap::new();
    let mut taken = BTreeSet::new();
    for (gone, to) in named {
        let (Some(gone), Some(to)) = (index.get(gone), to.as_ref().and_then(|to| index.get(to))) else { continue };
        if gone == to {
            continue;
        }
        if model.node(*to).open {
            found.insert(*gone, *to);
            taken.insert(*to);
        } else {
            let id = model.node(*to).id;
            let text = format!(
                "it should take the place of broker {}, but is not live or not allowed: its replicas go to others",
                model.node(*gone).id
            );
            notes.add(Severity::Blocking, "successor-unfit", format!("broker:{id}"), text);
        }
    }
    for gone in named.iter().filter(|(_, to)| to.is_none()).filter_map(|(gone, _)| index.get(gone)) {
        let free =
            |at: &usize| model.brokers[*at].open && model.held[*at] == 0 && !taken.contains(&numbers::narrow(*at));
        let free: Vec<usize> = (0..model.brokers.len()).filter(free).collect();
        let racks: BTreeSet<usize> = free.iter().map(|at| model.brokers[*at].rack).collect();
        let rack = rack_of(model, *gone, &racks);
        if let Some(successor) = free.into_iter().find(|at| Some(model.brokers[*at].rack) == rack) {
            let successor = numbers::narrow(successor);
            found.insert(*gone, successor);
            taken.insert(successor);
        }
    }
    found
}

/// The rack of a broker; if it is not known, the one of `racks` that the fewest of its partitions have a replica in.
fn rack_of(model: &Model<'_>, gone: u32, racks: &BTreeSet<usize>) -> Option<usize> {
    let node = model.node(gone);
    if node.live || model.racks[node.rack].is_some() {
        return Some(node.rack);
    }
    let mut shared = vec![0_u32; model.racks.len()];
    for partition in 0..model.partitions.len() {
        let replicas = model.replicas(partition);
        if replicas.contains(&gone) {
            for other in replicas.iter().filter(|other| **other != gone) {
                shared[model.node(*other).rack] += 1;
            }
        }
    }
    racks.iter().copied().min_by_key(|rack| (shared[*rack], *rack))
}
