//! Times of the record that a wrong clock wrote: they neither block for ever nor allow a change before the rest is over.

use jiff::SignedDuration;
use proptest::prelude::*;

use super::scene::{Scene, ago, config, id, now, words};
use crate::cluster::ensemble::desired::{CLOCKS_DIFFER, ChangeKind, Desired, DesiredState as _, Entry, Op};
use crate::cluster::ensemble::membership::ConfigVersion;
use crate::commands::ensemble::plan::guards::SETTLE;
use crate::commands::ensemble::plan::{Input, decide};

/// Servers 4 and 5 follow, and should vote.
fn growing() -> Scene {
    let mut scene = Scene::of(3);
    scene.size(5).joiner(4).joiner(5);
    scene
}

fn op(started_at: jiff::Timestamp) -> Op {
    Op {
        id: "op".to_owned(),
        kind: ChangeKind::Promote,
        target: id(4),
        from_version: ConfigVersion(0x1_0000_0000),
        before: config(1..=3).membership,
        after: config(1..=4).membership,
        is_leader: false,
        started_at,
    }
}

fn entry(at: jiff::Timestamp) -> Entry {
    Entry { at, kind: ChangeKind::Promote, target: id(3), version: ConfigVersion(1), is_leader: false }
}

/// What is decided so many seconds from now.
fn says_in(scene: &Scene, seconds: i64) -> String {
    let now = now() + SignedDuration::from_secs(seconds);
    let input = Input { desired: Some(&scene.desired), seen: &scene.seen, now, rest: SETTLE, is_strict: true };
    words(&decide(input).decision)
}

fn last(scene: &mut Scene) -> &mut jiff::Timestamp {
    &mut scene.desired.last_config.as_mut().unwrap().since
}

#[test]
fn a_last_change_in_the_future_is_waited_for_one_rest_from_the_pass_that_corrects_it() {
    let mut scene = growing();
    *last(&mut scene) = ago(-365 * 86_400);
    assert!(says_in(&scene, 3_600).starts_with("wait: "), "as it stands, it would be a year");
    scene.desired = scene.desired.without_future(now()).unwrap();
    assert_eq!(*last(&mut scene), now());
    assert!(says_in(&scene, 0).starts_with("wait: ") && says_in(&scene, 29).starts_with("wait: "));
    assert!(says_in(&scene, 30).starts_with("PROMOTE"), "{}", says_in(&scene, 30));
}

#[test]
fn an_open_change_that_began_in_the_future_is_settled_a_minute_after_it_was_corrected() {
    let mut scene = growing();
    scene.desired.op = Some(op(ago(-86_400)));
    assert!(says_in(&scene, 3_600).starts_with("wait: "), "as it stands, it would be a day");
    scene.desired = scene.desired.without_future(now()).unwrap();
    assert!(says_in(&scene, 59).starts_with("wait: "), "it may still be applied");
    assert!(says_in(&scene, 60).starts_with("PROMOTE"), "{}", says_in(&scene, 60));
}

#[test]
fn a_time_in_the_far_past_is_no_reason_to_wait() {
    let mut scene = growing();
    *last(&mut scene) = jiff::Timestamp::MIN;
    scene.desired.history = vec![entry(jiff::Timestamp::UNIX_EPOCH)];
    assert_eq!(scene.desired.without_future(now()), None);
    assert!(says_in(&scene, 0).starts_with("PROMOTE"), "{}", says_in(&scene, 0));
}

proptest! {
    /// Nothing but times changes, none lies in the future afterwards, those that were right stay, and once is enough.
    #[test]
    fn correcting_times_changes_nothing_else(
        since in -400_i64..400,
        began in -400_i64..400,
        done in proptest::collection::vec(-400_i64..400, 0..4),
        seen in -400_i64..400,
    ) {
        let mut desired = growing().desired.with_sightings(&[(id(4), ago(seen))].into());
        desired.last_config.as_mut().unwrap().since = ago(since);
        desired.op = Some(op(ago(began)));
        desired.history = done.iter().map(|seconds| entry(ago(*seconds))).collect();
        let times = |desired: &Desired| -> Vec<_> {
            let last = desired.last_config.iter().map(|last| last.since);
            let op = desired.op.iter().map(|op| op.started_at);
            let all = last.chain(op).chain(desired.history.iter().map(|entry| entry.at));
            all.chain(desired.sightings().into_values()).collect()
        };
        let is_wrong = |time: &jiff::Timestamp| time.duration_since(now()) > CLOCKS_DIFFER;
        let corrected = desired.without_future(now());
        prop_assert_eq!(corrected.is_some(), times(&desired).iter().any(is_wrong));
        if let Some(corrected) = corrected {
            for (before, after) in times(&desired).into_iter().zip(times(&corrected)) {
                prop_assert_eq!(after, if is_wrong(&before) { now() } else { before });
            }
            prop_assert_eq!(corrected.without_future(now()), None);
            let corrected = corrected.with_sightings(&desired.sightings());
            prop_assert_eq!((&corrected.members, corrected.size), (&desired.members, desired.size));
        }
    }
}
