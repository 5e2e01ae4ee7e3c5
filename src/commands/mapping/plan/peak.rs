//! Whether disks hold a plan while both copies of what moves exist, and in which order its moves fit.

use std::collections::BTreeMap;

use crate::cluster::assignment::PartitionMove;
use crate::cluster::broker::BrokerId;

/// An order in which all moves fit, each done before the next begins; else those that fit in no order that was found.
///
/// `room` is what each broker's disks still take; brokers that are not in it take anything. Moves that free the most for
/// what they take go first.
pub(super) fn order(moves: &[PartitionMove], mut room: BTreeMap<BrokerId, u64>) -> Result<Vec<usize>, Vec<usize>> {
    let mut waiting: Vec<usize> = (0..moves.len()).collect();
    let mut ordered = Vec::with_capacity(moves.len());
    loop {
        let before = waiting.len();
        let mut still = Vec::new();
        for at in waiting {
            let one = &moves[at];
            let fits = one.adding().all(|broker| room.get(&broker).is_none_or(|room| *room >= one.bytes));
            if !fits {
                still.push(at);
                continue;
            }
            for broker in one.adding() {
                room.entry(broker).and_modify(|room| *room -= one.bytes);
            }
            for broker in one.removing() {
                room.entry(broker).and_modify(|room| *room = room.saturating_add(one.bytes));
            }
            ordered.push(at);
        }
        waiting = still;
        if waiting.is_empty() {
            return Ok(ordered);
        }
        if waiting.len() == before {
            return Err(waiting);
        }
    }
}

/// Whether all moves fit at once.
pub(super) fn fits_at_once(moves: &[PartitionMove], room: &BTreeMap<BrokerId, u64>) -> bool {
    let mut added: BTreeMap<BrokerId, u64> = BTreeMap::new();
    for one in moves {
        for broker in one.adding() {
            let sum = added.entry(broker).or_default();
            *sum = sum.saturating_add(one.bytes);
        }
    }
    added.iter().all(|(broker, bytes)| room.get(broker).is_none_or(|room| room >= bytes))
}
