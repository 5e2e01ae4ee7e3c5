//! Many events in one run.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kafka_toolbox::change::event::{Delivery, Event, Outcome, Recorder};
use kafka_toolbox::clients::datadog::Memory;
use kafka_toolbox::recorders::lane::QUEUE_LENGTH;
use kafka_toolbox::recorders::outbox::{JOURNAL_BYTES, Outbox, Settings};
use kafka_toolbox::recorders::sink::DatadogSink;
use kafka_toolbox::recorders::spool::Bounds;

use super::late::run;
use super::toolbox::{assert_each_ended_once, audited};

#[tokio::test]
async fn more_events_than_the_queue_holds_are_all_recorded_and_all_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let datadog = Arc::new(Memory::new(|| Timestamp::now().as_second()));
    let mut outbox = Outbox::new(Settings {
        state: folder.path().to_owned(),
        run: run(),
        command_line: Some("toolbox topics apply".into()),
        sinks: vec![Arc::new(DatadogSink::http(datadog.clone(), vec![]))],
        flush_within: Duration::from_mins(2),
        bounds: Bounds::default(),
        journal_bytes: JOURNAL_BYTES,
        // On a busy machine it may say that it waits; nothing else is to be said.
        say: |text| assert!(text.starts_with("events: waiting for "), "{text}"),
    });
    let count = QUEUE_LENGTH + 1_000;
    let intent =
        |n| run().event("topics.created", &format!("topic:t-{n}"), Outcome::Planned, &format!("+ topic t-{n}"));
    let intents: Vec<_> = (0..count).map(intent).collect();
    let outcomes: Vec<_> = intents.iter().map(|intent| Event { outcome: Outcome::Done, ..intent.clone() }).collect();
    outbox.record(&intents).await;
    outbox.record(&outcomes).await;
    assert_eq!(outbox.close().await, Delivery { sent: count, ..Delivery::default() });
    assert_eq!(datadog.taken().len(), count);
    let events: Vec<_> = audited(folder.path()).into_iter().filter(|event| event.kind != "command.executed").collect();
    assert_eq!(events.len(), 2 * count);
    assert_each_ended_once(&events);
    assert!(kafka_toolbox::recorders::folder::journals(&folder.path().join("spool")).is_empty());
}
