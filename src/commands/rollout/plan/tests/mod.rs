//! Decisions of a roll, and laws over whole rolls.

mod histories;
mod leaders;
mod recovery;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::commands::rollout::plan::record::Record;
use crate::commands::rollout::plan::standing::Standing;
use crate::commands::rollout::plan::{Next, PodSeen, Unit, left_out, next, not_back, order};

fn unit(id: i32) -> Unit {
    Unit {
        id,
        name: format!("broker {id}"),
        set: String::new(),
        is_done: false,
        standing: Standing::Complete,
        is_active: false,
        pod: None,
    }
}

fn out(id: i32) -> Unit {
    Unit { standing: Standing::Out("down".to_owned()), ..unit(id) }
}

fn behind(id: i32) -> Unit {
    Unit { standing: Standing::Behind("behind".to_owned()), ..unit(id) }
}

fn pod(id: i32, pod: PodSeen) -> Unit {
    Unit { pod: Some(PodSeen { uid: Some("u".to_owned()), is_ready: true, ..pod }), ..unit(id) }
}

#[test]
fn those_that_are_not_well_come_first_and_the_active_controller_last() {
    let active = Unit { is_active: true, ..unit(1) };
    let unready = Unit { pod: Some(PodSeen { uid: Some("u".to_owned()), ..PodSeen::default() }), ..unit(5) };
    let stuck = pod(6, PodSeen { stuck: Some("CrashLoopBackOff".to_owned()), ..PodSeen::default() });
    let units = [active, unit(3), unit(2), behind(4), unready, stuck];
    let ids: Vec<_> = order(&units).into_iter().map(|index| units[index].id).collect();
    assert_eq!(ids, [6, 4, 5, 2, 3, 1]);
}

#[test]
fn what_was_stopped_is_started_before_all_else_even_while_paused() {
    let units = [unit(1), out(2), unit(3)];
    assert_eq!(next(&units, Some(2), Some("by hand")), Next::Start(1));
    assert!(matches!(next(&units, None, Some("by hand")), Next::Wait(why) if why.contains("by hand")));
}

#[test]
fn a_restarted_server_is_waited_for_until_it_lacks_nothing() {
    let done = Unit { is_done: true, ..behind(1) };
    assert!(matches!(next(&[done, unit(2)], None, None), Next::Wait(why) if why.contains("not back")));
    let done = Unit { is_done: true, ..unit(1) };
    assert_eq!(next(&[done.clone(), unit(2)], None, None), Next::Try(1));
    assert_eq!(next(&[done], None, None), Next::Finished);
}

#[test]
fn a_second_server_that_is_out_stops_the_roll_until_it_is_back() {
    let done = Unit { is_done: true, ..unit(1) };
    assert!(matches!(next(&[done.clone(), out(2), unit(3)], None, None), Next::Wait(_)), "it may recover its log");
    assert!(matches!(next(&[behind(1), out(2)], None, None), Next::Wait(_)));
    assert_eq!(next(&[done, unit(2), unit(3)], None, None), Next::Try(1));
}

#[test]
fn a_stuck_pod_of_the_old_revision_is_replaced_and_one_of_the_new_revision_stops_the_roll() {
    let stuck = PodSeen { stuck: Some("ImagePullBackOff".to_owned()), ..PodSeen::default() };
    let old = Unit { standing: Standing::Out("down".to_owned()), ..pod(1, stuck) };
    assert_eq!(next(&[old.clone(), unit(2)], None, None), Next::Try(0));
    let new = Unit { is_done: true, ..old };
    assert!(matches!(next(&[new, unit(2)], None, None), Next::Wait(why) if why.contains("ImagePullBackOff")));
}

#[test]
fn a_set_that_is_stepped_goes_from_its_highest_ordinal_down() {
    let stepped = |id, ordinal| pod(id, PodSeen { stepped: Some(ordinal), ..PodSeen::default() });
    let units = [Unit { standing: Standing::Behind("x".to_owned()), ..stepped(1, 0) }, stepped(2, 1), stepped(3, 2)];
    assert_eq!(order(&units), [2]);
}

#[test]
fn a_pod_that_is_being_replaced_is_waited_for() {
    let leaving = pod(1, PodSeen { is_deleting: true, ..PodSeen::default() });
    assert!(matches!(next(&[leaving, unit(2)], None, None), Next::Wait(_)));
    let missing = Unit { pod: Some(PodSeen::default()), ..unit(1) };
    assert!(matches!(next(&[missing, unit(2)], None, None), Next::Wait(_)));
}

#[test]
fn a_record_goes_on_with_the_same_roll_and_begins_anew_for_another_revision() {
    let targets = BTreeSet::from([1, 2, 3]);
    let at = Timestamp::UNIX_EPOCH;
    let mut record = Record::of(None, "broker", Some("v2"), &targets);
    record.stopping(1, at);
    record.stopped();
    record.started(at);
    assert_eq!(record.done.keys().copied().collect::<Vec<_>>(), [1]);
    record.stopping(2, at);
    let kept = Record::of(Some(record.clone()), "broker", Some("v2"), &targets);
    assert_eq!(kept, record, "a run that was killed goes on");
    let other = Record::of(Some(record.clone()), "broker", Some("v3"), &targets);
    assert!(other.done.is_empty() && other.stopped == record.stopped, "what is stopped is started in any case");
    record.started(at);
    assert_eq!(record.done.len(), 1, "its stop command may not have run: it is restarted once more");
    record.is_complete = true;
    assert!(Record::of(Some(record.clone()), "broker", Some("v2"), &targets).is_complete);
    let grown = Record::of(Some(record.clone()), "broker", Some("v2"), &BTreeSet::from([1, 2, 3, 4]));
    assert!(!grown.is_complete && grown.done.len() == 1);
    let unnamed = Record { revision: None, ..record };
    assert!(
        Record::of(Some(unnamed), "broker", None, &targets).done.is_empty(),
        "without a name each roll is a new one"
    );
}

#[test]
fn a_roll_that_is_stopped_names_who_was_restarted_and_is_not_back_in_sync() {
    let none = BTreeMap::new();
    assert_eq!(left_out(&not_back(&none, &[unit(1), out(2)])), "No server is out because of this roll");
    let restarted = Unit { is_done: true, ..behind(2) };
    let left = not_back(&none, &[unit(1), restarted]);
    assert!(left_out(&left).starts_with("broker 2 was restarted and is not back in sync yet"), "{}", left_out(&left));
    // Its pod does not exist at this moment, so that no look has it; then it is back.
    assert_eq!(not_back(&left, &[unit(1)]), left);
    assert_eq!(not_back(&left, &[Unit { is_done: true, ..unit(2) }]), none);
}
