//! Mends what is left beside the bands after evening out, and takes back what was moved in vain: one or two replicas at a
//! time change places, the change that helps most for its bytes first.
//!
//! A replica that moves anyway may go to another broker for nothing, and one that goes back home saves its bytes; so two
//! that change together often cost little: one goes home, another one of about its weight goes instead.

use super::even::Evener;
use super::even::Item;
use super::numbers;

/// One replica that goes from one broker to another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) item: Item,
    pub(super) from: u32,
    pub(super) to: u32,
}

/// One or two steps, and what they are worth.
#[derive(Debug, Clone, Copy)]
struct Change {
    first: Step,
    second: Option<Step>,
    /// Bytes saved, plus [`WORTH`] for each byte that brokers come nearer to their bands.
    gain: i128,
}

/// What it is worth that a broker comes nearer to its band, in bytes moved.
const WORTH: i128 = 4;

/// How much more the brokers that take weigh than those that only give.
const FIRST: i128 = 1_000_000_000;

/// How many changes a broker of the group may cost.
const CHANGES: usize = 32;

/// How often all replicas that moved are looked at for savings.
const POLISHES: usize = 8;

/// How many replicas near a target weight are looked at.
const NEAR: usize = 6;

impl Evener<'_, '_, '_> {
    /// Mends a group.
    pub(super) fn mend(&mut self, group: &[u32]) {
        let mut left = group.len() * CHANGES;
        while left > 0 {
            let mut changed = false;
            for broker in group.iter().copied() {
                while left > 0
                    && let Some(change) = self.best_change(group, broker)
                {
                    left -= 1;
                    changed = true;
                    self.apply(change);
                }
            }
            if !changed {
                return;
            }
        }
    }

    /// Saves bytes: what moved goes home again, or a lighter one goes in its stead.
    pub(super) fn polish(&mut self, group: &[u32]) {
        for _ in 0..POLISHES {
            let mut changed = false;
            let away: Vec<_> = self.away_in(group).collect();
            for (moved, at) in away {
                let is_there = self.away_list(at).binary_search(&moved).is_ok();
                if is_there && let Some(change) = self.best_saving(group, moved, at) {
                    self.apply(change);
                    changed = true;
                }
            }
            if !changed {
                return;
            }
        }
    }

    /// The change that saves most bytes around one replica that moved.
    fn best_saving(&self, group: &[u32], moved: Item, at: u32) -> Option<Change> {
        let home = self.home(moved)?;
        let mut best = None;
        let returns = Step { item: moved, from: at, to: home };
        self.consider(returns, None, &mut best);
        let spare = self.spare(at);
        let lightest = moved.weight.saturating_sub(spare.min(self.slack(home)));
        for item in self.near(home, lightest) {
            self.consider(returns, Some(Step { item, from: home, to: at }), &mut best);
        }
        if self.slack(home) >= moved.weight {
            for donor in group.iter().copied().filter(|donor| *donor != at && *donor != home) {
                for item in self.near(donor, moved.weight.saturating_sub(spare)) {
                    self.consider(returns, Some(Step { item, from: donor, to: at }), &mut best);
                }
            }
        }
        best
    }

    /// The change that is worth most for a broker beside its band.
    fn best_change(&self, group: &[u32], broker: u32) -> Option<Change> {
        let (excess, lack) = (self.excess(broker), self.lack(broker));
        let mut best = None;
        if excess > 0 {
            self.relief(group, broker, excess, &mut best);
        } else if lack > 0 {
            self.supply(group, broker, lack, &mut best);
        }
        best
    }

    /// Changes that take an excess off a broker.
    fn relief(&self, group: &[u32], broker: u32, excess: u64, best: &mut Option<Change>) {
        for item in self.near(broker, excess) {
            for taker in group.iter().copied().filter(|taker| *taker != broker) {
                self.consider(Step { item, from: broker, to: taker }, None, best);
            }
        }
        // Another replica goes home, and one of this broker goes in its stead.
        for (moved, at) in self.away_in(group).filter(|(_, at)| *at != broker) {
            let Some(home) = self.home(moved).filter(|home| *home != broker) else { continue };
            let least = excess.max(moved.weight.saturating_sub(self.spare(at)));
            for item in self.near(broker, least) {
                let (goes, returns) = (Step { item, from: broker, to: at }, Step { item: moved, from: at, to: home });
                self.consider(goes, Some(returns), best);
            }
        }
        self.swaps(group, broker, excess, best);
    }

    /// Changes that bring a broker what it lacks.
    fn supply(&self, group: &[u32], broker: u32, lack: u64, best: &mut Option<Change>) {
        for donor in group.iter().copied().filter(|donor| *donor != broker) {
            for item in self.near(donor, lack).chain(self.near_away(donor, lack)) {
                self.consider(Step { item, from: donor, to: broker }, None, best);
            }
        }
        // A replica that came here goes home or elsewhere, a heavier one comes in its stead.
        for moved in self.away_on(broker) {
            for donor in group.iter().copied().filter(|donor| *donor != broker) {
                let target = moved.weight.saturating_add(lack);
                let home = self.home(moved).filter(|home| *home != donor);
                for item in self.near(donor, target).chain(self.near_away(donor, target)) {
                    let comes = Step { item, from: donor, to: broker };
                    let goes = |to: u32| Some(Step { item: moved, from: broker, to });
                    self.consider(comes, goes(donor), best);
                    self.consider(comes, goes(home.unwrap_or(donor)), best);
                }
            }
        }
    }

    /// Swaps of a replica of this broker for a lighter one.
    fn swaps(&self, group: &[u32], broker: u32, excess: u64, best: &mut Option<Change>) {
        for (moved, at) in self.away_in(group).filter(|(_, at)| *at != broker) {
            for item in self.near(broker, moved.weight.saturating_add(excess)) {
                let goes = Step { item, from: broker, to: at };
                self.consider(goes, Some(Step { item: moved, from: at, to: broker }), best);
            }
        }
    }

    /// Keeps a change if it is legal, worth something, and better than the best so far.
    fn consider(&self, first: Step, second: Option<Step>, best: &mut Option<Change>) {
        let Some(gain) = self.gain(first, second) else { return };
        if gain > best.map_or(0, |best| best.gain) {
            *best = Some(Change { first, second, gain });
        }
    }

    /// What steps are worth; none if they are illegal or bring brokers further from their bands.
    fn gain(&self, first: Step, second: Option<Step>) -> Option<i128> {
        self.effort.set(self.effort.get() + 1);
        let mut shifts: [(u32, i128); 4] = [(first.from, 0); 4];
        let mut used = 0;
        let mut saved = 0;
        for step in [Some(first), second].into_iter().flatten() {
            let weight = i128::from(step.item.weight);
            saved += weight
                * (i128::from(self.is_copy(step.item, step.from)) - i128::from(self.is_copy(step.item, step.to)));
            for (broker, shift) in [(step.from, -weight), (step.to, weight)] {
                if let Some(known) = shifts[..used].iter_mut().find(|(known, _)| *known == broker) {
                    known.1 += shift;
                } else {
                    shifts[used] = (broker, shift);
                    used += 1;
                }
            }
        }
        let nearer: i128 = shifts[..used].iter().map(|(broker, shift)| self.nearer(*broker, *shift)).sum();
        let gain = saved + WORTH * nearer;
        let worth = (nearer > 0 || (nearer == 0 && saved > 0)) && gain > 0;
        let steps = || [Some(first), second].into_iter().flatten();
        let apart = second.is_none_or(|second| second.item.partition != first.item.partition);
        (worth && apart && steps().all(|step| self.may_step(step))).then_some(gain)
    }

    fn may_step(&self, step: Step) -> bool {
        let takes = self.takes(step.to) || !self.is_copy(step.item, step.to);
        takes && !self.banned.contains(&step.item) && self.may_carry(step.item, step.to)
    }

    /// How much nearer to its band a broker comes if its load shifts.
    pub(super) fn nearer(&self, broker: u32, shift: i128) -> i128 {
        let band = self.band(broker);
        // Where only some brokers take, these must come out right, and no other may lack what they get; what others have
        // too much comes last.
        let (lack, excess) = match (self.some_take, self.takes(broker)) {
            (false, _) => (1, 1),
            (true, true) => (FIRST, FIRST),
            (true, false) => (FIRST, 1),
        };
        let beside =
            |load: i128| lack * (i128::from(band.low) - load).max(0) + excess * (load - i128::from(band.high)).max(0);
        let load = i128::from(self.load(broker));
        beside(load) - beside(load + shift)
    }

    fn apply(&mut self, change: Change) {
        for step in [Some(change.first), change.second].into_iter().flatten() {
            self.walk(step);
        }
    }

    /// Does a step, and notes it.
    pub(super) fn walk(&mut self, step: Step) {
        self.carry(step.item, step.from, step.to);
        self.journal.push(step);
    }

    /// Replicas of a broker whose weight is about a target: some just above, some just below.
    fn near(&self, broker: u32, target: u64) -> impl Iterator<Item = Item> + '_ {
        let list = self.items_of(broker);
        let at = list.partition_point(|item| item.weight < target);
        list[at.saturating_sub(NEAR)..(at + NEAR).min(list.len())].iter().copied()
    }

    /// Replicas that came to a broker and whose weight is about a target.
    pub(super) fn near_away(&self, broker: u32, target: u64) -> impl Iterator<Item = Item> + '_ {
        let list = self.away_list(broker);
        let at = list.partition_point(|item| item.weight < target);
        list[at.saturating_sub(NEAR)..(at + NEAR).min(list.len())].iter().copied()
    }

    /// Replicas that came to a broker.
    fn away_on(&self, broker: u32) -> impl Iterator<Item = Item> + '_ {
        self.away_list(broker).iter().copied()
    }

    /// Replicas that came to brokers of a group, and where they are.
    pub(super) fn away_in(&self, group: &[u32]) -> impl Iterator<Item = (Item, u32)> {
        group.iter().copied().flat_map(|broker| self.away_list(broker).iter().map(move |item| (*item, broker)))
    }

    /// Where a replica that moved was before, if it may go back there.
    pub(super) fn home(&self, item: Item) -> Option<u32> {
        let model = self.layout.model;
        let (partition, slot) = (numbers::wide(item.partition), numbers::wide(item.slot));
        let home = model.replicas(partition).get(slot).copied()?;
        let may_return = model.node(home).open && !model.fills_again(partition, home);
        (may_return && !self.layout.holds(partition, home)).then_some(home)
    }
}
