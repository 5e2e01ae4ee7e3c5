//! The best part of a plan inside a budget of bytes and moves.

use super::Severity;
use super::band::Band;
use super::layout::Layout;
use super::model::EMPTY;
use super::notes::Notes;
use super::numbers;
use crate::cluster::size::Bytes;
use crate::commands::mapping::spec::goal::Goal;

/// Changes that are tried one by one where the budget is too small for more.
const PICKS: usize = 64;

/// What may be spent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    /// Most bytes copied.
    bytes: u64,
    /// Most partitions changed.
    moves: usize,
}

impl Budget {
    /// The goal's budget; none if it sets no limit.
    pub(super) fn of(goal: &Goal) -> Option<Self> {
        let unlimited = goal.budget_bytes.is_none() && goal.moves_max.is_none();
        let budget = Self { bytes: goal.budget_bytes.unwrap_or(u64::MAX), moves: goal.moves_max.unwrap_or(usize::MAX) };
        (!unlimited).then_some(budget)
    }

    /// Whether a draft stays within it.
    pub(super) fn holds(self, layout: &Layout<'_, '_>) -> bool {
        let copied = layout.added.iter().fold(0, |sum: u64, bytes| sum.saturating_add(*bytes));
        copied <= self.bytes && (self.moves == usize::MAX || changed(layout).count() <= self.moves)
    }

    /// The changes of a draft that bring brokers nearest to their bands, one after the other, while they stay within the
    /// budget: for budgets that are too small for an even plan of its own.
    pub(super) fn pick<'m, 'a>(self, from: &Layout<'m, 'a>, draft: &Layout<'m, 'a>, bands: &[Band]) -> Layout<'m, 'a> {
        let mut picked = from.clone();
        let all = 0..from.model.partitions.len();
        let mut left: Vec<usize> = all.filter(|partition| from.slots(*partition) != draft.slots(*partition)).collect();
        for _ in 0..PICKS {
            let worth = |partition: usize| nearer(&picked, draft.slots(partition), (partition, bands));
            let best = (0..left.len()).map(|at| (worth(left[at]), std::cmp::Reverse(at))).max();
            let Some((_, std::cmp::Reverse(at))) = best.filter(|(worth, _)| *worth > 0) else { break };
            let partition = left.remove(at);
            put(&mut picked, partition, draft.slots(partition));
            if !self.holds(&picked) {
                put(&mut picked, partition, from.slots(partition));
            }
        }
        picked
    }

    /// Takes back what a draft has beyond the budget. What has lost replicas is carried out first, then what takes the
    /// fewest bytes, so that most partitions are done; changes of order alone come last.
    pub(super) fn trim(self, layout: &mut Layout<'_, '_>, notes: &mut Notes) {
        if self.holds(layout) {
            return;
        }
        let mut wanted: Vec<(bool, bool, u64, usize)> = changed(layout)
            .map(|partition| {
                let bytes = copied(layout, partition);
                let reorder = bytes == 0 && is_reorder(layout, partition);
                (reorder, !layout.model.synced(partition).contains(&false), bytes, partition)
            })
            .collect();
        wanted.sort_unstable();
        let (mut bytes_left, mut moves_left) = (self.bytes, self.moves);
        let (mut bytes_out, mut moves_out) = (0_u64, 0_usize);
        for (_, _, bytes, partition) in wanted {
            if moves_left > 0 && bytes <= bytes_left {
                moves_left -= 1;
                bytes_left -= bytes;
            } else {
                layout.reset(partition);
                moves_out += 1;
                bytes_out = bytes_out.saturating_add(bytes);
            }
        }
        let text = format!(
            "{moves_out} partitions with {} to copy are left out by the budget: carry this plan out, then plan again",
            Bytes(bytes_out)
        );
        notes.add(Severity::Advisory, "budget-reached", "cluster".into(), text);
    }
}

/// How much nearer to their bands brokers come if a partition goes to other brokers.
fn nearer(layout: &Layout<'_, '_>, slots: &[u32], (partition, bands): (usize, &[Band])) -> i128 {
    let weight = i128::from(layout.model.partitions[partition].weight);
    let beside = |broker: u32, shift: i128| {
        let (load, band) = (layout.load[numbers::wide(broker)], bands[numbers::wide(broker)]);
        let load = i128::from(load) + shift;
        (load - i128::from(band.high)).max(0) + (i128::from(band.low) - load).max(0)
    };
    let now = layout.slots(partition);
    let comes = slots.iter().filter(|broker| !now.contains(broker)).map(|broker| (*broker, weight));
    let goes = now.iter().filter(|broker| !slots.contains(broker)).map(|broker| (*broker, -weight));
    comes.chain(goes).map(|(broker, shift)| beside(broker, 0) - beside(broker, shift)).sum()
}

fn put(layout: &mut Layout<'_, '_>, partition: usize, slots: &[u32]) {
    for slot in 0..slots.len() {
        layout.set(partition, slot, EMPTY);
    }
    for (slot, broker) in slots.iter().enumerate() {
        layout.set(partition, slot, *broker);
    }
}

fn changed<'l>(layout: &'l Layout<'_, '_>) -> impl Iterator<Item = usize> + 'l {
    (0..layout.model.partitions.len()).filter(|partition| layout.is_changed(*partition))
}

fn is_reorder(layout: &Layout<'_, '_>, partition: usize) -> bool {
    let present = layout.model.replicas(partition);
    let slots = layout.slots(partition);
    slots.len() == present.len() && slots.iter().all(|broker| present.contains(broker))
}

fn copied(layout: &Layout<'_, '_>, partition: usize) -> u64 {
    let present = layout.model.replicas(partition);
    let copies = layout.slots(partition).iter().filter(|broker| !present.contains(broker)).count();
    layout.model.partitions[partition].bytes.saturating_mul(u64::from(numbers::narrow(copies)))
}
