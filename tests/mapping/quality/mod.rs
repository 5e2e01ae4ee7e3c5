//! How good plans are: bytes moved against what any plan must move, and against the optimum where that can be computed.

mod clusters;
mod hard;
mod measure;
mod oracle;
mod tightness;

use kafka_toolbox::commands::mapping::plan;
use kafka_toolbox::commands::mapping::spec::goal::Goal;
use kafka_toolbox::commands::mapping::spec::goal::Operation;

use clusters::Shape;
use measure::Measured;
use measure::goal;
use measure::measured;

/// A thousand million bytes.
const GB: u64 = 1_000_000_000;

/// Asserts that all brokers are within the tolerance, and bytes moved within `ratio` of the lower bound.
#[expect(clippy::cast_precision_loss, reason = "compared with a tolerance")]
fn assert_good(name: &str, goal: &Goal, measured: &Measured, ratio: f64) {
    let found = measured.moved as f64 / measured.least.max(1.0);
    assert!(measured.worst <= goal.tolerance + 1e-9, "{name}: a broker is {:.4} off", measured.worst);
    assert!(found <= ratio || measured.moved == 0, "{name}: {found:.4} of the lower bound moved");
}

#[test]
fn random_clusters_are_evened_out_with_hardly_more_bytes_than_any_plan_needs() {
    for (brokers, partitions, seeds) in [(30, 1_000, 1..=5), (100, 10_000, 1..=1)] {
        for seed in seeds {
            let observed = Shape::new(brokers, partitions, seed).make();
            let goal = Goal { leaders: true, ..goal(&observed, Operation::Rebalance, 0.05) };
            let measured = measured(&goal, &observed);
            assert_good(&format!("{brokers}/{partitions}, seed {seed}"), &goal, &measured, 1.02);
            assert!(measured.leader_range <= 1, "leaders differ by {}", measured.leader_range);
            assert_eq!(plan::plan(&goal, &measured.after).moves, [], "a second plan finds nothing to do");
        }
    }
}
