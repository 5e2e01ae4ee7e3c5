//! Evens out preferred leaders by the order of replicas alone: no data moves.
//!
//! Each broker should lead as many partitions as any other, give or take one. Leadership flows from brokers that lead too
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

/// Where it is known what is written to partitions, numbers may differ by one more, or by one part in so many: what is
/// written is evened out then, and that needs some freedom.
const FREEDOM: u32 = 10;

/// Evens out leaders; tells how few and how many each broker may lead.
pub(super) fn even(layout: &mut Layout<'_, '_>, rules: &Rules<'_>) -> (u32, u32) {
    let mut flow = Flow::new(layout, rules);
    for goal in [Course::OverToUnder, Course::OverToAny, Course::AnyToUnder] {
        // Each round that goes on hands on at least one partition from a broker that leads too many.
        for _ in 0..=layout.model.partitions.len() {
            if !flow.round(layout, rules, goal) {
                break;
            }
        }
    }
    flow.lower(layout, rules);
    (flow.least, flow.most)
}

/// How many levels between the most that a broker leads and the most that it should lead are tried.
const LEVELS: usize = 64;

/// From which brokers to which leadership flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    /// From those that lead too many to those that lead too few.
    OverToUnder,
    /// From those that lead too many to those that can take one more.
    OverToAny,
    /// From those that can spare one to those that lead too few.
    AnyToUnder,
}

/// How many partitions each broker leads, and which.
struct Flow {
    /// Partitions that each broker leads and that may change.
    led: Vec<Vec<u32>>,
    /// Partitions that each broker leads, all topics counted.
    leads: Vec<u32>,
    /// Least and most that each should lead.
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
        for led in &mut flow.led {
            // Those that change anyway cost no further change.
            led.sort_by_key(|partition| (!layout.is_changed(numbers::wide(*partition)), *partition));
        }
        flow.set_bounds();
        if model.has_inflow {
            let more = (flow.least / FREEDOM).max(1);
            (flow.least, flow.most) = (flow.least.saturating_sub(more), flow.most.saturating_add(more));
        }
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

    /// Where some can't come down to what each should lead, since all that share their partitions lead as much: brings them
    /// down as far as it goes, the highest level first.
    fn lower(&mut self, layout: &mut Layout<'_, '_>, rules: &Rules<'_>) {
        let most = self.most;
        let counted = (0..self.leads.len()).filter(|at| self.over(*at) && self.counts[*at]);
        let highest = counted.map(|at| self.leads[at]).max().unwrap_or(most);
        let step = numbers::wide(highest.saturating_sub(most)).div_ceil(LEVELS).max(1);
        for level in (most..highest).rev().step_by(step) {
            self.most = level;
            for _ in 0..=layout.model.partitions.len() {
                if !self.round(layout, rules, Course::OverToAny) {
                    break;
                }
            }
        }
        self.most = most;
    }

    fn over(&self, broker: usize) -> bool {
        let lent = !self.led[broker].is_empty();
        lent && (!self.counts[broker] || self.leads[broker] > self.most)
    }

    fn under(&self, broker: usize) -> bool {
        self.counts[broker] && self.leads[broker] < self.least
    }

    /// Hands leadership on along disjoint ways that are all as short as the shortest; `false` if there is none (one
    /// phase of Dinic's algorithm).
    fn round(&mut self, layout: &mut Layout<'_, '_>, rules: &Rules<'_>, course: Course) -> bool {
        let starts: Vec<usize> = (0..self.leads.len()).filter(|at| self.is_start(*at, course)).collect();
        let mut search =
            Search { course, steps: self.steps(layout, rules, &starts, course), tried: vec![0; self.leads.len()] };
        let mut moved = false;
        for start in starts {
            while self.is_start(start, course) && self.follow(layout, rules, &mut search, start) {
                moved = true;
            }
        }
        moved
    }

    /// How many steps each broker is from the nearest start; none beyond the nearest end.
    fn steps(&self, layout: &Layout<'_, '_>, rules: &Rules<'_>, starts: &[usize], course: Course) -> Vec<Option<u32>> {
        let mut steps = vec![None; self.leads.len()];
        for start in starts {
            steps[*start] = Some(0);
        }
        let mut queue: VecDeque<usize> = starts.iter().copied().collect();
        let mut nearest = u32::MAX;
        while let Some(at) = queue.pop_front() {
            let next = steps[at].unwrap_or(0) + 1;
            if next > nearest {
                break;
            }
            let reached = self.led[at].iter().flat_map(|led| heirs(layout, rules, numbers::wide(*led)));
            for heir in reached.map(numbers::wide) {
                if steps[heir].is_none() && self.is_end(heir, course) {
                    nearest = next;
                }
                if steps[heir].is_none() {
                    steps[heir] = Some(next);
                    queue.push_back(heir);
                }
            }
        }
        steps
    }

    fn is_start(&self, broker: usize, course: Course) -> bool {
        match course {
            Course::OverToUnder | Course::OverToAny => self.over(broker),
            Course::AnyToUnder => self.leads[broker] > self.least && !self.led[broker].is_empty(),
        }
    }

    fn is_end(&self, broker: usize, course: Course) -> bool {
        match course {
            Course::OverToUnder | Course::AnyToUnder => self.under(broker),
            Course::OverToAny => self.counts[broker] && self.leads[broker] < self.most,
        }
    }

    /// Finds a way from a broker to an end, and hands leadership on along it. What led nowhere is not tried again.
    fn follow(&mut self, layout: &mut Layout<'_, '_>, rules: &Rules<'_>, search: &mut Search, at: usize) -> bool {
        let Some(next) = search.steps[at].map(|steps| steps + 1) else { return false };
        while let Some(partition) = self.led[at].get(search.tried[at]).copied() {
            let nearer: Vec<usize> = heirs(layout, rules, numbers::wide(partition))
                .map(numbers::wide)
                .filter(|heir| search.steps[*heir] == Some(next))
                .collect();
            for heir in nearer {
                if self.is_end(heir, search.course) || self.follow(layout, rules, search, heir) {
                    self.hand_on(layout, partition, (at, heir));
                    return true;
                }
            }
            search.tried[at] += 1;
        }
        false
    }

    fn hand_on(&mut self, layout: &mut Layout<'_, '_>, partition: u32, (before, after): (usize, usize)) {
        let slots = layout.slots(numbers::wide(partition));
        let heir = slots.iter().position(|broker| numbers::wide(*broker) == after).unwrap_or(0);
        layout.swap(numbers::wide(partition), 0, heir);
        if let Some(at) = self.led[before].iter().position(|led| *led == partition) {
            self.led[before].remove(at);
        }
        self.led[after].push(partition);
        self.leads[before] -= 1;
        self.leads[after] += 1;
    }
}

/// What a round has found out.
struct Search {
    course: Course,
    /// Steps from the nearest start, by broker.
    steps: Vec<Option<u32>>,
    /// How many of the partitions that a broker leads were tried.
    tried: Vec<usize>,
}

/// Brokers that may become the preferred leader of a partition: new copies, and those in sync.
pub(super) fn heirs<'l>(
    layout: &'l Layout<'_, '_>,
    rules: &'l Rules<'_>,
    partition: usize,
) -> impl Iterator<Item = u32> + 'l {
    let model = layout.model;
    let is_new = move |broker: u32| !model.replicas(partition).contains(&broker);
    let rest = layout.slots(partition).iter().skip(1).copied().filter(|broker| *broker != EMPTY);
    rest.filter(move |broker| (rules.may_lead)(*broker))
        .filter(move |broker| is_new(*broker) || model.is_synced_on(partition, *broker))
}
