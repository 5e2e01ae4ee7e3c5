//! Why a partition moves, or stays where it is.

use super::Mapping;
use super::layout::Layout;
use super::model::Model;
use super::spread::Spread;
use crate::cluster::assignment::PartitionMove;
use crate::cluster::broker::BrokerId;
use crate::cluster::size::Bytes;
use crate::cluster::topic::TopicPartition;
use crate::commands::mapping::observe::Observed;
use crate::commands::mapping::spec::goal::{Goal, Operation};

/// Sentences that say why a partition moves as planned, or why it stays.
pub fn explain(goal: &Goal, observed: &Observed, mapping: &Mapping, partition: &TopicPartition) -> Vec<String> {
    let model = Model::new(goal, observed);
    let found = model.partitions.iter().position(|part| part.name() == *partition);
    let Some(at) = found else {
        let exists = observed.topics.contains_key(&partition.topic);
        return vec![match (exists, goal.topics.contains(&partition.topic)) {
            (false, _) => format!("the cluster has no topic {}", partition.topic),
            (true, true) => format!("topic {} has no partition {}", partition.topic, partition.partition),
            (true, false) => format!("topic {} was not selected, so none of its partitions move", partition.topic),
        }];
    };
    let why = Why { model: &model, spread: Spread::new(&model), at };
    let mut sentences = vec![why.facts()];
    match mapping.moves.iter().find(|one| one.partition == *partition) {
        Some(one) => sentences.extend(why.moves(one, mapping)),
        None => sentences.push(why.stays()),
    }
    sentences
}

struct Why<'w, 'a> {
    model: &'w Model<'a>,
    spread: Spread,
    at: usize,
}

impl Why<'_, '_> {
    fn facts(&self) -> String {
        let part = &self.model.partitions[self.at];
        let replicas = self.model.replicas(self.at).iter().zip(self.model.synced(self.at)).map(|(broker, synced)| {
            let node = self.model.node(*broker);
            let rack = self.model.racks[node.rack].as_ref().map_or(String::new(), |rack| format!(" in {rack}"));
            let state = if !node.live {
                ", gone"
            } else if *synced {
                ""
            } else {
                ", out of sync"
            };
            format!("{}{rack}{state}", node.id)
        });
        let replicas: Vec<_> = replicas.collect();
        let size = if self.model.by_count { "an unknown size".to_owned() } else { Bytes(part.bytes).to_string() };
        let on =
            if part.len == 1 { "its only replica".to_owned() } else { format!("each of its {} replicas", part.len) };
        format!("{} has {size} on {on}: {}", part.name(), replicas.join("; "))
    }

    fn moves(&self, one: &PartitionMove, mapping: &Mapping) -> Vec<String> {
        let mut sentences = Vec::new();
        let after = self.loads_after(mapping);
        for gone in one.removing() {
            sentences.push(self.why_off(gone, one, &after));
        }
        for new in one.adding() {
            sentences.push(self.why_on(new, &after));
        }
        if one.from.first() != one.to.first() {
            let leader = one.to.first().map(ToString::to_string).unwrap_or_default();
            let why = self.why_led(one);
            sentences.push(format!("broker {leader} becomes its preferred leader, {why}"));
        }
        sentences
    }

    fn why_led(&self, one: &PartitionMove) -> String {
        let before = one.from.first().copied();
        match (&self.model.goal.operation, before) {
            (Operation::Evacuate { brokers, leaders_only: true }, Some(before)) if brokers.contains(&before) => {
                format!("because broker {before} should lead nothing")
            }
            (_, Some(before)) if !one.to.contains(&before) => {
                format!("because broker {before}, which was, gives it away")
            }
            _ => "so that leaders are even".to_owned(),
        }
    }

    fn why_off(&self, id: BrokerId, one: &PartitionMove, after: &Layout<'_, '_>) -> String {
        let Some(at) = self.index(id) else { return format!("broker {id} is not known") };
        let node = &self.model.brokers[at];
        if !node.live {
            return format!("broker {id} is gone");
        }
        if node.leaving {
            return format!("broker {id} should hold none of these topics afterwards");
        }
        if one.to.len() < one.from.len() {
            return format!("broker {id} gives up its replica: {} are wanted", one.to.len());
        }
        format!(
            "broker {id} gives it away: it goes from {} to {}",
            self.load(self.model.load[at]),
            self.load(after.load[at])
        )
    }

    fn why_on(&self, id: BrokerId, after: &Layout<'_, '_>) -> String {
        let Some(at) = self.index(id) else { return format!("broker {id} is not known") };
        let rack = self.model.racks[self.model.brokers[at].rack].as_ref();
        let rack = rack.map_or(String::new(), |rack| format!(" in {rack}"));
        format!(
            "broker {id}{rack} takes it: it goes from {} to {}",
            self.load(self.model.load[at]),
            self.load(after.load[at])
        )
    }

    fn stays(&self) -> String {
        let part = &self.model.partitions[self.at];
        if let Some(stuck) = part.stuck {
            return format!("it stays: {}", stuck.text());
        }
        if let Some(untouched) = self.untouched() {
            return format!("it stays: {untouched}");
        }
        let mut counts = vec![0_u32; self.model.racks.len()];
        for broker in self.model.replicas(self.at) {
            counts[self.model.node(*broker).rack] += 1;
        }
        let bounds = self.spread.bounds(part.wanted);
        let legal = counts.iter().zip(&bounds.most).all(|(count, most)| count <= most)
            && counts.iter().zip(&bounds.least).all(|(count, least)| count >= least);
        let racks =
            if legal { "its racks are as spread as they can be" } else { "its racks could be more spread: rebuild" };
        match self.model.goal.operation {
            Operation::Rebalance | Operation::Scale => format!(
                "it stays: nothing forces it to move, {racks}, and the goal is met with fewer bytes by moving others"
            ),
            _ => format!("it stays: nothing forces it to move, and {racks}"),
        }
    }

    /// Why a verb that empties brokers has nothing to do with it, if so.
    fn untouched(&self) -> Option<&'static str> {
        let ids: Vec<_> = self.model.replicas(self.at).iter().map(|broker| self.model.node(*broker).id).collect();
        match &self.model.goal.operation {
            Operation::Evacuate { brokers, leaders_only: true } => {
                let leads = ids.first().is_some_and(|id| brokers.contains(id));
                (!leads).then_some("none of the brokers that should lead nothing is its preferred leader")
            }
            Operation::Evacuate { brokers, leaders_only: false } => {
                let is_held = ids.iter().any(|id| brokers.contains(id));
                (!is_held).then_some("none of its replicas is on a broker that is emptied")
            }
            Operation::Replace { pairs } => {
                let is_held = ids.iter().any(|id| pairs.contains_key(id));
                (!is_held).then_some("none of its replicas is on a broker that is replaced")
            }
            _ => None,
        }
    }

    fn load(&self, load: u64) -> String {
        if self.model.by_count { format!("{load} replicas") } else { Bytes(load).to_string() }
    }

    fn index(&self, id: BrokerId) -> Option<usize> {
        self.model.brokers.binary_search_by_key(&id, |node| node.id).ok()
    }

    /// The loads that a mapping ends with.
    fn loads_after(&self, mapping: &Mapping) -> Layout<'_, '_> {
        let mut layout = Layout::new(self.model);
        let weight = |one: &PartitionMove| if self.model.by_count { 1 } else { one.bytes };
        for one in &mapping.moves {
            for at in one.adding().filter_map(|id| self.index(id)) {
                layout.load[at] = layout.load[at].saturating_add(weight(one));
            }
            for at in one.removing().filter_map(|id| self.index(id)) {
                layout.load[at] = layout.load[at].saturating_sub(weight(one));
            }
        }
        layout
    }
}
