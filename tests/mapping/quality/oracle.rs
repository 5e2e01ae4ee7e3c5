//! Small clusters, solved exactly: no plan moves fewer bytes than the optimum, and ours comes near it.

use std::collections::BTreeMap;

use good_lp::Expression;
use good_lp::ProblemVariables;
use good_lp::Solution;
use good_lp::SolverModel;
use good_lp::Variable;
use good_lp::constraint;
use good_lp::microlp;
use good_lp::variable;
use kafka_toolbox::cluster::broker::BrokerId;
use kafka_toolbox::commands::mapping::observe::Observed;
use kafka_toolbox::commands::mapping::spec::goal::Goal;
use kafka_toolbox::commands::mapping::spec::goal::Operation;

use super::GB;
use super::clusters::Shape;
use super::measure::goal;
use super::measure::measured;

/// The fewest bytes that bring all brokers within the tolerance of the mean; none if that can't be. One rack.
#[expect(clippy::cast_precision_loss, reason = "sizes in GB")]
fn optimum(observed: &Observed, goal: &Goal) -> Option<f64> {
    let mut variables = ProblemVariables::new();
    let mut loads: BTreeMap<BrokerId, Expression> = BTreeMap::new();
    let mut moved = Expression::from(0.0);
    let mut sums: Vec<(Expression, f64)> = Vec::new();
    let mut total = 0.0;
    for partition in observed.topics.values().flat_map(|topic| &topic.partitions) {
        let gigabytes = partition.size() as f64 / GB as f64;
        let mut sum = Expression::from(0.0);
        for id in observed.brokers.keys() {
            let here: Variable = variables.add(variable().binary());
            *loads.entry(*id).or_default() += gigabytes * here;
            sum += here;
            if !partition.replicas.contains(id) {
                moved += gigabytes * here;
            }
        }
        total += gigabytes * partition.replicas.len() as f64;
        sums.push((sum, partition.replicas.len() as f64));
    }
    let mean = total / observed.brokers.len() as f64;
    let mut model = variables.minimise(moved.clone()).using(microlp);
    for (sum, replicas) in sums {
        model = model.with(constraint!(sum == replicas));
    }
    for load in loads.into_values() {
        model = model.with(constraint!(load.clone() <= mean * (1.0 + goal.tolerance)));
        model = model.with(constraint!(load >= mean * (1.0 - goal.tolerance)));
    }
    model.solve().ok().map(|solution| solution.eval(moved))
}

#[test]
#[expect(clippy::cast_precision_loss, reason = "sizes in GB")]
fn small_plans_come_near_the_optimum() {
    let (mut ours, mut best) = (0.0, 0.0);
    for seed in 1..=8 {
        let shape = Shape { racks: 1, replicas: vec![1], largest_gb: 8.0, ..Shape::new(4, 20, seed) };
        let observed = shape.make();
        let goal = goal(&observed, Operation::Rebalance, 0.15);
        let measured = measured(&goal, &observed);
        let found = measured.moved as f64 / GB as f64;
        let Some(optimum) = optimum(&observed, &goal) else { continue };
        assert!(measured.worst <= 0.15 + 1e-9, "seed {seed}: {:.3} off, although it can be done", measured.worst);
        assert!(found + 1e-6 >= optimum, "seed {seed}: {found} GB beats the optimum of {optimum} GB");
        (ours, best) = (ours + found, best + optimum);
    }
    assert!(best > 0.0 && ours <= best * 1.05, "{ours} GB moved, {best} GB would do");
}
