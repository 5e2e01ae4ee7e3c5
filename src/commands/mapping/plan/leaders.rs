//! Evens out preferred leaders by the order of replicas alone: no data moves.
//!
//! Each broker shall lead as many partitions as any other, give or take one. Leadership flows from brokers that lead too
//! many to those that lead too few, over the brokers that share partitions, by the shortest ways first: so few
//! partitions change.

use std::collections::VecDeque;

use super::layout::Layout;
use super::model::EMPTY;
use super::numbers;

/// Which partitions may get another preferred leader, and which brokers may be it.
pub(super) struct Rules<'r> {
    /// Whether a partition may change.
    pub(super) may_change: &'r dyn Fn(usize) -> bool,
    /// Whether a broker may lead.
    pub(super) may_lead: &'r dyn Fn(u32) -> bool,
}

/// Evens out leaders.
pub(super) fn even(layout: &mut Layout<'_, '_>, rules: &Rules<'_>) {
    let mut flow = Flow::new(layout, rules);
    // Each round that goes on hands on at least one partition from a broker that leads too many.
    for _ in 0..=layout.model.partitions.len() {
        if !flow.round(layout, rules) {
            return;
        }
    }
}

/// How many partitions each broker leads, and which.
struct Flow {
    /// Partitions that each broker leads and that may change.
    led: Vec<Vec<u32>>,
    /// Partitions that each broker leads, all topics counted.
    leads: Vec<u32>,
    /// Least and most that each shall lead.
    least: u32,
    most: u32,
    /// Whether a broker counts.
    counts: Vec<bool>,
}

impl Flow {
    fn new(layout: &Layout<'_, '_>, rules: &Rules<'_>) -> Self {
        let model = layout.model;
        let mut flow = Self {
            led: vec![Vec::new(); model.brokers.len()],
            leads: model.foreign_leaders.clone(),
            least: 0,
            most: 0,
            counts: (0..model.brokers.len()).map(|at| (rules.may_lead)(numbers::narrow(at))).collect(),
        };
        for partition in 0..model.partitions.len() {
            let leader = layout.slots(partition).first().copied().unwrap_or(EMPTY);
            if leader == EMPTY {
                continue;
            }
            flow.leads[numbers::wide(leader)] += 1;
            if (rules.may_change)(partition) {
                flow.led[numbers::wide(leader)].push(numbers::narrow(partition));
            }
        }
        flow.set_bounds();
        flow
    }

    /// Even shares among the brokers that count; those that lead more of what may not change keep it.
    fn set_bounds(&mut self) {
        let fixed = |at: usize| u64::from(self.leads[at]) - self.led[at].len() as u64;
        let mut levels: Vec<u64> = (0..self.leads.len()).filter(|at| self.counts[*at]).map(fixed).collect();
        levels.sort_unstable();
        let outside = (0..self.leads.len()).filter(|at| !self.counts[*at]).map(|at| self.led[at].len() as u64);
        let inside = (0..self.leads.len()).filter(|at| self.counts[*at]).map(|at| self.led[at].len() as u64);
        let mut total: u64 = outside.sum::<u64>() + inside.sum::<u64>();
        let mut members = 0;
        let mut share = (0, 0);
        for level in levels {
            let (sum, count) = (total + level, members + 1);
            if members > 0 && level > total.div_ceil(members) {
                break;
            }
            (total, members) = (sum, count);
            share = (total / members, total.div_ceil(members));
        }
        self.least = u32::try_from(share.0).unwrap_or(u32::MAX);
        self.most = u32::try_from(share.1).unwrap_or(u32::MAX);
    }

    fn over(&self, broker: usize) -> bool {
        let lent = !self.led[broker].is_empty();
        lent && (!self.counts[broker] || self.leads[broker] > self.most)
    }

    fn under(&self, broker: usize) -> bool {
        self.counts[broker] && self.leads[broker] < self.least
    }

    /// Moves leadership along the shortest ways there are; `false` if there is none.
    fn round(&mut self, layout: &mut Layout<'_, '_>, rules: &Rules<'_>) -> bool {
        let mut moved = false;
        moved |= self.flood(layout, rules, true);
        moved |= self.flood(layout, rules, false);
        moved
    }

    /// One breadth-first search from the brokers that lead too many (or, where none is above the most, that can spare
    /// one) to those that lead too few (or can take one), then as many disjoint ways as it shows.
    fn flood(&mut self, layout: &mut Layout<'_, '_>, rules: &Rules<'_>, from_over: bool) -> bool {
        let starts: Vec<usize> = (0..self.leads.len()).filter(|at| self.is_start(*at, from_over)).collect();
        let mut parent: Vec<Option<(usize, u32)>> = vec![None; self.leads.len()];
        let mut seen = vec![false; self.leads.len()];
        let mut queue: VecDeque<usize> = starts.iter().copied().collect();
        for start in starts {
            seen[start] = true;
        }
        let mut ends = Vec::new();
        while let Some(at) = queue.pop_front() {
            let ways =
                self.led[at].iter().flat_map(|led| heirs(layout, rules, numbers::wide(*led)).map(|heir| (*led, heir)));
            for (partition, next) in ways.map(|(led, heir)| (led, numbers::wide(heir))) {
                if !std::mem::replace(&mut seen[next], true) {
                    parent[next] = Some((at, partition));
                    queue.push_back(next);
                    ends.extend(self.is_end(next, from_over).then_some(next));
                }
            }
        }
        let mut moved = false;
        for end in ends {
            moved |= self.follow(layout, &parent, end, from_over);
        }
        moved
    }

    fn is_start(&self, broker: usize, from_over: bool) -> bool {
        let spares = self.leads[broker] > self.least && !self.led[broker].is_empty();
        if from_over { self.over(broker) } else { self.over(broker) || spares }
    }

    fn is_end(&self, broker: usize, from_over: bool) -> bool {
        let takes = self.counts[broker] && self.leads[broker] < self.most;
        if from_over { takes } else { self.under(broker) }
    }

    /// Hands leadership on along one way, if all of it still holds.
    fn follow(
        &mut self,
        layout: &mut Layout<'_, '_>,
        parent: &[Option<(usize, u32)>],
        end: usize,
        from_over: bool,
    ) -> bool {
        let mut way = Vec::new();
        let mut at = end;
        while let Some((before, partition)) = parent[at] {
            way.push((before, partition, at));
            at = before;
        }
        let leads = |before: usize, partition: u32| {
            layout.slots(numbers::wide(partition)).first().is_some_and(|leader| numbers::wide(*leader) == before)
        };
        let holds = way.iter().all(|(before, partition, _)| leads(*before, *partition));
        if !holds || !self.is_start(at, from_over) || !self.is_end(end, from_over) {
            return false;
        }
        for (before, partition, after) in way {
            self.hand_on(layout, partition, (before, after));
        }
        true
    }

    fn hand_on(&mut self, layout: &mut Layout<'_, '_>, partition: u32, (before, after): (usize, usize)) {
        let slots = layout.slots(numbers::wide(partition));
        let heir = slots.iter().position(|broker| numbers::wide(*broker) == after).unwrap_or(0);
        layout.swap(numbers::wide(partition), 0, heir);
        self.led[before].retain(|led| *led != partition);
        self.led[after].push(partition);
        self.leads[before] -= 1;
        self.leads[after] += 1;
    }
}

/// Brokers that may become the preferred leader of a partition: new copies, and those in sync.
fn heirs<'l>(layout: &'l Layout<'_, '_>, rules: &'l Rules<'_>, partition: usize) -> impl Iterator<Item = u32> + 'l {
    let model = layout.model;
    let is_new = move |broker: u32| !model.replicas(partition).contains(&broker);
    let rest = layout.slots(partition).iter().skip(1).copied().filter(|broker| *broker != EMPTY);
    rest.filter(move |broker| (rules.may_lead)(*broker))
        .filter(move |broker| is_new(*broker) || model.is_synced_on(partition, *broker))
}
