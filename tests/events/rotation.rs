//! A journal that has grown is written anew: bounded, and whole whenever the process dies.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kafka_toolbox::change::event::{Event, Outcome, Recorder};
use kafka_toolbox::clients::datadog::Memory;
use kafka_toolbox::recorders::journal::Contents;
use kafka_toolbox::recorders::outbox::{Outbox, Settings};
use kafka_toolbox::recorders::sink::{DatadogSink, Sink};
use kafka_toolbox::recorders::spool::Bounds;

use super::crash::{assert_tidy, dies};
use super::double::{Double, Mood};
use super::late::run;
use super::toolbox::{Toolbox, assert_each_ended_once, audited};

const BYTES: u64 = 16 * 1024;

fn outbox(state: &std::path::Path, sinks: Vec<Arc<dyn Sink>>, bounds: Bounds) -> Outbox {
    Outbox::new(Settings {
        state: state.to_owned(),
        run: run(),
        command_line: None,
        sinks,
        flush_within: Duration::from_secs(20),
        bounds,
        journal_bytes: BYTES,
        say: |_| {},
    })
}

fn journal_bytes(state: &std::path::Path) -> u64 {
    let paths = kafka_toolbox::recorders::folder::journals(&state.join("open"));
    paths.iter().map(|path| std::fs::metadata(path).unwrap().len()).sum()
}

fn intent(n: usize) -> Event {
    run().event("topics.created", &format!("topic:t-{n}"), Outcome::Planned, &format!("+ topic t-{n}"))
}

#[tokio::test]
async fn a_journal_of_a_long_run_is_bounded_and_carries_open_intents_over() {
    let folder = tempfile::tempdir().unwrap();
    let datadog = Arc::new(Memory::new(|| Timestamp::now().as_second()));
    let sink: Arc<dyn Sink> = Arc::new(DatadogSink::http(datadog.clone(), vec![]));
    let mut outbox = outbox(folder.path(), vec![sink], Bounds::default());
    let open = intent(0);
    outbox.record(std::slice::from_ref(&open)).await;
    let mut largest = 0;
    for n in 1..=400 {
        let intent = intent(n);
        outbox.record(std::slice::from_ref(&intent)).await;
        outbox.record(&[Event { outcome: Outcome::Done, ..intent }]).await;
        tokio::task::yield_now().await;
        largest = largest.max(journal_bytes(folder.path()));
    }
    assert!(largest > BYTES / 2 && largest < 3 * BYTES, "{largest} bytes");
    let path = kafka_toolbox::recorders::folder::journals(&folder.path().join("open")).remove(0);
    let contents = Contents::read(std::fs::read(path).unwrap());
    assert_eq!(contents.unmatched().iter().map(|event| event.event_id).collect::<Vec<_>>(), [open.event_id]);
    let delivery = outbox.close().await;
    // The open intent ended as unknown.
    assert_eq!((delivery.sent, delivery.spooled, delivery.dropped), (401, 0, 0));
    assert_eq!(datadog.taken().len(), 401);
    assert_each_ended_once(&audited(folder.path()));
}

#[tokio::test]
async fn what_no_sink_takes_is_kept_up_to_a_bound_and_then_dropped_oldest_first() {
    let folder = tempfile::tempdir().unwrap();
    let datadog = Arc::new(Memory::new(|| 0));
    let _ = &datadog;
    let bounds = Bounds { bytes: 16 * BYTES, ..Bounds::default() };
    let nobody: Arc<dyn Sink> = Arc::new(Nobody);
    let mut outbox = outbox(folder.path(), vec![nobody], bounds);
    for n in 0..400 {
        outbox.record(&[Event { outcome: Outcome::Done, ..intent(n) }]).await;
        assert!(journal_bytes(folder.path()) < 3 * 4 * BYTES, "{} bytes", journal_bytes(folder.path()));
    }
    let path = kafka_toolbox::recorders::folder::journals(&folder.path().join("open")).remove(0);
    let titles: Vec<_> = Contents::read(std::fs::read(path).unwrap()).events.into_iter().map(|e| e.title).collect();
    assert!(titles.contains(&"+ topic t-399".to_owned()) && !titles.contains(&"+ topic t-0".to_owned()));
    assert!(titles.iter().any(|title| title.starts_with("dropped ")), "{titles:?}");
    assert_eq!(audited(folder.path()).len(), 400, "the audit log has all");
}

/// A sink that is away.
struct Nobody;

#[async_trait::async_trait]
impl Sink for Nobody {
    fn name(&self) -> &'static str {
        "nobody"
    }
    fn parallel(&self) -> usize {
        1
    }
    fn late_group(&self) -> usize {
        1
    }
    async fn deliver(
        &self,
        _: &kafka_toolbox::recorders::sink::Message<'_>,
    ) -> kafka_toolbox::recorders::sink::Verdict {
        kafka_toolbox::recorders::sink::Verdict::Later { after: Some(Duration::from_hours(1)), why: "away".into() }
    }
}

#[test]
fn a_run_that_dies_at_any_point_of_a_rotation_loses_nothing_and_repeats_nothing() {
    for place in ["journal.compacting:1", "journal.compacted:1", "journal.replaced:1"] {
        let double = Double::start();
        double.is(Mood::Answer(503, ""));
        // Every write is followed by a rotation.
        let toolbox = Toolbox::for_datadog(&double.url).with("TOOLBOX_JOURNAL_BYTES", "1");
        assert!(dies(&toolbox, place, &["events", "send", "--title", "precious"]), "{place}: it did not die");
        assert_eq!(toolbox.audit().len(), 1, "{place}");
        double.is(Mood::Accept);
        let flushed = toolbox.run(&["events", "flush"]);
        assert_eq!(flushed.code, Some(0), "{place}: {flushed:?}");
        assert_tidy(&toolbox, place);
        assert_eq!((toolbox.audit().len(), double.accepted_with("precious")), (1, 1), "{place}");
        // An intent stays open over a rotation.
        let begun = toolbox.run(&["events", "send", "--intent", "--title", "rotate"]);
        let id = begun.out.trim().to_owned();
        let end = ["events", "send", "--outcome-of", &id, "--outcome", "done"];
        assert!(dies(&toolbox, place, &end), "{place}: it did not die");
        toolbox.run(&["events", "flush"]);
        assert_tidy(&toolbox, place);
        assert_eq!(double.accepted_with(&id), 1, "{place}");
    }
}
