//! What waited too long for Datadog's limit of 18 hours.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use kafka_toolbox::change::carry_out::Run;
use kafka_toolbox::change::event::{Event, Outcome};
use kafka_toolbox::recorders::journal::{Header, Journal, Line};
use uuid::Uuid;

use super::double::Double;
use super::toolbox::Toolbox;

pub(crate) fn run() -> Run {
    Run {
        id: Uuid::now_v7(),
        cluster: "prod".into(),
        cluster_id: None,
        actor: "ann".into(),
        command: "topics apply".into(),
        clock: Timestamp::now,
    }
}

/// Puts a journal with outcomes of so many hours ago into the spool.
pub(crate) fn spool(state: &Path, sinks: &[&str], kind: &str, hours: &[i64]) -> Vec<Event> {
    let header = Header {
        run_id: Uuid::now_v7(),
        command: "topics apply".into(),
        sinks: sinks.iter().map(|sink| (*sink).to_owned()).collect(),
        open_until: None,
    };
    let journal = Journal::create(&state.join("spool"), &Uuid::now_v7().to_string(), &header).unwrap();
    let event = |hours: &i64| {
        let time = Timestamp::now() - SignedDuration::from_hours(*hours);
        Event { time, ..run().event(kind, &format!("topic:t-{hours}"), Outcome::Done, &format!("{hours} h ago")) }
    };
    let events: Vec<_> = hours.iter().map(event).collect();
    let lines: Vec<_> = events.iter().map(|event| Line::Event(Box::new(event.clone()))).collect();
    journal.append_durably(&lines).unwrap();
    events
}

#[test]
fn late_events_are_sent_under_the_time_of_now_in_groups_and_say_when_they_happened() {
    let double = Double::start();
    let toolbox = Toolbox::for_datadog(&double.url);
    let late = spool(&toolbox.state(), &["datadog"], "topics.created", &(20..40).collect::<Vec<_>>());
    let other = spool(&toolbox.state(), &["datadog"], "topics.deleted", &[30]);
    let young = spool(&toolbox.state(), &["datadog"], "topics.created", &[1, 16]);
    let flushed = toolbox.run(&["events", "flush"]);
    assert_eq!(flushed.out, "23 sent, 0 dropped, 0 left\n", "{flushed:?}");
    assert!(double.seen().iter().all(|seen| seen.status == 202), "the double enforces the 18 hours");
    let titles: Vec<_> = double.accepted().iter().map(|body| body["title"].as_str().unwrap().to_owned()).collect();
    let groups: Vec<_> = titles.iter().filter(|title| title.contains(" × topics created (late, happened")).collect();
    assert_eq!(groups.len(), 2, "20 of a kind are two groups: {titles:?}");
    for event in late.iter().chain(&other).chain(&young) {
        assert_eq!(double.accepted_with(&event.event_id.to_string()), 1, "{}", event.title);
    }
    assert_eq!(titles.iter().filter(|title| title.contains("topics deleted t-30 (late, ")).count(), 1, "{titles:?}");
    assert_eq!(titles.iter().filter(|title| title.contains("events recovered")).count(), 1, "{titles:?}");
    assert_eq!(toolbox.files("spool"), 0);
}

#[test]
fn what_waits_for_a_sink_that_this_run_does_not_have_stays_for_one_that_has() {
    let double = Double::start();
    let toolbox = Toolbox::for_datadog(&double.url);
    spool(&toolbox.state(), &["datadog", "kubernetes"], "topics.created", &[1]);
    let flushed = toolbox.run(&["events", "flush"]);
    assert_eq!(flushed.code, Some(1), "{flushed:?}");
    assert!(flushed.out.contains("kubernetes  1"), "{flushed:?}");
    assert_eq!(double.accepted().len(), 1);
    toolbox.run(&["events", "flush"]);
    assert_eq!(double.accepted().len(), 1, "what Datadog has is not sent again");
}
