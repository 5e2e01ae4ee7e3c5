//! The recorder tells the truth: what could not be kept, what has no outcome yet, how a command ended; and it holds up
//! nobody who has nothing to record.

use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use kafka_toolbox::change::event::{CommandEnded, Event, Outcome, Recorder};
use kafka_toolbox::clients::kafka::memory::Memory;
use kafka_toolbox::exit::Exit;
use kafka_toolbox::recorders::journal::{Header, Journal, Line};
use kafka_toolbox::recorders::outbox::{JOURNAL_BYTES, Outbox, Settings};
use kafka_toolbox::recorders::spool::Bounds;

use super::crash::dead_run;
use super::double::{Double, Mood};
use super::late::{run, spool};
use super::toolbox::{Toolbox, assert_each_ended_once, audited};
use crate::support::desk::Desk;

/// More than a run does that waits for nothing, on a busy machine, and less than any wait that would be wrong.
const SOON: Duration = Duration::from_secs(5);

/// The same command where no file may be longer than a kilobyte, as on a disk that is full.
fn on_a_full_disk(toolbox: &Toolbox, arguments: &[&str]) -> std::process::Output {
    let inner = toolbox.command(arguments);
    let mut command = Command::new("bash");
    command
        .args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$0\" \"$@\""])
        .arg(inner.get_program())
        .args(inner.get_args());
    command.env_clear().envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdin(Stdio::null()).output().unwrap()
}

#[test]
fn a_full_state_folder_is_said_and_fails_where_events_are_required() {
    let toolbox = Toolbox::alone();
    let text = "x".repeat(3_000);
    let send = ["events", "send", "--title", "precious", "--text", &text];
    let state = toolbox.state().display().to_string();
    let said = format!("events: 1 could not be kept in {state}: the audit log lacks them");
    let output = on_a_full_disk(&toolbox, &send);
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{err}");
    assert!(err.lines().any(|line| line == said) && !err.contains(" sent"), "{err}");
    assert!(
        err.contains("\"spool\":\"failed\"") && err.contains("precious"),
        "whoever collects the output has it: {err}"
    );
    let output = on_a_full_disk(&toolbox, &[&send[..], &["--require-events"]].concat());
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("--require-events asks for that"), "{err}");
    // Nothing is left of what did not fit, and the next run goes on.
    assert_eq!(toolbox.send("next").code, Some(0));
    assert_eq!(toolbox.audit().iter().map(|event| event.title.as_str()).collect::<Vec<_>>(), ["next"]);
}

#[test]
fn a_state_folder_that_cannot_be_made_is_said_once() {
    let toolbox = Toolbox::alone();
    let file = toolbox.state().join("file");
    std::fs::write(&file, "").unwrap();
    let state = file.join("below").display().to_string();
    let ran = toolbox.run(&["events", "send", "--title", "x", "--state-folder", &state]);
    let lines: Vec<_> = ran.err.lines().filter(|line| !line.starts_with('{')).collect();
    assert_eq!((ran.code, lines.len()), (Some(0), 2), "{ran:?}");
    assert!(lines[0].contains("can't be written") && lines[1].contains("1 could not be kept in "), "{ran:?}");
}

#[test]
fn without_a_sink_nothing_is_said_of_what_was_sent() {
    let toolbox = Toolbox::alone();
    let ran = toolbox.run(&["events", "send", "--title", "x", "--require-events"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
}

#[test]
fn a_sink_that_cannot_be_tried_fails_a_run_that_requires_events() {
    let toolbox = Toolbox::alone().with("DD_DOGSTATSD_URL", "nonsense");
    let ran = toolbox.run(&["events", "send", "--title", "x", "--require-events"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("events: nothing goes to DogStatsD: "), "{ran:?}");
}

#[test]
fn the_list_shows_what_a_dead_run_left_as_unknown_and_writes_nothing() {
    let toolbox = Toolbox::alone();
    dead_run(&toolbox.state(), 3, 1, None);
    let header = Header { run_id: run().id, command: "topics apply".into(), sinks: Vec::new(), open_until: None };
    let living = Journal::create(&toolbox.state().join("open"), &header.run_id.to_string(), &header).unwrap();
    let under_way = run().event("topics.created", "topic:under-way", Outcome::Planned, "+ topic under-way");
    living.append(&[Line::Event(Box::new(under_way))]).unwrap();
    for _ in 0..2 {
        let ran = toolbox.run(&["events", "list"]);
        let outcomes: Vec<_> = ran.out.lines().skip(1).map(|line| line.split_whitespace().nth(1).unwrap()).collect();
        for (outcome, count) in [("unknown", 2), ("done", 1), ("planned", 1)] {
            assert_eq!(outcomes.iter().filter(|found| **found == outcome).count(), count, "{outcome}: {ran:?}");
        }
        assert_eq!(toolbox.files("open"), 2);
        assert!(!toolbox.state().join("audit.jsonl").exists());
    }
    let unknown = toolbox.run(&["events", "list", "--outcome", "unknown"]);
    assert_eq!(unknown.out.lines().count(), 3, "{unknown:?}");
    // The next run that records something makes it last, and the list stays the same.
    toolbox.send("next");
    assert_eq!(toolbox.run(&["events", "list", "--outcome", "unknown"]).out.lines().count(), 3);
    assert_eq!(toolbox.files("open"), 1);
}

#[test]
fn a_flush_keeps_to_its_time_whatever_holds_it_up() {
    let double = Double::start();
    double.is(Mood::Hang);
    let toolbox = Toolbox::for_datadog(&double.url);
    spool(&toolbox.state(), &["datadog"], "topics.created", &[1]);
    let ran = toolbox.run(&["events", "flush", "--within", "1s"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.took < SOON && ran.out.contains("1 left"), "{ran:?}");
    // Another process holds the audit log, which the journals of two dead runs wait for.
    for _ in 0..2 {
        dead_run(&toolbox.state(), 1, 0, None);
    }
    let lock = std::fs::File::create(toolbox.state().join("audit.lock")).unwrap();
    lock.lock().unwrap();
    let ran = toolbox.run(&["events", "flush", "--within", "1s"]);
    assert!(ran.took < SOON, "{ran:?}");
    drop(lock);
    double.is(Mood::Accept);
    assert_eq!(toolbox.run(&["events", "flush"]).code, Some(0));
    assert_each_ended_once(&toolbox.audit());
}

#[test]
fn a_run_that_records_nothing_is_not_held_up_by_what_earlier_runs_left() {
    let double = Double::start();
    double.is(Mood::Hang);
    let toolbox = Toolbox::for_datadog(&double.url).with("TOOLBOX_EVENTS_FLUSH_TIMEOUT", "60s");
    spool(&toolbox.state(), &["datadog"], "topics.created", &[1, 2, 3]);
    let nobody = ["events", "send", "--outcome-of", "01a2045f-d4e5-7808-b451-0b0a48207ff0"];
    let ran = toolbox.run(&nobody);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.took < SOON, "{ran:?}");
    double.is(Mood::Accept);
    // A sink that takes them gets them, on a busy machine from one of the next runs.
    for _ in 0..20 {
        if double.accepted().len() < 3 {
            toolbox.run(&nobody);
        }
    }
    assert_eq!(double.accepted().len(), 3);
}

static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn outbox(state: &std::path::Path) -> Outbox {
    Outbox::new(Settings {
        state: state.to_owned(),
        run: run(),
        command_line: Some("toolbox topics apply".into()),
        sinks: Vec::new(),
        flush_within: Duration::ZERO,
        bounds: Bounds::default(),
        journal_bytes: JOURNAL_BYTES,
        say: |line| SAID.lock().unwrap().push(line.to_owned()),
    })
}

#[tokio::test]
async fn a_command_is_an_intent_until_it_has_ended_even_if_it_dies() {
    let folder = tempfile::tempdir().unwrap();
    let change = run().event("topics.created", "topic:a", Outcome::Planned, "+ topic a");
    let time = change.time - jiff::SignedDuration::from_hours(48);
    let change = Event { time, ..change };
    let mut killed = outbox(folder.path());
    killed.record(std::slice::from_ref(&change)).await;
    drop(killed);
    let mut next = outbox(folder.path());
    next.record(&[Event { outcome: Outcome::Done, ..run().event("x.y", "topic:b", Outcome::Planned, "b") }]).await;
    let (outcome, reason) = (Outcome::Refused, Some("it is locked".to_owned()));
    next.command_ended(CommandEnded { outcome, exit_code: 4, reason, needs_events: false });
    next.close().await;
    let events = audited(folder.path());
    assert_each_ended_once(&events);
    let ends: Vec<_> = events.iter().filter(|event| event.kind == "command.executed" && !event.is_intent()).collect();
    assert_eq!(ends.iter().map(|event| event.outcome).collect::<Vec<_>>(), [Outcome::Failed, Outcome::Refused]);
    assert_eq!(ends[1].reason.as_deref(), Some("exit code 4: it is locked"));
    assert_eq!(ends[1].tags["exit_code"], "4");
    let said = SAID.lock().unwrap().clone();
    assert!(said.iter().any(|line| line.contains("how 1 of its changes ended")), "the command is no change: {said:?}");
}

fn of_kind(desk: &Desk, kind: &str) -> Vec<Event> {
    let events = audited(&desk.folder().join("state"));
    events.into_iter().filter(|event| event.kind == kind && !event.is_intent()).collect()
}

#[tokio::test]
async fn a_refusal_is_one_event_and_one_line_however_often_it_is_met() {
    let desk = Desk::new(Memory::kraft(3).cluster_id("this-one").topic("old", &[&[1, 2]]));
    desk.declare(&["{name: orders, partitions: 1, replicationFactor: 2}"]);
    desk.apply(&[]).await.ends_with(Exit::Done);
    let commands = of_kind(&desk, "command.executed");
    assert_eq!((commands.len(), commands[0].outcome, commands[0].tags["exit_code"].as_str()), (1, Outcome::Done, "0"));
    desk.declare(&["{name: old, state: absent}"]);
    for _ in 0..3 {
        let refused = desk.apply(&[]).await.ends_with(Exit::Refused);
        let lines = refused.out.lines().filter(|line| line.starts_with("! refused: ")).count();
        assert_eq!(lines, 1, "{refused:#?}");
    }
    let events = audited(&desk.folder().join("state"));
    let refused = events.iter().filter(|event| event.outcome == Outcome::Refused && event.subject == "topic:old");
    assert_eq!(refused.count(), 1, "{events:#?}");
    assert!(of_kind(&desk, "command.executed").len() <= 2, "a run that records nothing is not recorded either");
    let wrong = [&["--cluster-id", "another"][..]; 3];
    for more in wrong {
        desk.apply(more).await.ends_with(Exit::Refused);
    }
    let failed = of_kind(&desk, "topics.apply.failed");
    assert_eq!(failed.len(), 1, "{failed:#?}");
    assert_eq!(failed[0].cluster_id.as_deref(), Some("this-one"));
}
