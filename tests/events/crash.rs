//! Dying at every write: nothing lost, nothing written twice, every intent ended exactly once.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kafka_toolbox::change::event::{Event, Outcome};
use kafka_toolbox::recorders::journal::{Header, Journal, Line};
use uuid::Uuid;

use super::double::Double;
use super::late::run;
use super::toolbox::{Ran, Toolbox, assert_each_ended_once};

/// Runs a command that dies at a place, as `audit.half:1`, and says whether it did.
pub(super) fn dies(toolbox: &Toolbox, place: &str, arguments: &[&str]) -> bool {
    let output = toolbox.command(arguments).env("TOOLBOX_DIE_AT", place).output().unwrap();
    output.status.signal().is_some()
}

fn flush(toolbox: &Toolbox) -> Ran {
    let ran = toolbox.run(&["events", "flush"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran
}

pub(super) fn assert_tidy(toolbox: &Toolbox, place: &str) {
    assert_each_ended_once(&toolbox.audit());
    let hidden = std::fs::read_dir(toolbox.state().join("open")).map_or(0, |entries| {
        entries.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "jsonl")).count()
    });
    assert_eq!((hidden, toolbox.files("spool")), (0, 0), "{place}");
}

#[test]
fn a_run_that_dies_at_any_write_of_an_event_loses_none_that_was_durable() {
    let before = ["journal.hidden:1", "journal.half:1", "journal.appended:1", "journal.created:1", "journal.half:2"];
    let after = [
        "journal.synced:1",
        "audit.half:1",
        "audit.appended:1",
        "outbox.written:1",
        "sink.taken:1",
        "journal.half:3",
        "sink.marked:1",
        "close.audited:1",
        "close.moved:1",
    ];
    for (place, is_durable) in before.map(|place| (place, false)).into_iter().chain(after.map(|place| (place, true))) {
        let double = Double::start();
        let toolbox = Toolbox::for_datadog(&double.url);
        assert!(dies(&toolbox, place, &["events", "send", "--title", "precious"]), "{place}: it did not die");
        flush(&toolbox);
        assert_tidy(&toolbox, place);
        let audited = toolbox.audit().len();
        let delivered = double.accepted_with("precious");
        // What Datadog took before that could be written down is sent again: at least once.
        let doubled = usize::from(["sink.taken:1", "journal.half:3"].contains(&place));
        let expected = if is_durable { (1, 1 + doubled) } else { (0, 0) };
        assert_eq!((audited, delivered), expected, "{place}");
        flush(&toolbox);
        assert_eq!(toolbox.audit().len(), audited, "{place}: a second look changed something");
    }
}

/// A journal as a run leaves it that died two days ago after `ended` of its intents had their outcome: nobody waits any
/// longer for a run that could ask its cluster.
pub(super) fn dead_run(state: &Path, intents: usize, ended: usize, open_until: Option<Timestamp>) -> Vec<Event> {
    let time = Timestamp::now() - SignedDuration::from_hours(48);
    let header = Header { run_id: run().id, command: "topics apply".into(), sinks: vec!["datadog".into()], open_until };
    let journal = Journal::create(&state.join("open"), &header.run_id.to_string(), &header).unwrap();
    let intent = |n| {
        let event = run().event("topics.created", &format!("topic:t-{n}"), Outcome::Planned, &format!("+ topic t-{n}"));
        Event { time, ..event }
    };
    let intents: Vec<_> = (0..intents).map(intent).collect();
    let now = Timestamp::now();
    let outcomes = intents[..ended].iter().map(|intent| Event { outcome: Outcome::Done, time: now, ..intent.clone() });
    let lines: Vec<_> = intents.iter().cloned().chain(outcomes).map(|event| Line::Event(Box::new(event))).collect();
    journal.append(&lines).unwrap();
    intents
}

fn assert_recovered(toolbox: &Toolbox, intents: &[Event], ended: usize, place: &str) {
    assert_tidy(toolbox, place);
    let outcomes: BTreeMap<_, _> = toolbox
        .audit()
        .into_iter()
        .filter(|event| !event.is_intent())
        .map(|event| (event.event_id, (event.outcome, event.reason)))
        .collect();
    assert_eq!(outcomes.len(), intents.len(), "{place}");
    for (n, intent) in intents.iter().enumerate() {
        let (outcome, reason) = &outcomes[&intent.event_id];
        assert_eq!(*outcome, if n < ended { Outcome::Done } else { Outcome::Unknown }, "{place}");
        assert_eq!(reason.is_some(), n >= ended, "{place}");
    }
}

#[test]
fn the_next_start_ends_what_a_dead_run_left_open_even_if_it_dies_on_the_way() {
    for place in [
        "journal.half:1",
        "journal.appended:1",
        "journal.synced:1",
        "recover.unknown:1",
        "audit.half:1",
        "audit.appended:1",
        "recover.audited:1",
        "recover.moved:1",
        "sink.taken:1",
        "sink.marked:1",
    ] {
        let double = Double::start();
        let toolbox = Toolbox::for_datadog(&double.url);
        let intents = dead_run(&toolbox.state(), 3, 1, None);
        assert!(dies(&toolbox, place, &["events", "flush"]), "{place}: it did not die");
        flush(&toolbox);
        assert_recovered(&toolbox, &intents, 1, place);
        for intent in &intents {
            let delivered = double.accepted_with(&intent.event_id.to_string());
            // Several are under way at once: those that Datadog took and nobody could write down are sent again.
            let most = if place.starts_with("sink.") { 2 } else { 1 };
            assert!((1..=most).contains(&delivered), "{place}: {} was delivered {delivered} times", intent.subject);
        }
    }
}

#[test]
fn a_journal_whose_last_line_was_torn_off_is_read_up_to_there() {
    let toolbox = Toolbox::alone();
    let intents = dead_run(&toolbox.state(), 3, 3, None);
    let path = kafka_toolbox::recorders::folder::journals(&toolbox.state().join("open")).remove(0);
    let whole = std::fs::read(&path).unwrap();
    let last = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    std::fs::write(&path, &whole[..usize::midpoint(last, whole.len())]).unwrap();
    // Nobody delivers to Datadog here, so the spool keeps what is for it.
    toolbox.run(&["events", "flush"]);
    let events = toolbox.audit();
    assert_each_ended_once(&events);
    let unknown: Vec<_> = events.iter().filter(|event| event.outcome == Outcome::Unknown).collect();
    assert_eq!((unknown.len(), unknown[0].event_id), (1, intents[2].event_id));
}

#[test]
fn several_starts_at_once_end_a_dead_run_once() {
    let double = Double::start();
    let toolbox = Toolbox::for_datadog(&double.url);
    let intents = dead_run(&toolbox.state(), 40, 10, None);
    let children: Vec<_> = (0..4).map(|_| toolbox.command(&["events", "flush"]).spawn().unwrap()).collect();
    for mut child in children {
        child.wait().unwrap();
    }
    flush(&toolbox);
    assert_recovered(&toolbox, &intents, 10, "at once");
    for intent in &intents {
        assert_eq!(double.accepted_with(&intent.event_id.to_string()), 1);
    }
}

#[test]
fn the_second_half_of_a_pair_survives_dying_at_any_write() {
    for (place, is_durable) in [
        ("journal.half:1", false),
        ("journal.appended:1", false),
        ("journal.half:2", false),
        ("journal.synced:1", true),
        ("audit.half:1", true),
        ("audit.appended:1", true),
        ("outbox.written:1", true),
        ("close.audited:1", true),
        ("close.moved:1", true),
    ] {
        let toolbox = Toolbox::alone();
        let begun = toolbox.run(&["events", "send", "--intent", "--title", "rotate"]);
        let id = begun.out.trim().to_owned();
        let end = ["events", "send", "--outcome-of", &id, "--outcome", "done"];
        assert!(dies(&toolbox, place, &end), "{place}: it did not die");
        let again = toolbox.run(&end);
        assert_eq!(again.code, Some(if is_durable { 4 } else { 0 }), "{place}: {again:?}");
        assert_tidy(&toolbox, place);
        let outcomes: Vec<_> = toolbox.audit().into_iter().map(|event| event.outcome).collect();
        assert_eq!(outcomes, [Outcome::Planned, Outcome::Done], "{place}");
    }
}

#[test]
fn an_intent_that_nobody_ends_in_time_ends_as_unknown() {
    let toolbox = Toolbox::alone();
    let hour = SignedDuration::from_hours(1);
    let waiting = dead_run(&toolbox.state(), 1, 0, Some(Timestamp::now() + hour));
    let forgotten = dead_run(&toolbox.state(), 1, 0, Some(Timestamp::now() - hour));
    toolbox.send("the next start");
    let unknown: Vec<_> = toolbox.audit().into_iter().filter(|event| event.outcome == Outcome::Unknown).collect();
    assert_eq!(unknown.len(), 1);
    assert_eq!(unknown[0].event_id, forgotten[0].event_id);
    assert_eq!(unknown[0].reason.as_deref(), Some("nobody said in time how this ended"));
    assert_eq!(toolbox.files("open"), 1, "{} waits", waiting[0].event_id);
}

#[test]
fn runs_killed_at_any_moment_lose_nothing_that_they_said_was_recorded() {
    let double = Double::start();
    let toolbox = Toolbox::for_datadog(&double.url);
    let mut recorded = Vec::new();
    for n in 0..30_u64 {
        let title = format!("event-{n}-");
        let out = toolbox.state().join("out");
        let file = std::fs::File::create(&out).unwrap();
        let mut child = toolbox
            .command(&["events", "send", "--title", &title])
            .stdout(file)
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // A different moment each time, spread over the life of a run.
        std::thread::sleep(Duration::from_millis(n * 7 % 61));
        child.kill().unwrap();
        child.wait().unwrap();
        if let Ok(id) = std::fs::read_to_string(&out).unwrap().trim().parse::<Uuid>() {
            recorded.push(id);
        }
    }
    flush(&toolbox);
    assert_tidy(&toolbox, "killed");
    let audited = toolbox.audit();
    for id in recorded {
        assert!(audited.iter().any(|event| event.event_id == id), "{id} was recorded and is not in the audit log");
        assert!(double.accepted_with(&id.to_string()) >= 1, "{id} was recorded and never delivered");
    }
}

#[test]
fn a_journal_that_cannot_be_mended_waits_a_week_and_not_for_ever() {
    let toolbox = Toolbox::alone();
    // The audit log can't be written: a folder has its name.
    std::fs::create_dir_all(toolbox.state().join("audit.jsonl")).unwrap();
    dead_run(&toolbox.state(), 1, 0, None);
    let ran = toolbox.run(&["events", "flush"]);
    assert!(ran.err.contains("an earlier run's journal can't be mended: "), "{ran:?}");
    assert!(ran.err.contains("; the next start tries again"), "{ran:?}");
    let path = kafka_toolbox::recorders::folder::journals(&toolbox.state().join("open")).remove(0);
    let week_ago = Timestamp::now() - SignedDuration::from_hours(8 * 24);
    let old = Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, week_ago.as_second().cast_unsigned(), 0));
    std::fs::rename(&path, path.with_file_name(format!("{old}.jsonl"))).unwrap();
    let ran = toolbox.run(&["events", "flush"]);
    assert!(ran.err.contains("; it is older than 7 d and was removed"), "{ran:?}");
    assert_eq!(toolbox.files("open"), 0);
}
