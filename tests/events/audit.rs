//! The audit log: many writers, torn lines, rotation.

use std::collections::BTreeSet;
use std::io::Write;

use kafka_toolbox::change::event::{Event, Outcome};
use kafka_toolbox::recorders::audit::{AuditLog, KEPT};

use super::late::run;
use super::toolbox::{Toolbox, assert_each_ended_once, audited};

fn event(subject: &str) -> Event {
    run().event("topics.created", subject, Outcome::Done, "+ topic")
}

#[test]
fn processes_that_write_at_once_tear_no_line_and_lose_none() {
    let toolbox = Toolbox::alone();
    let titles: Vec<_> = (0..8).map(|n| format!("run-{n}")).collect();
    let children: Vec<_> =
        titles.iter().map(|title| toolbox.command(&["events", "send", "--title", title]).spawn().unwrap()).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let events = toolbox.audit();
    assert_each_ended_once(&events);
    let seen: BTreeSet<_> = events.iter().map(|event| event.title.clone()).collect();
    assert_eq!(seen, titles.into_iter().collect());
    assert_eq!((toolbox.files("open"), toolbox.files("spool")), (0, 0));
}

#[tokio::test]
async fn a_line_that_was_cut_off_is_moved_away_so_that_every_line_is_json() {
    let folder = tempfile::tempdir().unwrap();
    let log = AuditLog::new(folder.path());
    log.append(&[event("topic:a")]).await.unwrap();
    let path = folder.path().join("audit.jsonl");
    let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(br#"{"event_id":"01a2"#).unwrap();
    log.append(&[event("topic:b")]).await.unwrap();
    let subjects: Vec<_> = audited(folder.path()).into_iter().map(|event| event.subject).collect();
    assert_eq!(subjects, ["topic:a", "topic:b"]);
    assert_all_json(folder.path());
    assert_eq!(std::fs::read_dir(folder.path().join("quarantine")).unwrap().count(), 1, "for people to look at");
    // A whole line that lacks its end is ended; bytes of a power cut are none.
    let whole = serde_json::to_string(&event("topic:c")).unwrap();
    file.write_all(whole.as_bytes()).unwrap();
    log.append_missing(&[event("topic:d")]).await.unwrap();
    file.write_all(&[0; 100]).unwrap();
    let known = audited(folder.path());
    log.append_missing(&known).await.unwrap();
    let subjects: Vec<_> = audited(folder.path()).into_iter().map(|event| event.subject).collect();
    assert_eq!(subjects, ["topic:a", "topic:b", "topic:c", "topic:d"]);
    assert_all_json(folder.path());
}

/// As `jq` reads it.
pub(super) fn assert_all_json(state: &std::path::Path) {
    let text = std::fs::read(state.join("audit.jsonl")).unwrap();
    for value in serde_json::Deserializer::from_slice(&text).into_iter::<serde_json::Value>() {
        assert!(value.unwrap().is_object());
    }
    assert!(text.is_empty() || text.ends_with(b"\n"));
}

#[tokio::test]
async fn a_full_file_is_set_aside_and_the_oldest_goes() {
    let folder = tempfile::tempdir().unwrap();
    let log = AuditLog::new(folder.path()).with_rotation(1);
    for n in 0..10 {
        log.append(&[event(&format!("topic:{n}"))]).await.unwrap();
    }
    let subjects: Vec<_> = audited(folder.path()).into_iter().map(|event| event.subject).collect();
    assert_eq!(subjects, ["topic:5", "topic:6", "topic:7", "topic:8", "topic:9"], "{KEPT} old files and the new one");
}

#[tokio::test]
async fn a_rotation_that_died_half_way_loses_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let log = AuditLog::new(folder.path()).with_rotation(1);
    for n in 0..5 {
        log.append(&[event(&format!("topic:{n}"))]).await.unwrap();
    }
    // Killed after the first two renames: 3 became 4, 2 became 3, and there is no 2 any more.
    let file = |age: u32| folder.path().join(format!("audit.jsonl.{age}"));
    std::fs::rename(file(3), file(4)).unwrap();
    std::fs::rename(file(2), file(3)).unwrap();
    let before = audited(folder.path()).len();
    log.append(&[event("topic:new")]).await.unwrap();
    assert_eq!(audited(folder.path()).len(), before + 1);
}

#[tokio::test]
async fn what_is_there_already_is_not_written_twice() {
    let folder = tempfile::tempdir().unwrap();
    let log = AuditLog::new(folder.path());
    let intent = run().event("topics.created", "topic:a", Outcome::Planned, "+ topic a");
    let outcome = Event { outcome: Outcome::Done, ..intent.clone() };
    log.append(std::slice::from_ref(&intent)).await.unwrap();
    for _ in 0..3 {
        log.append_missing(&[intent.clone(), outcome.clone()]).await.unwrap();
    }
    assert_eq!(audited(folder.path()), [intent, outcome]);
}
