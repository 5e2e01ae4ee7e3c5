//! Whether the rest still holds everything after any one broker or rack is lost, its replicas placed anew by capacity.

use super::Severity;
use super::layout::Layout;
use super::notes::Notes;
use super::numbers;
use crate::cluster::size::Bytes;

/// Notes every broker and rack whose loss the rest could not take.
pub(super) fn check(layout: &Layout<'_, '_>, notes: &mut Notes) {
    let model = layout.model;
    let demanded = model.goal.require_n_minus_1;
    let severity = if demanded { Severity::Blocking } else { Severity::Advisory };
    let free: Vec<Option<u64>> = (0..model.brokers.len()).map(|at| free(layout, at)).collect();
    let open = || (0..model.brokers.len()).filter(|at| model.brokers[*at].open);
    if open().any(|at| free[at].is_none()) || model.by_count {
        if demanded {
            let text = "disk sizes are not known of all brokers, so it can't be told whether the rest holds everything \
                        after a loss: give capacities in toolbox.yaml";
            notes.add(severity, "no-n-minus-1", "cluster".into(), text.into());
        }
        return;
    }
    let rest = |lost: &dyn Fn(usize) -> bool| -> u64 {
        open().filter(|at| !lost(*at)).filter_map(|at| free[at]).fold(0, u64::saturating_add)
    };
    for at in open() {
        let rack = model.brokers[at].rack;
        let (held, left) = (layout.load[at], rest(&|other| other == at));
        if held > left {
            let text = lack(&format!("broker {}", model.brokers[at].id), held, left);
            notes.add(severity, "no-n-minus-1", format!("broker:{}", model.brokers[at].id), text);
        } else if pinned(layout) && held > rest(&|other| other == at || model.brokers[other].rack != rack) {
            let left = rest(&|other| other == at || model.brokers[other].rack != rack);
            let text =
                lack(&format!("broker {}", model.brokers[at].id), held, left) + "; its rack holds one replica of each";
            notes.add(severity, "no-n-minus-1", format!("broker:{}", model.brokers[at].id), text);
        }
    }
    for (rack, name) in model.racks.iter().enumerate().filter_map(|(rack, name)| Some((rack, name.as_ref()?))) {
        let inside = |at: usize| model.brokers[at].rack == rack;
        let held: u64 = open().filter(|at| inside(*at)).map(|at| layout.load[at]).fold(0, u64::saturating_add);
        let left = rest(&inside);
        if held > left {
            notes.add(severity, "no-n-minus-1", format!("rack:{name}"), lack(&format!("rack {name}"), held, left));
        }
    }
}

/// Whether every partition has a replica in every rack, so that one that is lost must be placed in the same rack.
fn pinned(layout: &Layout<'_, '_>) -> bool {
    let model = layout.model;
    let racks = model
        .racks
        .iter()
        .enumerate()
        .filter(|(rack, _)| model.brokers.iter().any(|node| node.open && node.rack == *rack));
    let racks = racks.count();
    racks > 1 && model.partitions.iter().all(|part| part.wanted == racks)
}

/// What a broker may still take below the limit once everything has moved.
fn free(layout: &Layout<'_, '_>, at: usize) -> Option<u64> {
    let model = layout.model;
    let node = &model.brokers[at];
    let limit = numbers::part_of(node.capacity?, model.goal.disk_limit);
    let room = node.dirs.room();
    let moved = i128::from(layout.load[at]) - i128::from(model.load[at]);
    let left = (i128::from(room) - moved).clamp(0, i128::from(limit));
    u64::try_from(left).ok()
}

fn lack(what: &str, held: u64, left: u64) -> String {
    format!(
        "if {what} is lost, its {} need a place and the rest has {} below the disk limit: add brokers or disks, or \
         shorten retention",
        Bytes(held),
        Bytes(left)
    )
}
