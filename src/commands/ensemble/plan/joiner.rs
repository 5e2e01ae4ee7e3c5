//! Guard I5: a server that should become a member follows, belongs to this ensemble, and has the data.

use crate::cluster::ensemble::desired::ChangeKind;
use crate::cluster::ensemble::view::{Answer, CatchUp, Mode, ServerView};
use crate::commands::ensemble::plan::change::Change;
use crate::commands::ensemble::plan::code::Code;
use crate::commands::ensemble::plan::guards::{Check, Ground, Guard, judged, unmeasured};
use crate::commands::ensemble::plan::table::{SAMPLES_MIN, is_caught_up};

/// The guard; none for a change that adds nobody.
pub fn caught_up(change: &Change, ground: Ground<'_>) -> Option<Check> {
    let is_joining = matches!(change.kind, ChangeKind::Replace | ChangeKind::Promote | ChangeKind::Observe);
    if !is_joining {
        return None;
    }
    let refused = |numbers: String| Some(judged(Guard::I5, false, Code::NotCaughtUp, numbers));
    let id = change.target;
    let Some(view) = ground.seen.servers.get(&id) else { return refused(format!("server {id} was not looked at")) };
    let Answer::Serving { mode: Mode::Follower, zxid } = &view.answer else {
        return refused(format!("server {id} does not follow"));
    };
    if let Some(check) = of_another(change, view, ground) {
        return Some(check);
    }
    let Some(catch_up) = &view.catch_up else {
        let numbers = format!("server {id} follows at {zxid}; {SAMPLES_MIN} samples are taken before a change is sent");
        return Some(unmeasured(Guard::I5, numbers));
    };
    Some(by_samples(catch_up))
}

/// The joiner belongs to another ensemble, or may belong to one.
fn of_another(change: &Change, view: &ServerView, ground: Ground<'_>) -> Option<Check> {
    let id = change.target;
    let expected = ground.desired.ensemble_id.as_deref()?;
    if let Some(why) = &view.id_unread {
        let numbers = format!("the ensemble's id could not be read through the own port of server {id}: {why}");
        return Some(judged(Guard::I5, false, Code::NotAsked, numbers));
    }
    match &view.ensemble_id {
        Some(own) if own == expected => None,
        Some(_) => {
            let numbers = format!("server {id} belongs to another ensemble");
            Some(judged(Guard::I5, false, Code::SplitBrain, numbers))
        }
        None if ground.seen.ensemble_ids().contains_key(expected) => {
            let numbers = format!("server {id} does not show the ensemble's id, and other servers do");
            Some(unmeasured(Guard::I5, numbers))
        }
        // Whether the ensemble shows an id is not known: nothing says that this one belongs to it.
        None if !ground.seen.unread_ids().is_empty() => {
            let numbers = format!("server {id} does not show the ensemble's id, and that of others could not be read");
            Some(judged(Guard::I5, false, Code::NotAsked, numbers))
        }
        // An ensemble that `prestart` began has none to show before it is adopted.
        None => None,
    }
}

fn by_samples(catch_up: &CatchUp) -> Check {
    let passed = catch_up.samples.iter().filter(|sample| sample.is_caught_up()).count();
    let numbers = format!("{passed} of {} samples had the leader's zxid of 3 s before", catch_up.samples.len());
    let is_caught_up = is_caught_up(catch_up);
    match (catch_up.counted_by_leader, &catch_up.count_unread) {
        (Some(0), _) => {
            let numbers = format!("{numbers}; the leader counts no synced non-voting follower");
            judged(Guard::I5, false, Code::NotCaughtUp, numbers)
        }
        (None, Some(why)) if is_caught_up => {
            unmeasured(Guard::I5, format!("{numbers}; how many followers the leader counts could not be read: {why}"))
        }
        // `mntr` need not be in the whitelist: the samples alone decide then.
        _ => judged(Guard::I5, is_caught_up, Code::NotCaughtUp, numbers),
    }
}
