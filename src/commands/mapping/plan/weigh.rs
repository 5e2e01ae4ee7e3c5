//! Evens out what producers write to the leaders of each broker, where that is known: after their numbers are even, some
//! partitions are led by another of their replicas, or two brokers exchange one partition each for another.
//!
//! Each step takes the broker that is furthest from the mean, and the change that brings it and its partner nearest to each
//! other; it ends when all are within the tolerance or nothing helps. Numbers of leaders stay about even.

use std::cell::Cell;

use super::layout::Layout;
use super::leaders::Rules;
use super::leaders::heirs;
use super::model::EMPTY;
use super::numbers;

/// How many changes a broker may cost.
const STEPS: usize = 8;

/// How many changes may be considered in all.
const EFFORT: u64 = 20_000_000;

/// Evens out; each broker leads no fewer and no more partitions than `bounds` says.
pub(super) fn even(layout: &mut Layout<'_, '_>, rules: &Rules<'_>, bounds: (u32, u32)) {
    if !layout.model.has_inflow {
        return;
    }
    let mut scales = Scales::new(layout, rules, bounds);
    let mut stubborn = vec![false; layout.model.brokers.len()];
    for _ in 0..layout.model.brokers.len() * STEPS {
        let Some(worst) = scales.worst(&stubborn) else { return };
        match scales.best(layout, rules, worst) {
            Some(change) => scales.apply(layout, change),
            None => stubborn[worst] = true,
        }
        if scales.effort.get() > EFFORT {
            return;
        }
    }
}

/// A partition that another broker leads from now on, and one that comes back for it.
#[derive(Debug, Clone, Copy)]
struct Change {
    gives: u32,
    takes: Option<u32>,
    from: usize,
    to: usize,
}

struct Scales {
    /// Partitions that each broker leads and that may change.
    led: Vec<Vec<u32>>,
    /// Partitions that may change and that each broker could lead.
    could: Vec<Vec<u32>>,
    /// What is written to the partitions that each broker leads, all topics counted.
    inflow: Vec<u64>,
    /// How many partitions it leads.
    leads: Vec<u32>,
    /// Whether a broker counts.
    counts: Vec<bool>,
    mean: u64,
    /// How far from the mean is near enough.
    slack: u64,
    /// Least and most partitions that each may lead.
    bounds: (u32, u32),
    effort: Cell<u64>,
}

impl Scales {
    fn new(layout: &Layout<'_, '_>, rules: &Rules<'_>, bounds: (u32, u32)) -> Self {
        let model = layout.model;
        let brokers = model.brokers.len();
        let counts: Vec<bool> = (0..brokers).map(|at| (rules.may_lead)(numbers::narrow(at))).collect();
        let (mut led, mut could) = (vec![Vec::new(); brokers], vec![Vec::new(); brokers]);
        let (mut inflow, mut leads) = (model.foreign_inflow.clone(), model.foreign_leaders.clone());
        for partition in 0..model.partitions.len() {
            let Some(leader) = layout.slots(partition).first().copied().filter(|leader| *leader != EMPTY) else {
                continue;
            };
            inflow[numbers::wide(leader)] += model.partitions[partition].inflow;
            leads[numbers::wide(leader)] += 1;
            if (rules.may_change)(partition) {
                led[numbers::wide(leader)].push(numbers::narrow(partition));
                for heir in heirs(layout, rules, partition) {
                    could[numbers::wide(heir)].push(numbers::narrow(partition));
                }
            }
        }
        let members = || (0..brokers).filter(|at| counts[*at]);
        let number = members().count().max(1);
        let mean = numbers::clamp(members().map(|at| u128::from(inflow[at])).sum::<u128>() / number as u128);
        let slack = numbers::part_of(mean, model.goal.tolerance);
        Self { led, could, inflow, leads, counts, mean, slack, bounds, effort: Cell::new(0) }
    }

    /// The broker that is furthest from the mean, beyond what is near enough.
    fn worst(&self, stubborn: &[bool]) -> Option<usize> {
        let off = |at: usize| self.inflow[at].abs_diff(self.mean);
        let open = (0..self.inflow.len()).filter(|at| self.counts[*at] && !stubborn[*at]);
        open.filter(|at| off(*at) > self.slack).max_by_key(|at| (off(*at), std::cmp::Reverse(*at)))
    }

    /// The change that brings a broker and its partner nearest to each other.
    fn best(&self, layout: &Layout<'_, '_>, rules: &Rules<'_>, worst: usize) -> Option<Change> {
        let mut best: Option<(u128, Change)> = None;
        let gives = self.inflow[worst] > self.mean;
        let pool = if gives { self.led[worst].clone() } else { self.could[worst].clone() };
        for partition in pool {
            let leader = numbers::wide(layout.slots(numbers::wide(partition))[0]);
            let partners: Vec<usize> = if gives {
                heirs(layout, rules, numbers::wide(partition)).map(numbers::wide).collect()
            } else {
                vec![worst]
            };
            for to in partners.into_iter().filter(|to| *to != leader && self.inflow[leader] > self.inflow[*to]) {
                self.consider(layout, Change { gives: partition, takes: None, from: leader, to }, &mut best);
                let comes_back =
                    |back: &u32| heirs(layout, rules, numbers::wide(*back)).any(|heir| numbers::wide(heir) == leader);
                for back in self.led[to].iter().copied().filter(comes_back) {
                    let change = Change { gives: partition, takes: Some(back), from: leader, to };
                    self.consider(layout, change, &mut best);
                }
            }
        }
        best.map(|(_, change)| change)
    }

    /// Keeps a change if it brings its two brokers nearer to each other than the best so far: of loads A and B, x moved
    /// takes 2x(A - B - x) off the sum of squares.
    fn consider(&self, layout: &Layout<'_, '_>, change: Change, best: &mut Option<(u128, Change)>) {
        self.effort.set(self.effort.get() + 1);
        let inflow = |partition: u32| layout.model.partitions[numbers::wide(partition)].inflow;
        let moved = inflow(change.gives).saturating_sub(change.takes.map_or(0, inflow));
        let apart = self.inflow[change.from] - self.inflow[change.to];
        let fits = change.takes.is_some()
            || (self.leads[change.from] > self.bounds.0 && self.leads[change.to] < self.bounds.1);
        let gain = u128::from(moved) * u128::from(apart.saturating_sub(moved));
        if fits && gain > best.as_ref().map_or(0, |(known, _)| *known) {
            *best = Some((gain, change));
        }
    }

    fn apply(&mut self, layout: &mut Layout<'_, '_>, change: Change) {
        self.hand_on(layout, change.gives, (change.from, change.to));
        if let Some(back) = change.takes {
            self.hand_on(layout, back, (change.to, change.from));
        }
    }

    fn hand_on(&mut self, layout: &mut Layout<'_, '_>, partition: u32, (from, to): (usize, usize)) {
        let at = numbers::wide(partition);
        let heir = layout.slots(at).iter().position(|broker| numbers::wide(*broker) == to).unwrap_or(0);
        layout.swap(at, 0, heir);
        self.led[from].retain(|led| *led != partition);
        self.led[to].push(partition);
        self.could[to].retain(|could| *could != partition);
        self.could[from].push(partition);
        let inflow = layout.model.partitions[at].inflow;
        self.inflow[from] -= inflow;
        self.inflow[to] += inflow;
        self.leads[from] -= 1;
        self.leads[to] += 1;
    }
}
