//! [`Layout`]: a draft of where replicas go, with the load of each broker kept up to date.

use super::model::EMPTY;
use super::model::Model;
use super::numbers;
use crate::cluster::assignment::PartitionMove;
use crate::cluster::log_dirs::Coming;

/// A draft.
#[derive(Clone)]
pub(super) struct Layout<'m, 'a> {
    /// What it is a draft for.
    pub(super) model: &'m Model<'a>,
    /// Slots of all selected partitions; [`EMPTY`] where a broker is still to be found.
    to: Vec<u32>,
    /// Where each partition's slots begin, and how many it has.
    spans: Vec<(usize, usize)>,
    /// What each broker holds, all topics counted.
    pub(super) load: Vec<u64>,
    /// How many replicas each broker holds, all topics counted.
    pub(super) count: Vec<u32>,
    /// What is written to the replicas of each broker, bytes a second, all topics counted.
    pub(super) inbound: Vec<u64>,
    /// Bytes that are copied to each broker.
    pub(super) added: Vec<u64>,
    /// Partitions that stay as they are: stuck ones, and those that find no place.
    frozen: Vec<bool>,
    /// Replicas that are copied to each broker.
    came: Vec<u32>,
    /// Bytes of the largest one that ever was, in this draft.
    largest: Vec<u64>,
}

impl<'m, 'a> Layout<'m, 'a> {
    /// The present state as a draft.
    pub(super) fn new(model: &'m Model<'a>) -> Self {
        let mut to = Vec::with_capacity(model.from.len());
        let mut spans = Vec::with_capacity(model.partitions.len());
        for (partition, part) in model.partitions.iter().enumerate() {
            spans.push((to.len(), part.len));
            to.extend_from_slice(model.replicas(partition));
            to.resize(to.len() + part.wanted.saturating_sub(part.len).min(model.brokers.len()), EMPTY);
        }
        Self {
            model,
            to,
            spans,
            load: model.load.clone(),
            count: model.count.clone(),
            inbound: model.inbound.clone(),
            added: vec![0; model.brokers.len()],
            frozen: model.partitions.iter().map(|part| part.stuck.is_some()).collect(),
            came: vec![0; model.brokers.len()],
            largest: vec![0; model.brokers.len()],
        }
    }

    /// Slots of a partition.
    pub(super) fn slots(&self, partition: usize) -> &[u32] {
        let (first, len) = self.spans[partition];
        &self.to[first..first + len]
    }

    /// Whether a partition has a replica on a broker in this draft.
    pub(super) fn holds(&self, partition: usize, broker: u32) -> bool {
        self.slots(partition).contains(&broker)
    }

    /// Whether the draft differs from what is there.
    pub(super) fn is_changed(&self, partition: usize) -> bool {
        self.slots(partition) != self.model.replicas(partition)
    }

    /// Puts a broker, or [`EMPTY`], into a slot.
    pub(super) fn set(&mut self, partition: usize, slot: usize, broker: u32) {
        let at = self.spans[partition].0 + slot;
        let before = std::mem::replace(&mut self.to[at], broker);
        self.account(partition, before, false);
        self.account(partition, broker, true);
    }

    /// Gives a partition more slots, empty ones, up to the number that it should have.
    pub(super) fn grow(&mut self, partition: usize) {
        let wanted = self.model.partitions[partition].wanted;
        let span = &mut self.spans[partition];
        span.1 = span.1.max(wanted);
    }

    /// Takes a slot away; later ones move up.
    pub(super) fn remove(&mut self, partition: usize, slot: usize) {
        self.set(partition, slot, EMPTY);
        let (first, len) = self.spans[partition];
        self.to[first + slot..first + len].rotate_left(1);
        self.spans[partition].1 -= 1;
    }

    /// Whether a partition stays as it is.
    pub(super) fn is_frozen(&self, partition: usize) -> bool {
        self.frozen[partition]
    }

    /// Leaves a partition as it is now, for good.
    pub(super) fn freeze(&mut self, partition: usize) {
        self.reset(partition);
        self.frozen[partition] = true;
    }

    /// Leaves a partition as it is now.
    pub(super) fn reset(&mut self, partition: usize) {
        for slot in 0..self.slots(partition).len() {
            self.set(partition, slot, EMPTY);
        }
        let model = self.model;
        self.spans[partition].1 = model.partitions[partition].len;
        for (slot, broker) in model.replicas(partition).iter().enumerate() {
            self.set(partition, slot, *broker);
        }
    }

    /// Puts the slots of a partition into another order.
    pub(super) fn swap(&mut self, partition: usize, one: usize, other: usize) {
        let first = self.spans[partition].0;
        self.to.swap(first + one, first + other);
    }

    /// Whether a broker's disks can take a copy of a partition, even while everything that leaves it is still there.
    pub(super) fn has_room(&self, partition: usize, broker: u32) -> bool {
        let at = numbers::wide(broker);
        let bytes = self.model.partitions[partition].bytes;
        if self.model.replicas(partition).contains(&broker) {
            return true;
        }
        self.model.brokers[at].dirs.can_take(Coming {
            replicas: self.came[at] + 1,
            bytes: self.added[at].saturating_add(bytes),
            largest: self.largest[at].max(bytes),
        })
    }

    /// How many replicas are copied to a broker.
    pub(super) fn came(&self, broker: usize) -> u32 {
        self.came[broker]
    }

    /// Whether a present in-sync replica would remain if a slot were given to another broker, or none is expected to: a
    /// single replica is copied from the one that leaves.
    pub(super) fn keeps_synced(&self, partition: usize, slot: usize) -> bool {
        let slots = self.slots(partition);
        let others = slots.iter().enumerate().filter(|(other, _)| *other != slot);
        slots.len() == 1 || others.into_iter().any(|(_, broker)| self.model.is_synced_on(partition, *broker))
    }

    /// How full a broker would be with a load: comparable among brokers of one group.
    pub(super) fn level(&self, broker: u32, load: u64) -> u128 {
        (u128::from(load) << 40) / u128::from(self.model.share(broker))
    }

    /// Replicas of a partition by rack.
    pub(super) fn by_rack(&self, partition: usize, counts: &mut Vec<u32>) {
        counts.clear();
        counts.resize(self.model.racks.len(), 0);
        for broker in self.slots(partition).iter().filter(|broker| **broker != EMPTY) {
            counts[self.model.node(*broker).rack] += 1;
        }
    }

    /// Keeps the present order, leader and all, of partitions that keep their replicas.
    pub(super) fn keep_leaders(&mut self) {
        for partition in 0..self.spans.len() {
            let (slots, present) = (self.slots(partition), self.model.replicas(partition));
            if slots.len() == present.len() && slots.iter().all(|broker| present.contains(broker)) {
                let first = self.spans[partition].0;
                self.to[first..first + present.len()].copy_from_slice(present);
            }
        }
    }

    /// Keeps the present order of partitions that keep their replicas, but for the leader.
    pub(super) fn keep_order(&mut self) {
        for partition in 0..self.spans.len() {
            let (slots, present) = (self.slots(partition), self.model.replicas(partition));
            let same = slots.len() == present.len() && slots.iter().all(|broker| present.contains(broker));
            let leader = slots.first().and_then(|leader| present.iter().position(|broker| broker == leader));
            if let (true, Some(leader)) = (same, leader) {
                let first = self.spans[partition].0;
                self.to[first..first + present.len()].copy_from_slice(present);
                self.to.swap(first, first + leader);
            }
        }
    }

    /// The partitions that change, by topic and number.
    pub(super) fn moves(&self) -> Vec<PartitionMove> {
        let ids = |brokers: &[u32]| brokers.iter().map(|broker| self.model.node(*broker).id).collect();
        let changed = (0..self.spans.len()).filter(|partition| self.is_changed(*partition));
        let of = |partition: usize| {
            let part = &self.model.partitions[partition];
            let (from, to) = (ids(self.model.replicas(partition)), ids(self.slots(partition)));
            PartitionMove { partition: part.name(), from, to, bytes: part.bytes }
        };
        changed.map(of).collect()
    }

    fn account(&mut self, partition: usize, broker: u32, holds: bool) {
        if broker == EMPTY {
            return;
        }
        let at = numbers::wide(broker);
        let part = &self.model.partitions[partition];
        let comes = !self.model.replicas(partition).contains(&broker);
        let copied = if comes { part.bytes } else { 0 };
        if holds {
            self.load[at] += part.weight;
            self.count[at] += 1;
            self.inbound[at] += part.inflow;
            self.added[at] += copied;
            self.came[at] += u32::from(comes);
            self.largest[at] = self.largest[at].max(copied);
        } else {
            self.load[at] -= part.weight;
            self.count[at] -= 1;
            self.inbound[at] -= part.inflow;
            self.added[at] -= copied;
            self.came[at] -= u32::from(comes);
        }
    }
}
