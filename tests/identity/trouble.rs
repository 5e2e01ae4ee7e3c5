//! An API server in trouble: slow, with 409, 429, 500 and 503, answers that are lost. One id, written once, and an end
//! within limits.

use std::time::Duration;

use super::pods::Pods;
use super::scripted::{Fault, Server};
use crate::support::toolbox::Toolbox;

const REGISTRY: &str = "toolbox-brokers-main-map1";

fn pods(server: &Server) -> Pods {
    let toolbox = Toolbox::alone();
    let kubeconfig = toolbox.file("kubeconfig", &server.kubeconfig());
    let maps = "clusters: {main: {maps: {map1: {topics: '.*', brokers: [1001-1020]}}}}\n";
    Pods::of(toolbox.with("TOOLBOX_KUBECONFIG", &kubeconfig), maps)
}

const FLAGS: [&str; 7] = ["--state", "kubernetes", "--rack-optional", "--allocation", "first-free", "--timeout", "2s"];

/// The read before the write that a script is about.
const READ: Fault = Fault::Late(Duration::ZERO);

#[test]
fn whatever_the_api_server_answers_at_first_a_pod_gets_one_id_in_the_end() {
    let late = Fault::Late(Duration::from_secs(3));
    let scripts: [&[Fault]; 7] = [
        &[Fault::Status(500), Fault::Status(503), Fault::Status(429)],
        &[late],
        &[READ, Fault::Status(429), Fault::Status(429)],
        &[READ, Fault::Status(500)],
        &[READ, Fault::DoneAnd(500)],
        &[READ, Fault::DoneAnd(504), Fault::Status(500)],
        &[READ, late],
    ];
    let server = Server::start();
    let pods = pods(&server);
    for (number, script) in scripts.iter().enumerate() {
        let pod = format!("kafka-p{number}");
        server.script(script);
        let ran = pods.assign(&pod, &FLAGS).ends_with(0);
        assert!(ran.took < Duration::from_mins(1), "{script:?}: {ran:#?}");
        let id: i32 = pods.output(&pod, "broker.id").trim().parse().unwrap();
        assert_eq!(id, 1001 + i32::try_from(number).unwrap(), "{script:?}");
        let ids = server.document(REGISTRY)["ids"].clone();
        assert_eq!(ids.as_object().unwrap().len(), 1 + number, "{script:?}: {ids}");
        assert_eq!(ids[id.to_string()]["pod"], pod.as_str());
    }
}

#[test]
fn one_that_is_outrun_takes_the_next_id_and_never_the_others() {
    let server = Server::start();
    let pods = pods(&server);
    pods.assign("kafka-first", &FLAGS).ends_with(0);
    server.script(&[READ, Fault::Outrun]);
    let ran = pods.assign("kafka-p0", &FLAGS).ends_with(0);
    assert!(ran.out.contains("another pod changed the registry in the meantime"), "{ran:#?}");
    assert_eq!(pods.output("kafka-p0", "broker.id"), "1003\n");
    let ids = server.document(REGISTRY)["ids"].clone();
    assert_eq!((&ids["1002"]["pod"], &ids["1003"]["pod"]), (&"kafka-other1002".into(), &"kafka-p0".into()));

    // By ordinal, another pod's write is no reason to decide again: the entry is written beside it.
    server.script(&[READ, Fault::Outrun]);
    let ordinal = ["--state", "kubernetes", "--rack-optional", "--timeout", "2s"];
    let ran = pods.assign("kafka-5", &ordinal).ends_with(0);
    assert!(!ran.out.contains("in the meantime"), "{ran:#?}");
    let ids = server.document(REGISTRY)["ids"].clone();
    assert_eq!((&ids["1004"]["pod"], &ids["1006"]["pod"]), (&"kafka-other1004".into(), &"kafka-5".into()));
}

#[test]
fn an_api_server_that_stays_in_trouble_ends_the_run_within_its_limit_and_nothing_is_written() {
    let server = Server::start();
    let pods = pods(&server);
    let limited = [&FLAGS[..], &["--within", "2s"]].concat();
    for fault in [Fault::Status(500), Fault::Late(Duration::from_mins(5))] {
        server.script(&vec![fault; 1_000]);
        let failed = pods.assign("kafka-0", &limited).ends_with(1);
        assert!(failed.took < Duration::from_secs(8), "{fault:?}: {failed:#?}");
        assert!(failed.err.contains("failed to read ConfigMap kafka/toolbox-brokers-main-map1"), "{failed:#?}");
        assert!(!pods.out("kafka-0").exists() && server.requests() < 100);
    }
    server.script(&[]);
    pods.assign("kafka-0", &FLAGS).ends_with(0);
}

#[test]
fn an_init_container_does_not_wait_for_datadog() {
    let pods = Pods::new();
    // Nobody answers there: connections are taken and hang.
    let hole = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", hole.local_addr().unwrap());
    for sinks in [&[][..], &["--events-to", "datadog"]] {
        let mut command = pods.command("kafka-1", &[&["--rack-optional", "--datadog-url", &url][..], sinks].concat());
        let ran =
            crate::support::toolbox::finish(command.env("DD_API_KEY", "0123456789abcdef0123456789abcdef")).ends_with(0);
        assert!(ran.took < Duration::from_secs(8), "it does not wait the 10 s: {ran:#?}");
        std::fs::remove_dir_all(pods.out("kafka-1")).unwrap();
    }
    assert!(pods.toolbox.audit().iter().any(|event| event.kind == "identity.assigned"));
}
