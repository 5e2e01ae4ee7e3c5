//! Kubernetes Events as a sink, on the twin in memory.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use kafka_toolbox::change::event::{Event, Outcome, Severity};
use kafka_toolbox::clients::kubernetes::{Access, EventType, Identity, Memory, Pod, Resource, Verb};
use kafka_toolbox::recorders::sink::{KubernetesSink, Message, Sink, Verdict};

use super::late::run;

fn server() -> Arc<Memory> {
    Arc::new(Memory::new(Identity {
        namespace: "kafka".into(),
        pod: Some(Pod { name: "topics-1".into(), uid: Some("u-1".into()) }),
        service_account: Some("kafka/toolbox".into()),
        source: "in cluster".into(),
        server: "https://10.0.0.1".into(),
    }))
}

async fn deliver(sink: &KubernetesSink, events: &[Event]) -> Verdict {
    sink.deliver(&Message { events, now: Timestamp::now(), short: false }).await
}

fn failed() -> Event {
    let event = run().event("topic.config_changed", "topic:orders", Outcome::Failed, "~ topic orders");
    Event { severity: Severity::Error, reason: Some("x".repeat(3_000)), ..event }
}

#[tokio::test]
async fn an_event_is_about_the_pod_and_sending_it_again_does_not_double_it() {
    let server = server();
    let sink = KubernetesSink::new(Access::default(), None).with_door(server.clone());
    let event = failed();
    assert_eq!(deliver(&sink, std::slice::from_ref(&event)).await, Verdict::Taken);
    assert_eq!(deliver(&sink, std::slice::from_ref(&event)).await, Verdict::Taken);
    let events = server.events();
    assert_eq!(events.len(), 1);
    let sent = &events[0];
    assert_eq!((sent.regarding.kind.as_str(), sent.regarding.name.name.as_str()), ("Pod", "topics-1"));
    assert_eq!((sent.reason.as_str(), sent.action.as_str()), ("TopicConfigChanged", "TopicsApply"));
    assert_eq!(sent.event_type, EventType::Warning);
    assert!(sent.note.starts_with("prod: ~ topic orders [failed]: xxx"), "{}", sent.note);
    assert!(sent.note.len() <= 1_024);
}

#[tokio::test]
async fn an_event_may_be_about_a_cron_job_and_a_late_one_says_so() {
    let server = server();
    let regarding = Some(("CronJob".to_owned(), "topics".to_owned()));
    let sink = KubernetesSink::new(Access::default(), regarding).with_door(server.clone());
    let late = Event { time: Timestamp::now() - SignedDuration::from_hours(20), ..failed() };
    assert_eq!(deliver(&sink, &[late]).await, Verdict::Taken);
    let sent = &server.events()[0];
    assert_eq!((sent.regarding.api_version.as_str(), sent.regarding.kind.as_str()), ("batch/v1", "CronJob"));
    assert!(sent.note.contains("(late, happened at "), "{}", sent.note);
}

#[tokio::test]
async fn a_role_that_does_not_allow_events_stops_the_sink_and_a_server_that_is_away_does_not() {
    let server = server();
    let sink = KubernetesSink::new(Access::default(), None).with_door(server.clone());
    server.set_down(true);
    assert!(matches!(deliver(&sink, &[failed()]).await, Verdict::Later { .. }));
    server.set_down(false);
    server.forbid(Verb::Create, Resource::Events);
    let Verdict::Stop(why) = deliver(&sink, &[failed()]).await else { panic!("it did not stop") };
    assert!(why.contains("may not create events"), "{why}");
}
