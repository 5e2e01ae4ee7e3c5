//! Ours against topicmappr at topicmappr's own tightness: the range that it left on clusters that began as uneven.
//!
//! What topicmappr did was measured with its defaults: on 30 brokers with 1,000 partitions a range of 1,766 GB became one of
//! 1,086 GB for 2,007 GB moved; 100 brokers with 10,000: 968 to 484 GB for 5,752 GB; 300 brokers with 30,000: 1,308 to
//! 450 GB for 14,630 GB. Random clusters begin with all kinds of ranges, so the seeds here are those whose range is nearest
//! to the one that topicmappr began with; those of 300 brokers the nearest five of 870. In two of these five no plan can
//! move less than 7,599 and 7,972 GB, as the table shows; in the others ours keeps to 7,500 GB.

use std::collections::BTreeMap;
use std::fmt::Write;

use kafka_toolbox::commands::mapping::observe::Observed;
use kafka_toolbox::commands::mapping::spec::goal::Goal;
use kafka_toolbox::commands::mapping::spec::goal::Operation;

use super::GB;
use super::clusters::Shape;
use super::clusters::loads;
use super::measure::goal;
use super::measure::measured;

/// What topicmappr left and moved on a cluster of a size, what we may move at most, and seeds of such clusters.
struct Rival {
    brokers: i32,
    partitions: usize,
    range: u64,
    moved: u64,
    at_most: u64,
    seeds: &'static [u64],
}

const RIVALS: &[Rival] = &[
    Rival {
        brokers: 30,
        partitions: 1_000,
        range: 1_086,
        moved: 2_007,
        at_most: 1_000,
        seeds: &[896, 1181, 1303, 1675, 2151],
    },
    Rival { brokers: 100, partitions: 10_000, range: 484, moved: 5_752, at_most: 1_700, seeds: &[3, 12, 71, 85, 140] },
    Rival {
        brokers: 300,
        partitions: 30_000,
        range: 450,
        moved: 14_630,
        at_most: 7_500,
        seeds: &[3, 85, 480, 496, 586],
    },
];

/// Bytes that any plan for a range must move where each rack keeps what it holds: in the window that makes it least, what
/// is above it or below it, whichever is more.
fn least(observed: &Observed, range: u64) -> u64 {
    let loads = loads(observed);
    let mut racks: BTreeMap<_, Vec<u64>> = BTreeMap::new();
    for (id, load) in &loads {
        racks.entry(&observed.brokers[id].rack).or_default().push(*load);
    }
    let of_rack = |loads: &Vec<u64>, low: u64| -> u64 {
        let above: u64 = loads.iter().map(|load| load.saturating_sub(low + range)).sum();
        let below: u64 = loads.iter().map(|load| low.saturating_sub(*load)).sum();
        above.max(below)
    };
    let most = loads.values().max().copied().unwrap_or(0) / (GB / 4);
    let places = (0..=most).map(|quarter| quarter * (GB / 4));
    places.map(|low| racks.values().map(|loads| of_rack(loads, low)).sum()).min().unwrap_or(0)
}

fn range(observed: &Observed) -> u64 {
    let loads = loads(observed);
    loads.values().max().unwrap() - loads.values().min().unwrap()
}

#[test]
#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
fn at_the_tightness_of_topicmappr_hardly_more_moves_than_any_plan_needs() {
    let mut table = String::from(
        "brokers partitions seed | range GB: from to | moved GB: topicmappr at most least ours | ours / least\n",
    );
    for rival in RIVALS {
        for seed in rival.seeds {
            let observed = Shape::new(rival.brokers, rival.partitions, *seed).make();
            let goal = Goal { range: Some(rival.range * GB), ..goal(&observed, Operation::Rebalance, 0.05) };
            let measured = measured(&goal, &observed);
            let name = format!("{} brokers, seed {seed}", rival.brokers);
            let least = least(&observed, rival.range * GB);
            let ratio = measured.moved as f64 / least as f64;
            assert!(measured.range <= rival.range * GB, "{name}: a range of {} GB is left", measured.range / GB);
            assert!(ratio <= 1.02, "{name}: {ratio:.4} of the lower bound moved");
            // Where even the lower bound is above it, no plan can keep to it.
            assert!(
                measured.moved <= (rival.at_most * GB).max(least * 102 / 100),
                "{name}: {} GB",
                measured.moved / GB
            );
            let (before, after) = (range(&observed) / GB, measured.range / GB);
            let (theirs, limit, least, ours) = (rival.moved, rival.at_most, least / GB, measured.moved / GB);
            let head = format!("{:7} {:10} {seed:4}", rival.brokers, rival.partitions);
            writeln!(table, "{head} | {before:14} {after:4} | {theirs:20} {limit:7} {least:5} {ours:4} | {ratio:.3}")
                .unwrap();
        }
    }
    insta::assert_snapshot!(table);
}
