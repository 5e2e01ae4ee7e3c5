//! The spool's bounds.

use std::sync::Mutex;
use std::time::Duration;

use jiff::SignedDuration;
use kafka_toolbox::change::event::{Event, Outcome, Recorder, Severity};
use kafka_toolbox::recorders::journal::Contents;
use kafka_toolbox::recorders::outbox::{JOURNAL_BYTES, Outbox, Settings};
use kafka_toolbox::recorders::spool::Bounds;

use super::late::{run, spool};
use super::toolbox::audited;

static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn outbox(state: &std::path::Path, bounds: Bounds) -> Outbox {
    Outbox::new(Settings {
        state: state.to_owned(),
        run: run(),
        command_line: None,
        sinks: Vec::new(),
        flush_within: Duration::ZERO,
        bounds,
        journal_bytes: JOURNAL_BYTES,
        say: |text| SAID.lock().unwrap().push(text.to_owned()),
    })
}

fn left(state: &std::path::Path) -> Vec<Event> {
    let paths = kafka_toolbox::recorders::folder::journals(&state.join("spool"));
    let contents = paths.iter().map(|path| Contents::read(std::fs::read(path).unwrap()));
    let mut events: Vec<_> = contents.flat_map(|contents| contents.events).collect();
    events.sort_by_key(|event| event.time);
    events
}

#[tokio::test]
async fn what_is_too_old_is_dropped_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let events = spool(folder.path(), &["datadog"], "topics.created", &[200, 100]);
    // The name of a real journal is as old as its run.
    let path = kafka_toolbox::recorders::folder::journals(&folder.path().join("spool")).remove(0);
    let old = format!("{}.jsonl", uuid_of(200));
    std::fs::rename(&path, path.with_file_name(old)).unwrap();
    let mut outbox = outbox(folder.path(), Bounds::default());
    outbox.record(&[]).await;
    let delivery = outbox.close().await;
    assert_eq!(delivery.dropped, 1);
    assert_eq!(left(folder.path()), events[1..]);
    let dropped: Vec<_> = audited(folder.path()).into_iter().filter(|event| event.kind == "events.dropped").collect();
    assert_eq!((dropped.len(), dropped[0].severity), (1, Severity::Error));
    assert_eq!(dropped[0].title, "dropped 1 undelivered events: 1 were older than 7 d");
    assert!(SAID.lock().unwrap().iter().any(|line| line.contains("dropped 1 undelivered events: 1 were older")));
}

fn uuid_of(hours: i64) -> uuid::Uuid {
    let time = jiff::Timestamp::now() - SignedDuration::from_hours(hours);
    uuid::Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, time.as_second().cast_unsigned(), 0))
}

#[tokio::test]
async fn what_does_not_fit_is_dropped_oldest_first_and_errors_last() {
    let folder = tempfile::tempdir().unwrap();
    let plain = spool(folder.path(), &["datadog"], "topics.created", &(1..=50).rev().collect::<Vec<_>>());
    let errors = spool_errors(folder.path());
    let bytes = 20 * serde_json::to_string(&plain[0]).unwrap().len() as u64;
    let mut outbox = outbox(folder.path(), Bounds { bytes, ..Bounds::default() });
    outbox.record(&[]).await;
    let delivery = outbox.close().await;
    let left = left(folder.path());
    let size: usize = left.iter().map(|event| serde_json::to_string(event).unwrap().len()).sum();
    assert!(size as u64 <= bytes && left.len() >= 18, "{size} of {bytes} bytes, {} events", left.len());
    assert_eq!(delivery.dropped + left.len(), 60);
    assert!(errors.iter().all(|error| left.contains(error)), "errors stay");
    let kept: Vec<_> = plain.iter().filter(|event| left.contains(event)).cloned().collect();
    assert_eq!(kept, plain[50 - kept.len()..], "the newest stay");
}

/// Ten errors that are older than everything else.
fn spool_errors(state: &std::path::Path) -> Vec<Event> {
    use kafka_toolbox::recorders::journal::{Header, Journal, Line};
    let header = Header { run_id: run().id, command: "x".into(), sinks: vec!["datadog".into()], open_until: None };
    let journal = Journal::create(&state.join("spool"), &run().id.to_string(), &header).unwrap();
    let error = |n: i64| {
        let event = run().event("topics.created", &format!("topic:e{n}"), Outcome::Failed, "failed");
        Event { time: event.time - SignedDuration::from_hours(100 + n), ..event }
    };
    let events: Vec<_> = (0..10).map(error).collect();
    journal.append(&events.iter().map(|event| Line::Event(Box::new(event.clone()))).collect::<Vec<_>>()).unwrap();
    events
}
