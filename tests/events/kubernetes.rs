//! Kubernetes Events as a sink, on the fake in memory and on a real API server.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kafka_toolbox::change::event::{Event, Outcome, Severity};
use kafka_toolbox::clients::kubernetes::{
    Access, EventType, Identity, Memory, ObjectName, Owned, Pod, Regarding, Resource, Verb,
};
use kafka_toolbox::recorders::sink::{KubernetesSink, Message, Named, Sink, Verdict};

use super::late::run;
use super::toolbox::Toolbox;
use crate::live::kubernetes::control_plane::ControlPlane;

fn server() -> Arc<Memory> {
    Arc::new(Memory::new(Identity {
        namespace: "kafka".into(),
        pod: Some(Pod { name: "topics-1".into(), uid: Some("u-1".into()) }),
        service_account: Some("kafka/toolbox".into()),
        source: "in cluster".into(),
        server: "https://10.0.0.1".into(),
    }))
}

fn cron_job(uid: Option<&str>) -> Named {
    Named { kind: "CronJob".into(), name: "topics".into(), uid: uid.map(str::to_owned) }
}

/// The pod of [`server`] was made by Job `topics-7`, and that by CronJob `topics`.
fn with_owners(server: &Memory) {
    let controller = |api_version: &str, kind: &str, name: &str, uid: &str| Regarding {
        api_version: api_version.into(),
        kind: kind.into(),
        name: ObjectName::new("kafka", name),
        uid: Some(uid.into()),
    };
    let owned = |uid: &str, controller| Owned { uid: Some(uid.into()), controller: Some(controller) };
    let job = controller("batch/v1", "Job", "topics-7", "u-2");
    server.add_owned(Resource::Pods, ObjectName::new("kafka", "topics-1"), owned("u-1", job));
    let cron_job = controller("batch/v1", "CronJob", "topics", "u-3");
    server.add_owned(Resource::Jobs, ObjectName::new("kafka", "topics-7"), owned("u-2", cron_job));
}

/// What an event is about: its kind, name and uid.
async fn about(server: &Arc<Memory>, named: Option<Named>) -> (String, String, Option<String>) {
    let sink = KubernetesSink::new(Access::default(), named).with_door(server.clone());
    let event = failed();
    assert_eq!(deliver(&sink, std::slice::from_ref(&event)).await, Verdict::Taken);
    let name = format!("kafka-toolbox-{}", event.event_id);
    let sent = server.events().into_iter().find(|sent| sent.name == name).unwrap();
    (sent.regarding.kind, sent.regarding.name.name, sent.regarding.uid)
}

fn is(kind: &str, name: &str, uid: Option<&str>) -> (String, String, Option<String>) {
    (kind.into(), name.into(), uid.map(str::to_owned))
}

#[tokio::test]
async fn an_event_is_about_what_made_the_pod_as_far_as_the_role_lets_us_look() {
    let server = server();
    with_owners(&server);
    assert_eq!(about(&server, None).await, is("CronJob", "topics", Some("u-3")));
    assert_eq!(about(&server, Some(cron_job(None))).await, is("CronJob", "topics", Some("u-3")), "its uid is found");
    assert_eq!(about(&server, Some(cron_job(Some("u-9")))).await, is("CronJob", "topics", Some("u-9")));
    server.forbid(Verb::Get, Resource::Jobs);
    assert_eq!(about(&server, None).await, is("Job", "topics-7", Some("u-2")), "the pod says who made it");
    server.forbid(Verb::Get, Resource::Pods);
    assert_eq!(about(&server, None).await, is("Pod", "topics-1", Some("u-1")));
    assert_eq!(about(&server, Some(cron_job(None))).await, is("CronJob", "topics", None));
}

async fn deliver(sink: &KubernetesSink, events: &[Event]) -> Verdict {
    sink.deliver(&Message { events, now: Timestamp::now(), short: false }).await
}

fn failed() -> Event {
    let event = run().event("topics.config_changed", "topic:orders", Outcome::Failed, "~ topic orders");
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
    assert_eq!((sent.reason.as_str(), sent.action.as_str()), ("TopicsConfigChanged", "TopicsApply"));
    assert_eq!(sent.event_type, EventType::Warning);
    assert!(sent.note.starts_with("prod: ~ topic orders [failed]: xxx"), "{}", sent.note);
    assert!(sent.note.len() <= 1_024);
}

#[tokio::test]
async fn an_event_may_be_about_a_cron_job_and_a_late_one_says_so() {
    let server = server();
    let regarding = Some(cron_job(None));
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

#[test]
fn kubectl_describe_shows_events_at_the_cron_job_that_made_the_pod() {
    let cluster = ControlPlane::shared();
    let namespace = cluster.namespace("events");
    let kubectl = |arguments: &[&str]| cluster.kubectl(&[arguments, &["--namespace", &namespace]].concat());
    let schedule = "--schedule=0 0 1 1 *";
    kubectl(&["create", "cronjob", "topics-blue", "--image=toolbox", schedule]);
    kubectl(&["create", "job", "topics-blue-1", "--from=cronjob/topics-blue"]);
    let mut pod = String::new();
    for _ in 0..600 {
        pod =
            kubectl(&["get", "pods", "--selector=job-name=topics-blue-1", "-o", "jsonpath={.items[*].metadata.name}"]);
        if !pod.is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let toolbox = Toolbox::alone()
        .with("KUBECONFIG", &cluster.admin_kubeconfig().display().to_string())
        .with("POD_NAMESPACE", &namespace)
        .with("POD_NAME", &pod)
        .with("TOOLBOX_EVENTS_TO", "kubernetes");
    let sent = toolbox.send("hello there");
    assert!(sent.err.contains("events: 1 sent, 0 spooled"), "{sent:?}");
    let uid = kubectl(&["get", "cronjob/topics-blue", "-o", "jsonpath={.metadata.uid}"]);
    let selector = format!("--field-selector=involvedObject.uid={uid}");
    let listed = kubectl(&["get", "events", &selector]);
    assert!(listed.contains("hello there"), "{listed}");
    let described = kubectl(&["describe", "cronjob", "topics-blue"]);
    assert!(described.contains("hello there"), "{described}");
}

#[test]
fn an_api_server_that_is_away_is_one_line_without_colours() {
    let toolbox = Toolbox::alone().with("TOOLBOX_EVENTS_FLUSH_TIMEOUT", "6s").with("TOOLBOX_EVENTS_TO", "kubernetes");
    let user = "users: [{name: u, user: {token: t}}]\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n";
    let cluster = "clusters: [{name: k, cluster: {server: \"http://127.0.0.1:1\"}}]\n";
    let config = format!("apiVersion: v1\nkind: Config\n{cluster}{user}current-context: c\n");
    let toolbox = toolbox.with("POD_NAME", "topics-1");
    let kubeconfig = toolbox.file("kubeconfig", &config);
    let sent = toolbox.run(&["events", "send", "--title", "x", "--kubeconfig", &kubeconfig]);
    assert_eq!(sent.code, Some(0), "{sent:?}");
    let about: Vec<_> = sent.err.lines().filter(|line| line.contains("127.0.0.1:1")).collect();
    assert_eq!(about.len(), 1, "{sent:?}");
    assert!(about[0].starts_with("events: 1 wait for kubernetes: the Kubernetes API at "), "{sent:?}");
    assert!(!sent.err.contains('\u{1b}') && !sent.err.contains("ERROR"), "{sent:?}");
}
