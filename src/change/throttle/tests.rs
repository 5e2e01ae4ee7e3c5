//! Laws and cases of what is ours: nothing foreign is lost, nothing of ours is left, whatever dies when.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use uuid::Uuid;

use super::decide::{Decided, EXTERNAL_CHANGE, Ways, after, decide};
use super::list::LIST_BYTES_MAX;
use super::step::{ListOperation, ThrottleStep};
use crate::change::carry_out::{Ended, Run};
use crate::change::event::{Event, Outcome};
use crate::change::plan::Step;
use crate::change::settled::{Shown, Verdict, settled};
use crate::cluster::broker::BrokerId;
use crate::cluster::config::ConfigOperation;
use crate::cluster::size::ByteRate;
use crate::cluster::throttle::{
    OwnList, OwnRate, PresentList, PresentRate, PresentThrottles, Side, Sides, ThrottleEntry, ThrottleRecord, Throttles,
};
use crate::cluster::topic::TopicName;

fn topic(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

fn entries(text: &str) -> BTreeSet<ThrottleEntry> {
    text.split(',').filter(|part| !part.is_empty()).map(|part| part.parse().unwrap()).collect()
}

/// Brokers 1 to 3 without rates, topic `t` without lists.
fn bare() -> PresentThrottles {
    PresentThrottles {
        rates: (1..=3).map(|id| (BrokerId(id), Sides::default())).collect(),
        lists: BTreeMap::from([(topic("t"), Sides::default())]),
        gone: BTreeSet::new(),
    }
}

/// Broker 1 leads partition 0 of `t`, broker 3 gets a copy.
fn desired(rate: u64) -> Throttles {
    let mut desired = Throttles::default();
    desired.rates.insert(BrokerId(1), Sides { leader: Some(ByteRate(rate)), follower: None });
    desired.rates.insert(BrokerId(3), Sides { leader: None, follower: Some(ByteRate(rate)) });
    desired.lists.insert(topic("t"), Sides { leader: entries("0:1,0:2"), follower: entries("0:3") });
    desired
}

/// Does to the cluster what Kafka would.
fn carry_out(seen: &mut PresentThrottles, steps: &[ThrottleStep]) {
    for step in steps {
        let change = step.config_change();
        match step {
            ThrottleStep::Rates { broker, edits, .. } => {
                for (edit, (_, operation)) in edits.iter().zip(&change.operations) {
                    let rate = seen.rates.get_mut(broker).unwrap().of_mut(edit.side);
                    *rate = match operation {
                        ConfigOperation::Set(value) => PresentRate::Set(ByteRate(value.parse().unwrap())),
                        _ => PresentRate::Unset,
                    };
                }
            }
            ThrottleStep::Lists { topic, edits, .. } => {
                for (edit, (_, operation)) in edits.iter().zip(&change.operations) {
                    let list = seen.lists.get_mut(topic).unwrap().of_mut(edit.side);
                    let there = list.entries().cloned().unwrap_or_default();
                    *list = match operation {
                        ConfigOperation::Set(value) => PresentList::read(Some(value)),
                        ConfigOperation::Append(value) => {
                            assert_ne!(*list, PresentList::Every, "Kafka refuses to append to *");
                            PresentList::Entries(there.union(&entries(value)).copied().collect())
                        }
                        ConfigOperation::Subtract(value) => {
                            PresentList::Entries(there.difference(&entries(value)).copied().collect())
                        }
                        ConfigOperation::Delete => PresentList::Unset,
                    };
                }
            }
        }
    }
}

fn done(steps: &[ThrottleStep]) -> Vec<(ThrottleStep, Ended)> {
    steps.iter().map(|step| (step.clone(), Ended::done())).collect()
}

/// One look, the first so many of its steps (all if none is said), and the record afterwards.
fn pass(
    desired: &Throttles,
    seen: &mut PresentThrottles,
    record: &ThrottleRecord,
    upto: Option<usize>,
) -> ThrottleRecord {
    pass_with(Ways::default(), desired, (seen, record), upto)
}

fn pass_with(
    ways: Ways,
    desired: &Throttles,
    (seen, record): (&mut PresentThrottles, &ThrottleRecord),
    upto: Option<usize>,
) -> ThrottleRecord {
    let Decided { plan, claim } = decide(desired, seen, record, ways);
    let steps = &plan.steps[..upto.unwrap_or(plan.steps.len()).min(plan.steps.len())];
    carry_out(seen, steps);
    // A run that died keeps what it claimed, and nothing more.
    if upto.is_some() { claim } else { after(&claim, &done(steps)) }
}

#[test]
fn rates_come_first_and_go_last_and_nothing_is_left() {
    let mut seen = bare();
    let Decided { plan, claim } = decide(&desired(5), &seen, &ThrottleRecord::default(), Ways::default());
    let lines: Vec<_> = plan.steps.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "+ broker 1: leader rate 5 B/s",
            "+ broker 3: follower rate 5 B/s",
            "+ topic t: leader list 0:1,0:2; follower list 0:3"
        ]
    );
    carry_out(&mut seen, &plan.steps);
    let record = after(&claim, &done(&plan.steps));
    let Decided { plan, claim } = decide(&Throttles::default(), &seen, &record, Ways::default());
    let lines: Vec<_> = plan.steps.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "- topic t: leader list 0:1,0:2; follower list 0:3",
            "- broker 1: leader rate, 5 B/s",
            "- broker 3: follower rate, 5 B/s"
        ]
    );
    carry_out(&mut seen, &plan.steps);
    assert_eq!((seen, after(&claim, &done(&plan.steps)).is_empty()), (bare(), true));
}

#[test]
fn a_foreign_rate_is_restored_and_foreign_entries_stay() {
    let mut seen = bare();
    seen.rates.get_mut(&BrokerId(1)).unwrap().leader = PresentRate::Set(ByteRate(777));
    seen.rates.get_mut(&BrokerId(3)).unwrap().follower = PresentRate::Inherited(ByteRate(888));
    // One of ours is there already: it is not ours then.
    seen.lists.get_mut(&topic("t")).unwrap().leader = PresentList::Entries(entries("0:1,5:2"));
    let before = seen.clone();
    let record = pass(&desired(5), &mut seen, &ThrottleRecord::default(), None);
    assert_eq!(seen.lists[&topic("t")].leader, PresentList::Entries(entries("0:1,0:2,5:2")));
    assert_eq!(record.lists[&topic("t")].leader, Some(OwnList::Entries(entries("0:2"))));
    let record = pass(&Throttles::default(), &mut seen, &record, None);
    let mut expected = before;
    // Kafka inherits again once ours is gone; this model does not.
    expected.rates.get_mut(&BrokerId(3)).unwrap().follower = PresentRate::Unset;
    assert_eq!((seen, record.is_empty()), (expected, true));
}

#[test]
fn a_star_of_others_is_never_touched() {
    let mut seen = bare();
    *seen.lists.get_mut(&topic("t")).unwrap() = Sides { leader: PresentList::Every, follower: PresentList::Every };
    let lists = seen.lists.clone();
    let record = pass(&desired(5), &mut seen, &ThrottleRecord::default(), None);
    assert_eq!((&seen.lists, record.lists.len()), (&lists, 0));
    pass(&Throttles::default(), &mut seen, &record, None);
    assert_eq!(seen.lists, lists);
}

#[test]
fn a_rate_that_somebody_changed_is_set_again_or_left_to_them() {
    let mut seen = bare();
    let record = pass(&desired(5), &mut seen, &ThrottleRecord::default(), None);
    seen.rates.get_mut(&BrokerId(1)).unwrap().leader = PresentRate::Set(ByteRate(99));
    let Decided { plan, .. } = decide(&desired(5), &seen, &record, Ways::default());
    assert_eq!(plan.warnings[0].finding.as_ref().unwrap().kind, EXTERNAL_CHANGE);
    assert_eq!(plan.warnings[0].text, "the leader rate of broker 1 was changed from 5 B/s to 99 B/s: it is set again");
    assert_eq!(plan.steps[0].to_string(), "~ broker 1: leader rate 99 B/s -> 5 B/s");
    let respects = Ways { reasserts: false, ..Ways::default() };
    let Decided { plan, claim } = decide(&desired(5), &seen, &record, respects);
    assert_eq!((plan.steps.len(), plan.warnings.len()), (0, 1));
    let Decided { plan, claim } = decide(&Throttles::default(), &seen, &claim, respects);
    assert!(plan.steps.iter().all(|step| step.subject() != "broker:1"), "{plan:?}");
    carry_out(&mut seen, &plan.steps);
    assert!(after(&claim, &done(&plan.steps)).is_empty());
    assert_eq!(seen.rates[&BrokerId(1)].leader, PresentRate::Set(ByteRate(99)));
}

#[test]
fn a_broker_that_is_down_is_cleaned_when_it_is_back() {
    let mut seen = bare();
    let record = pass(&desired(5), &mut seen, &ThrottleRecord::default(), None);
    let down = seen.rates.remove(&BrokerId(3)).unwrap();
    let Decided { plan, claim } = decide(&Throttles::default(), &seen, &record, Ways::default());
    assert_eq!(plan.warnings[0].text, "broker 3 can't be reached: its throttle stays until it is back");
    carry_out(&mut seen, &plan.steps);
    let record = after(&claim, &done(&plan.steps));
    assert_eq!(record.rates.keys().collect::<Vec<_>>(), [&BrokerId(3)]);
    seen.rates.insert(BrokerId(3), down);
    let record = pass(&Throttles::default(), &mut seen, &record, None);
    assert_eq!((seen, record.is_empty()), (bare(), true));
}

#[test]
fn a_rate_that_kafka_hides_is_left_alone_unless_it_is_ours() {
    let mut seen = bare();
    seen.rates.get_mut(&BrokerId(1)).unwrap().leader = PresentRate::Hidden;
    let Decided { plan, claim } = decide(&desired(5), &seen, &ThrottleRecord::default(), Ways::default());
    assert!(plan.steps.iter().all(|step| step.subject() != "broker:1"));
    assert!(!claim.rates.contains_key(&BrokerId(1)) && plan.warnings[0].text.contains("does not tell"));
    let own = OwnRate { set: Some(ByteRate(5)), ..OwnRate::default() };
    let record = ThrottleRecord {
        rates: BTreeMap::from([(BrokerId(1), Sides { leader: Some(own), follower: None })]),
        ..ThrottleRecord::default()
    };
    let steps = |desired| decide(&desired, &seen, &record, Ways::default()).plan.steps;
    assert!(steps(desired(5)).iter().all(|step| step.subject() != "broker:1"));
    assert_eq!(steps(desired(6))[0].to_string(), "~ broker 1: leader rate 5 B/s -> 6 B/s");
    assert_eq!(steps(Throttles::default())[0].to_string(), "- broker 1: leader rate, 5 B/s");
}

#[test]
fn a_topic_that_was_deleted_is_forgotten() {
    let mut seen = bare();
    let record = pass(&desired(5), &mut seen, &ThrottleRecord::default(), None);
    seen.lists.clear();
    seen.gone.insert(topic("t"));
    assert!(pass(&Throttles::default(), &mut seen, &record, None).is_empty());
}

#[test]
fn an_empty_list_that_we_left_behind_is_unset() {
    let mut seen = bare();
    let record = pass(&desired(5), &mut seen, &ThrottleRecord::default(), None);
    seen.lists.get_mut(&topic("t")).unwrap().follower = PresentList::Entries(BTreeSet::new());
    let Decided { plan, .. } = decide(&Throttles::default(), &seen, &record, Ways::default());
    let ThrottleStep::Lists { edits, .. } = &plan.steps[0] else { panic!("{plan:?}") };
    assert_eq!(edits[1].operation, ListOperation::Unset(BTreeSet::new()));
}

fn some_entries() -> impl Strategy<Value = BTreeSet<ThrottleEntry>> {
    let entry = (0..3_i32, 1..4_i32).prop_map(|(partition, id)| ThrottleEntry { partition, broker: BrokerId(id) });
    prop::collection::btree_set(entry, 0..5)
}

fn some_desired() -> impl Strategy<Value = Throttles> {
    let rate = || prop::option::of((1..6_u64).prop_map(ByteRate));
    let sides = (rate(), rate()).prop_map(|(leader, follower)| Sides { leader, follower });
    let rates = prop::collection::btree_map((1..4).prop_map(BrokerId), sides, 0..4);
    let lists = (some_entries(), some_entries()).prop_map(|(leader, follower)| Sides { leader, follower });
    let lists = prop::collection::btree_map(prop::sample::select(vec![topic("t"), topic("u")]), lists, 0..3);
    (rates, lists).prop_map(|(rates, lists)| Throttles { rates, lists })
}

fn some_present() -> impl Strategy<Value = PresentThrottles> {
    let rate =
        || prop_oneof![3 => Just(PresentRate::Unset), 1 => (100..104_u64).prop_map(|n| PresentRate::Set(ByteRate(n)))];
    let list = || {
        prop_oneof![
            3 => Just(PresentList::Unset),
            1 => Just(PresentList::Every),
            2 => some_entries().prop_filter("lists of others are not empty", |list| !list.is_empty()).prop_map(PresentList::Entries)
        ]
    };
    let sides = (rate(), rate()).prop_map(|(leader, follower)| Sides { leader, follower });
    let lists = (list(), list()).prop_map(|(leader, follower)| Sides { leader, follower });
    (prop::collection::vec(sides, 3), prop::collection::vec(lists, 2)).prop_map(|(rates, lists)| PresentThrottles {
        rates: (1..).map(BrokerId).zip(rates).collect(),
        lists: [topic("t"), topic("u")].into_iter().zip(lists).collect(),
        gone: BTreeSet::new(),
    })
}

/// Lists that may be short, or as long as Kafka takes.
fn some_ways() -> impl Strategy<Value = Ways> {
    prop::sample::select(vec![0, 7, 11, LIST_BYTES_MAX])
        .prop_map(|list_bytes_max| Ways { list_bytes_max, ..Ways::default() })
}

#[derive(Debug, Clone)]
enum Deed {
    /// A change of ours, after how many steps the run dies, and whether it sets changed rates again.
    Ours(Throttles, Option<usize>, bool),
    /// Somebody else sets a rate.
    Theirs(BrokerId, Side, ByteRate),
}

fn some_deed() -> impl Strategy<Value = Deed> {
    let ours = (some_desired(), prop::option::of(0..5_usize), any::<bool>());
    let theirs = ((1..4_i32), prop::sample::select(Side::BOTH.to_vec()), 200..204_u64);
    prop_oneof![
        ours.prop_map(|(desired, dies_after, reasserts)| Deed::Ours(desired, dies_after, reasserts)),
        theirs.prop_map(|(broker, side, rate)| Deed::Theirs(BrokerId(broker), side, ByteRate(rate))),
    ]
}

#[test]
fn a_list_of_six_thousand_partitions_becomes_a_star_and_goes_again() {
    let mut seen = bare();
    seen.lists.get_mut(&topic("t")).unwrap().leader = PresentList::Entries(entries("7000:2"));
    let before = seen.clone();
    let entry = |broker| move |partition| ThrottleEntry { partition, broker: BrokerId(broker) };
    let mut wide = desired(5);
    let sides = Sides { leader: (0..6_000).map(entry(1)).collect(), follower: (0..6_000).map(entry(3)).collect() };
    wide.lists.insert(topic("t"), sides);
    let Decided { plan, .. } = decide(&wide, &seen, &ThrottleRecord::default(), Ways::default());
    assert_eq!(
        plan.steps[2].to_string(),
        "+ topic t: leader list * (for 6000 entries); follower list * (for 6000 entries)"
    );
    assert!(plan.warnings[0].text.contains("the leader list of topic t would have 6000 entries"), "{plan:?}");
    let record = pass(&wide, &mut seen, &ThrottleRecord::default(), None);
    assert_eq!(seen.lists[&topic("t")], Sides { leader: PresentList::Every, follower: PresentList::Every });
    // A run that dies keeps this as text, and a record of an older toolbox is read as well.
    let text = serde_json::to_string(&record).unwrap();
    assert_eq!(serde_json::from_str::<ThrottleRecord>(&text).unwrap(), record);
    let old = r#"{"run_id":"","owner":"","changed_at":"","rates":{},"lists":{"t":{"leader":["0:1"],"follower":null}}}"#;
    let old = serde_json::from_str::<ThrottleRecord>(old).unwrap();
    assert_eq!(old.lists[&topic("t")].leader, Some(OwnList::Entries(entries("0:1"))));
    // It stays a star while fewer move, so that it is not written again and again.
    let settled = pass(&desired(5), &mut seen, &record, None);
    assert_eq!(settled.lists, record.lists);
    let record = pass(&Throttles::default(), &mut seen, &record, None);
    assert_eq!((seen, record.is_empty()), (before, true));
}

#[test]
fn a_step_is_not_sent_over_what_somebody_set_since_it_was_decided() {
    let mut seen = bare();
    let Decided { plan, claim } = decide(&desired(5), &seen, &ThrottleRecord::default(), Ways::default());
    assert!(plan.steps.iter().all(|step| step.relies_on_what_is_there() && step.overtaken(&seen).is_none()));
    seen.rates.get_mut(&BrokerId(1)).unwrap().leader = PresentRate::Set(ByteRate(99));
    seen.lists.get_mut(&topic("t")).unwrap().follower = PresentList::Every;
    let overtaken: Vec<_> = plan.steps.iter().map(|step| step.overtaken(&seen)).collect();
    assert_eq!(overtaken[0].as_deref(), Some("the leader rate of broker 1 is 99 B/s since a moment ago"));
    assert_eq!(overtaken[1], None);
    assert_eq!(overtaken[2].as_deref(), Some("the follower list of topic t was changed a moment ago"));
    // What is ours already is changed without another look; before it is taken away, there is one.
    seen = bare();
    carry_out(&mut seen, &plan.steps);
    let record = after(&claim, &done(&plan.steps));
    let changes = decide(&desired(6), &seen, &record, Ways::default()).plan.steps;
    assert!(!changes.is_empty() && !changes.iter().any(ThrottleStep::relies_on_what_is_there));
    let releases = decide(&Throttles::default(), &seen, &record, Ways::default()).plan.steps;
    assert!(releases.iter().all(ThrottleStep::relies_on_what_is_there));
}

proptest! {
    /// Whatever was there before, whatever was desired meanwhile, how short lists have to be, and wherever runs died: at
    /// the end all is as before.
    #[test]
    fn it_ends_as_it_began(
        before in some_present(),
        passes in prop::collection::vec((some_desired(), prop::option::of(0..5_usize), some_ways()), 0..6),
    ) {
        let (mut seen, mut record) = (before.clone(), ThrottleRecord::default());
        for (desired, dies_after, ways) in &passes {
            record = pass_with(*ways, desired, (&mut seen, &record), *dies_after);
        }
        record = pass(&Throttles::default(), &mut seen, &record, None);
        prop_assert_eq!(&seen, &before);
        prop_assert!(record.is_empty() || pass(&Throttles::default(), &mut seen, &record, None).is_empty());
    }

    /// What somebody else set last on a broker, before us or at any time while we worked, is there when we have left.
    #[test]
    fn the_last_foreign_rate_is_never_lost(
        before in some_present(),
        deeds in prop::collection::vec(some_deed(), 0..10),
    ) {
        let (mut seen, mut record) = (before.clone(), ThrottleRecord::default());
        let mut theirs = before.rates;
        for deed in deeds {
            match deed {
                Deed::Ours(desired, dies_after, reasserts) => {
                    let ways = Ways { reasserts, ..Ways::default() };
                    record = pass_with(ways, &desired, (&mut seen, &record), dies_after);
                }
                Deed::Theirs(broker, side, rate) => {
                    for rates in [&mut seen.rates, &mut theirs] {
                        *rates.get_mut(&broker).unwrap().of_mut(side) = PresentRate::Set(rate);
                    }
                }
            }
        }
        record = pass(&Throttles::default(), &mut seen, &record, None);
        prop_assert_eq!(&seen.rates, &theirs);
        prop_assert!(record.rates.is_empty());
    }

    /// A second look at the same desired throttles finds nothing to do, and they are in force.
    #[test]
    fn it_settles(before in some_present(), desired in some_desired(), ways in some_ways()) {
        let mut seen = before;
        let record = pass_with(ways, &desired, (&mut seen, &ThrottleRecord::default()), None);
        for (broker, sides) in &desired.rates {
            for side in Side::BOTH {
                if let Some(rate) = sides.of(side) {
                    prop_assert_eq!(*seen.rates[broker].of(side), PresentRate::Set(*rate));
                }
            }
        }
        for (topic, sides) in &desired.lists {
            for side in Side::BOTH {
                let there = seen.lists[topic].of(side);
                let holds = there.entries().is_some_and(|there| sides.of(side).is_subset(there));
                prop_assert!(sides.of(side).is_empty() || *there == PresentList::Every || holds);
            }
        }
        let Decided { plan, claim } = decide(&desired, &seen, &record, ways);
        prop_assert!(plan.steps.is_empty(), "{:?}", plan.steps);
        prop_assert_eq!(claim, record);
    }

    /// What a run that died left open is settled by what is there: not done before a step, done after it.
    #[test]
    fn a_step_shows_whether_it_was_done(
        before in some_present(),
        all_desired in prop::collection::vec((some_desired(), some_ways()), 1..4),
    ) {
        let (mut seen, mut record) = (before, ThrottleRecord::default());
        let run = Run {
            id: Uuid::nil(),
            cluster: "main".to_owned(),
            cluster_id: None,
            actor: "ann".to_owned(),
            command: "throttle run".to_owned(),
            clock: || jiff::Timestamp::UNIX_EPOCH,
        };
        for (desired, ways) in &all_desired {
            let Decided { plan, claim } = decide(desired, &seen, &record, *ways);
            for step in &plan.steps {
                let (before, after) = step.before_after();
                let intent = run.event(step.kind(), &step.subject(), Outcome::Planned, "").cleaned();
                let intent = Event { before, after, ..intent }.cleaned();
                let settled = |seen: &PresentThrottles| {
                    settled(&intent, &Shown { throttles: seen.clone(), ..Shown::default() })
                };
                prop_assert_eq!(settled(&seen), Verdict::Ended(Ended::settled(false)), "{}: {:?}", step, seen);
                carry_out(&mut seen, std::slice::from_ref(step));
                prop_assert_eq!(settled(&seen), Verdict::Ended(Ended::settled(true)), "{}: {:?}", step, seen);
            }
            record = after(&claim, &done(&plan.steps));
        }
    }
}
