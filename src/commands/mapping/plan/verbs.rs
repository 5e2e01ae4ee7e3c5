//! What each verb of `mapping` does to a draft.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::Severity;
use super::band;
use super::band::Width;
use super::budget::Budget;
use super::even::Evener;
use super::fill::Filler;
use super::layout::Layout;
use super::leaders;
use super::limit::Relief;
use super::model::EMPTY;
use super::model::Model;
use super::must;
use super::notes::Notes;
use super::numbers;
use super::pairs;
use super::spread::Spread;
use super::weigh;
use crate::cluster::broker::BrokerId;
use crate::cluster::size::Bytes;
use crate::commands::mapping::spec::goal::Operation;

/// How many tolerances are tried to find the one that a budget allows.
const PROBES: usize = 12;

/// Drafts what the goal's verb asks for.
pub(super) fn draft<'m, 'a>(model: &'m Model<'a>, spread: &Spread, notes: &mut Notes) -> Layout<'m, 'a> {
    let mut work = Work { layout: Layout::new(model), model, spread, notes };
    match &model.goal.operation {
        Operation::Rebuild { force } => work.rebuild(*force),
        Operation::Rebalance => {
            work.place_what_must(|_| true);
            work.level(&|_| true);
        }
        Operation::Scale => work.scale(),
        Operation::Replace { pairs } => work.replace(pairs),
        Operation::Evacuate { brokers, leaders_only: true } => work.evacuate_leaders(brokers),
        Operation::Evacuate { .. } => {
            work.place_what_must(|_| true);
        }
    }
    match &model.goal.operation {
        _ if !model.goal.leaders => {}
        Operation::Rebuild { .. } | Operation::Rebalance => work.even_leaders(|_, _| true),
        Operation::Scale => work.even_leaders(|layout, partition| layout.slots(partition) != model.replicas(partition)),
        // Only what the brokers led that are emptied: other partitions that move keep their leaders.
        Operation::Evacuate { brokers, leaders_only: false } => work.even_leaders(|_, partition| {
            model.replicas(partition).first().is_some_and(|leader| brokers.contains(&model.node(*leader).id))
        }),
        // A successor leads what its predecessor led, and leadership that is evacuated was evened out with it.
        Operation::Replace { .. } | Operation::Evacuate { .. } => {}
    }
    work.layout.keep_order();
    if let Some(budget) = Budget::of(model.goal) {
        budget.trim(&mut work.layout, work.notes);
    }
    work.layout
}

struct Work<'w, 'm, 'a> {
    layout: Layout<'m, 'a>,
    model: &'m Model<'a>,
    spread: &'w Spread,
    notes: &'w mut Notes,
}

impl Work<'_, '_, '_> {
    /// Places anew: everything, or what must move and what stands in the way of spread racks.
    fn rebuild(&mut self, force: bool) {
        let partitions = self.changeable(|_, _| force);
        for partition in &partitions {
            must::empty_slots(&mut self.layout, self.spread, *partition);
            if force {
                for slot in 0..self.layout.slots(*partition).len() {
                    self.layout.set(*partition, slot, EMPTY);
                }
            } else {
                must::repair_racks(&mut self.layout, self.spread, *partition);
            }
        }
        self.fill(partitions.clone(), &|_| true, None);
        if force {
            self.keep_sources(&partitions);
            self.layout.keep_leaders();
        }
    }

    /// Puts a present in-sync replica back where everything placed anew would leave none; its place follows in the next
    /// plan, once the new copies are in sync.
    fn keep_sources(&mut self, partitions: &[usize]) {
        let mut kept = 0_usize;
        for partition in partitions {
            kept += usize::from(must::keep_source(&mut self.layout, self.spread, *partition));
        }
        if kept > 0 {
            let text = format!(
                "{kept} partitions keep a replica that would go, so that one that is in sync now stays: carry this plan \
                 out, then plan again for the rest"
            );
            self.notes.add(Severity::Advisory, "source-kept", "cluster".into(), text);
        }
    }

    /// Finds new places for replicas that must go, on brokers that `may` allows if they can be there.
    fn place_what_must(&mut self, may: impl Fn(u32) -> bool) {
        let model = self.model;
        let mut partitions = self.changeable(must::is_due);
        partitions.retain(|partition| must::is_due(model, *partition));
        for partition in &partitions {
            must::empty_slots(&mut self.layout, self.spread, *partition);
        }
        // Brokers that are preferred take no more than their share.
        let ceilings = band::ceilings(&self.layout);
        self.fill(partitions, &may, Some(ceilings));
    }

    fn scale(&mut self) {
        let model = self.model;
        let is_new = |broker: u32| model.node(broker).open && model.held[numbers::wide(broker)] == 0;
        let any_new = (0..model.brokers.len()).any(|at| is_new(numbers::narrow(at)));
        self.place_what_must(|broker| !any_new || is_new(broker));
        if any_new {
            self.level(&is_new);
        }
    }

    fn replace(&mut self, named: &BTreeMap<BrokerId, Option<BrokerId>>) {
        let model = self.model;
        let successors = pairs::find(model, named, self.notes);
        let mut partitions = self.changeable(must::is_due);
        partitions.retain(|partition| must::is_due(model, *partition));
        for partition in &partitions {
            must::empty_slots(&mut self.layout, self.spread, *partition);
            // Successors in the same rack come first: they leave the spread as it is, others may not.
            let slots = self.layout.slots(*partition).len().min(model.replicas(*partition).len());
            let mut order: Vec<usize> = (0..slots).collect();
            order.sort_by_key(|slot| {
                let gone = model.replicas(*partition)[*slot];
                successors.get(&gone).is_none_or(|to| model.node(*to).rack != model.node(gone).rack)
            });
            for slot in order {
                self.succeed(*partition, slot, &successors);
            }
        }
        self.fill(partitions, &|_| true, None);
    }

    /// Gives an empty slot to the successor of its broker, where racks and disks allow that.
    fn succeed(&mut self, partition: usize, slot: usize, successors: &BTreeMap<u32, u32>) {
        let model = self.model;
        let gone = model.replicas(partition)[slot];
        let empty = self.layout.slots(partition)[slot] == EMPTY;
        let Some(successor) = successors.get(&gone).copied().filter(|_| empty) else { return };
        let rack = model.node(successor).rack;
        let mut counts = Vec::new();
        self.layout.by_rack(partition, &mut counts);
        let before = model.replicas(partition).iter().filter(|broker| model.node(**broker).rack == rack).count();
        let bounds = self.spread.bounds(model.partitions[partition].wanted);
        let most = bounds.most.get(rack).copied().unwrap_or(0);
        let missing: u32 = counts.iter().zip(&bounds.least).map(|(count, least)| least.saturating_sub(*count)).sum();
        let empty_slots = self.layout.slots(partition).iter().filter(|broker| **broker == EMPTY).count();
        let needed = bounds.least.get(rack).is_some_and(|least| counts[rack] < *least);
        let others_lack = rack != model.node(gone).rack && !needed && numbers::wide(missing) >= empty_slots;
        let why = if self.layout.holds(partition, successor) {
            "holds it already"
        } else if counts[rack] >= most.max(numbers::narrow(before)) {
            "stands in a rack that has enough replicas of it"
        } else if others_lack {
            "stands in another rack, and its own would have too few replicas of it"
        } else if !self.layout.has_room(partition, successor) {
            "has no room for it"
        } else {
            self.layout.set(partition, slot, successor);
            return;
        };
        let text = format!(
            "broker {}, the successor of {}, {why}: its replica goes elsewhere",
            model.node(successor).id,
            model.node(gone).id
        );
        self.notes.about(model, partition, (Severity::Advisory, "successor-unfit"), &text);
    }

    fn evacuate_leaders(&mut self, brokers: &BTreeSet<BrokerId>) {
        let model = self.model;
        let leaves = |broker: u32| brokers.contains(&model.node(broker).id);
        let leads = |partition: usize| model.replicas(partition).first().is_some_and(|broker| leaves(*broker));
        let stays = |broker: u32| model.node(broker).live && !leaves(broker);
        let due: Vec<bool> = (0..model.partitions.len()).map(leads).collect();
        for partition in (0..due.len()).filter(|partition| due[*partition]) {
            if let Some(stuck) = model.partitions[partition].stuck {
                self.notes.about(model, partition, (Severity::Blocking, stuck.code()), stuck.text());
                continue;
            }
            let slots = self.layout.slots(partition);
            let heir = (1..slots.len()).find(|slot| stays(slots[*slot]) && model.is_synced_on(partition, slots[*slot]));
            match heir {
                Some(heir) => self.layout.swap(partition, 0, heir),
                None => self.notes.about(
                    model,
                    partition,
                    (Severity::Advisory, "no-heir"),
                    "no other broker holds an in-sync replica, so its leadership stays: wait until one is in sync, or \
                     evacuate the data, too",
                ),
            }
        }
        let may_change = |partition: usize| due[partition] && self.layout.is_changed(partition);
        let changeable: Vec<bool> = (0..due.len()).map(may_change).collect();
        let rules = leaders::Rules { may_change: &|partition| changeable[partition], may_lead: &stays };
        let bounds = leaders::even(&mut self.layout, &rules);
        weigh::even(&mut self.layout, &rules, bounds);
    }

    /// Evens out the leaders of those partitions that `may` says.
    fn even_leaders(&mut self, may: impl Fn(&Layout<'_, '_>, usize) -> bool) {
        let model = self.model;
        let may_change = |partition: usize| !self.layout.is_frozen(partition) && may(&self.layout, partition);
        let changeable: Vec<bool> = (0..model.partitions.len()).map(may_change).collect();
        let rules = leaders::Rules {
            may_change: &|partition| changeable[partition],
            may_lead: &|broker| model.node(broker).open,
        };
        let bounds = leaders::even(&mut self.layout, &rules);
        weigh::even(&mut self.layout, &rules, bounds);
    }

    /// Evens out loads, and brings log dirs below their limit: of several log dirs of a broker first, since its load says
    /// nothing of them; then what evening out within racks could not.
    fn level(&mut self, takes: &dyn Fn(u32) -> bool) {
        let takes: Vec<bool> = (0..self.model.brokers.len()).map(|at| takes(numbers::narrow(at))).collect();
        let budget = Budget::of(self.model.goal);
        let relief = Relief { spread: self.spread, takes: &takes, budget, several_only: true };
        relief.run(&mut self.layout);
        self.even(&takes);
        Relief { several_only: false, ..relief }.run(&mut self.layout);
    }

    /// Evens out loads to what is asked for; or, where that breaks the budget, as far as the budget goes.
    fn even(&mut self, takes: &[bool]) {
        let before = self.layout.clone();
        let asked = Width::of(self.model);
        self.even_to(asked, takes, true);
        let Some(budget) = Budget::of(self.model.goal).filter(|budget| !budget.holds(&self.layout)) else { return };
        let whole = self.layout.clone();
        let (mut broken, mut kept) = (asked.amount(), band::widest(&before, asked).amount());
        let mut best = before.clone();
        for _ in 0..PROBES {
            if kept <= broken + 1 {
                break;
            }
            let probe = broken.midpoint(kept);
            self.layout = before.clone();
            self.even_to(asked.with(probe), takes, false);
            if budget.holds(&self.layout) {
                kept = probe;
                best.clone_from(&self.layout);
            } else {
                broken = probe;
            }
        }
        self.layout = best;
        if (0..self.model.partitions.len()).all(|partition| self.layout.slots(partition) == before.slots(partition))
            && let Some(bands) = band::bands(&before, asked).first()
        {
            self.layout = budget.pick(&before, &whole, bands);
            kept = band::widest(&self.layout, asked).amount();
        }
        let shown = |amount: u64| match asked {
            Width::Around(_) => format!("{:.1} %", numbers::percent(amount)),
            Width::Range(_) => Bytes(amount).to_string(),
        };
        let what = if matches!(asked, Width::Around(_)) { "tolerance" } else { "range" };
        let text = format!(
            "the budget allows a {what} of {} instead of {}: carry this plan out, then plan again",
            shown(kept),
            shown(asked.amount())
        );
        self.notes.add(Severity::Advisory, "budget-reached", "cluster".into(), text);
    }

    /// Evens out loads to bands of a width; where there is a choice of bands, to those that end best for the fewest bytes.
    fn even_to(&mut self, width: Width, takes: &[bool], refine: bool) {
        let before = self.layout.clone();
        let mut best: Option<((u128, u128), Layout<'_, '_>)> = None;
        for bands in band::bands(&before, width) {
            let mut layout = before.clone();
            let beside = Evener::new(&mut layout, bands, takes.to_vec()).run(refine);
            let cost = (beside, layout.added.iter().map(|bytes| u128::from(*bytes)).sum());
            if best.as_ref().is_none_or(|(known, _)| cost < *known) {
                best = Some((cost, layout));
            }
        }
        if let Some((_, layout)) = best {
            self.layout = layout;
        }
    }

    /// Fills empty slots, the heaviest partitions first: brokers that `may` allows and that stay below their ceilings
    /// come first, then any. Partitions that find no place stay as they are.
    fn fill(&mut self, mut partitions: Vec<usize>, may: &dyn Fn(u32) -> bool, ceilings: Option<Vec<u64>>) {
        let model = self.model;
        partitions.sort_by_key(|partition| (std::cmp::Reverse(model.partitions[*partition].weight), *partition));
        let mut preferred = Filler::new(&self.layout, self.spread, may);
        preferred.most = ceilings;
        partitions.retain(|partition| !preferred.fill(&mut self.layout, *partition));
        let mut anyone = Filler::new(&self.layout, self.spread, |_| true);
        for partition in partitions {
            if !anyone.fill(&mut self.layout, partition) {
                anyone.give_up(&mut self.layout, partition);
                self.notes.about(
                    model,
                    partition,
                    (Severity::Blocking, "no-place"),
                    "no allowed broker of a suitable rack has room for a replica, so it stays as it is: allow more \
                     brokers, free disks, or raise the disk limit",
                );
            }
        }
    }

    /// The selected partitions that may be touched; those that are due but may not be are refused by name.
    fn changeable(&mut self, is_due: impl Fn(&Model<'_>, usize) -> bool) -> Vec<usize> {
        let model = self.model;
        let mut partitions = Vec::new();
        for (partition, part) in model.partitions.iter().enumerate() {
            if let Some(stuck) = part.stuck {
                let due = is_due(model, partition) || must::is_due(model, partition);
                let severity = if due { Severity::Blocking } else { Severity::Advisory };
                self.notes.about(model, partition, (severity, stuck.code()), stuck.text());
            } else if let Some((code, text)) = self.impossible(partition) {
                self.notes.about(model, partition, (Severity::Blocking, code), &text);
                self.layout.freeze(partition);
            } else {
                partitions.push(partition);
            }
        }
        partitions
    }

    /// Why a desired number of replicas can't be, if so.
    fn impossible(&self, partition: usize) -> Option<(&'static str, String)> {
        let part = &self.model.partitions[partition];
        let brokers = self.spread.brokers();
        if part.wanted != part.len && part.wanted > numbers::wide(brokers) {
            let text = format!("{} replicas need as many brokers, and {brokers} may be used: allow more", part.wanted);
            return Some(("too-few-brokers", text));
        }
        if part.wanted < part.len && part.wanted < part.min_insync {
            let text = format!(
                "{} replicas are fewer than its min.insync.replicas of {}: producers with acks=all would fail; lower \
                 that first",
                part.wanted, part.min_insync
            );
            return Some(("min-insync", text));
        }
        (part.wanted == 0 || part.len == 0).then(|| ("no-replicas", "it has no replicas, or should have none".into()))
    }
}
