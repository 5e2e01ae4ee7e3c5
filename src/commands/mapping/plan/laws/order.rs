//! The same plan whatever the order of the input. (Threads play no part: planning is one thread's work.)

use proptest::prelude::*;
use serde_json::Value;

use super::goals;
use crate::commands::mapping::observe::Observed;
use crate::commands::mapping::plan::explain;
use crate::commands::mapping::plan::plan;
use crate::commands::mapping::plan::verify;

/// Throws the same dice again for the same seed.
struct Dice(u64);

impl Dice {
    /// Any order of so many things.
    fn order(&mut self, len: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..len).collect();
        for at in (1..len).rev() {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            order.swap(at, usize::try_from(self.0 >> 33).unwrap() % (at + 1));
        }
        order
    }

    fn shuffle<T: Clone>(&mut self, things: &mut [T]) {
        let before = things.to_vec();
        for (place, from) in self.order(things.len()).into_iter().enumerate() {
            things[place] = before[from].clone();
        }
    }

    /// Puts the fields of all objects into another order.
    fn shuffle_fields(&mut self, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                let mut all: Vec<_> = std::mem::take(fields).into_iter().collect();
                self.shuffle(&mut all);
                *fields = all.into_iter().collect();
                fields.values_mut().for_each(|value| self.shuffle_fields(value));
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.shuffle_fields(value)),
            _ => {}
        }
    }
}

/// The same cluster told in another order: brokers, topics, log dirs, lists that are sets.
fn told_otherwise(observed: &Observed, dice: &mut Dice) -> Observed {
    let mut observed = observed.clone();
    for (id, broker) in &mut observed.brokers {
        let order = dice.order(broker.log_dirs.len());
        broker.log_dirs = order.iter().map(|at| broker.log_dirs[*at].clone()).collect();
        for partition in observed.topics.values_mut().flat_map(|topic| &mut topic.partitions) {
            partition.log_dirs.resize(partition.replicas.len(), 0);
            for (dir, _) in partition.log_dirs.iter_mut().zip(&partition.replicas).filter(|(_, replica)| *replica == id)
            {
                *dir = order.iter().position(|at| at == dir).unwrap_or(*dir);
            }
        }
    }
    for partition in observed.topics.values_mut().flat_map(|topic| &mut topic.partitions) {
        dice.shuffle(&mut partition.out_of_sync);
    }
    let mut told = serde_json::to_value(&observed).unwrap();
    dice.shuffle_fields(&mut told);
    serde_json::from_str(&told.to_string()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_the_input_changes_no_word_of_a_plan((observed, goal) in goals(), seed in any::<u64>()) {
        let other = told_otherwise(&observed, &mut Dice(seed));
        let mapping = plan(&goal, &observed);
        prop_assert_eq!(&plan(&goal, &other), &mapping);
        prop_assert_eq!(verify(&goal, &other, &mapping), verify(&goal, &observed, &mapping));
        for one in &mapping.moves {
            let why = |observed: &Observed| explain(&goal, observed, &mapping, &one.partition);
            prop_assert_eq!(why(&other), why(&observed));
        }
    }
}
