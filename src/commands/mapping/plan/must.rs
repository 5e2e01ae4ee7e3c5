//! What must change whatever the loads are: replicas on brokers that leave, other replication factors, racks to repair.

use super::layout::Layout;
use super::model::EMPTY;
use super::model::Model;
use super::numbers;
use super::spread::Bounds;
use super::spread::Spread;

/// Empties the slots of brokers that leave, and brings a partition to the number of slots that it should have.
///
/// Too many replicas are dropped by rack first, then those out of sync, then those on the fullest broker; the last one
/// in sync stays.
pub(super) fn empty_slots(layout: &mut Layout<'_, '_>, spread: &Spread, partition: usize) {
    let model = layout.model;
    let wanted = model.partitions[partition].wanted;
    let bounds = spread.bounds(wanted);
    let leaving: Vec<_> = layout.slots(partition).iter().map(|broker| model.node(*broker).leaving).collect();
    for slot in (0..leaving.len()).filter(|slot| leaving[*slot]).rev() {
        if layout.slots(partition).len() > wanted {
            layout.remove(partition, slot);
        } else {
            layout.set(partition, slot, EMPTY);
        }
    }
    while layout.slots(partition).len() > wanted {
        let slot = least_needed(layout, bounds, partition);
        layout.remove(partition, slot);
    }
    layout.grow(partition);
}

/// Empties the slots that stand in the way of the best spread over racks.
pub(super) fn repair_racks(layout: &mut Layout<'_, '_>, spread: &Spread, partition: usize) {
    let bounds = spread.bounds(layout.model.partitions[partition].wanted);
    let mut counts = Vec::new();
    for _ in 0..layout.slots(partition).len() {
        layout.by_rack(partition, &mut counts);
        let missing: u32 = counts.iter().zip(&bounds.least).map(|(count, least)| least.saturating_sub(*count)).sum();
        let empty = layout.slots(partition).iter().filter(|broker| **broker == EMPTY).count();
        let has_excess = counts.iter().zip(&bounds.most).any(|(count, most)| count > most);
        if !has_excess && numbers::wide(missing) <= empty {
            return;
        }
        let slot = least_needed(layout, bounds, partition);
        layout.set(partition, slot, EMPTY);
    }
}

/// Puts a present in-sync replica back if a partition is to have others alone; whether it did. A partition with one
/// replica is copied from the one that leaves, and one whose in-sync replicas all are on brokers that leave, too.
pub(super) fn keep_source(layout: &mut Layout<'_, '_>, spread: &Spread, partition: usize) -> bool {
    let model = layout.model;
    let slots = layout.slots(partition).to_vec();
    if slots.len() < 2
        || layout.is_frozen(partition)
        || slots.iter().any(|broker| model.is_synced_on(partition, *broker))
    {
        return false;
    }
    let present = model.replicas(partition).iter().zip(model.synced(partition));
    let sources = present.filter(|(broker, synced)| **synced && model.node(**broker).open).map(|(broker, _)| *broker);
    let mut sources: Vec<u32> = sources.collect();
    sources.sort_by_key(|broker| (layout.level(*broker, layout.load[numbers::wide(*broker)]), *broker));
    let bounds = spread.bounds(model.partitions[partition].wanted);
    let mut counts = Vec::new();
    layout.by_rack(partition, &mut counts);
    for source in sources {
        let rack = model.node(source).rack;
        let fits = |slot: &usize| {
            let other = model.node(slots[*slot]).rack;
            other == rack || (counts[rack] < bounds.most[rack] && counts[other] > bounds.least[other])
        };
        // A leader stays the one that was chosen, if another slot will do.
        if let Some(slot) = (0..slots.len()).rev().find(fits) {
            layout.set(partition, slot, source);
            return true;
        }
    }
    false
}

/// Whether something must change.
pub(super) fn is_due(model: &Model<'_>, partition: usize) -> bool {
    let part = &model.partitions[partition];
    part.wanted != part.len || model.replicas(partition).iter().any(|broker| model.node(*broker).leaving)
}

/// The filled slot that a partition can best do without.
fn least_needed(layout: &Layout<'_, '_>, bounds: &Bounds, partition: usize) -> usize {
    let model = layout.model;
    let mut counts = Vec::new();
    layout.by_rack(partition, &mut counts);
    let rank = |slot: usize, broker: u32| {
        let node = model.node(broker);
        let count = counts[node.rack];
        let spare = i64::from(count) - i64::from(bounds.least.get(node.rack).copied().unwrap_or(0));
        let over = i64::from(count) - i64::from(bounds.most.get(node.rack).copied().unwrap_or(0));
        let keeps = layout.keeps_synced(partition, slot);
        let synced = model.is_synced_on(partition, broker);
        (keeps, over.max(0), spare, !synced, layout.level(broker, layout.load[numbers::wide(broker)]), slot)
    };
    let slots = layout.slots(partition).iter().enumerate().filter(|(_, broker)| **broker != EMPTY);
    slots.max_by_key(|(slot, broker)| rank(*slot, **broker)).map_or(0, |(slot, _)| slot)
}
