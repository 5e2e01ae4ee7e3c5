//! `topics apply` where the lock and what was last applied are in Kubernetes.

use std::sync::Arc;

use kafka_toolbox::clients::kafka::memory::{Call, Memory};
use kafka_toolbox::clients::kubernetes;
use kafka_toolbox::clients::kubernetes::{Identity, Resource, Verb};
use kafka_toolbox::exit::Exit;

use crate::support::desk::Desk;

const ORDERS: &str = "{name: orders, partitions: 1, replicationFactor: 2, config: {retention.ms: 1000000}}";

fn server() -> Arc<kubernetes::Memory> {
    Arc::new(kubernetes::Memory::new(Identity {
        namespace: "kafka".into(),
        pod: None,
        service_account: None,
        source: "a test".into(),
        server: "https://127.0.0.1".into(),
    }))
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_goes_away_after_the_start_does_not_change_the_end() {
    let server = server();
    let down = Arc::clone(&server);
    let kafka = Memory::kraft(3).before(Call::CreateTopics, 1, move |_| down.set_down(true));
    let desk = Desk::new(kafka).in_kubernetes(server.clone());
    desk.declare(&[ORDERS]);
    let applied = desk.apply(&[]).await.ends_with(Exit::Done);
    assert_eq!(applied.lines().last(), Some(&"1 done, 0 failed, 0 refused, 0 unknown"));
    assert!(applied.err.contains("what was applied could not be kept in ConfigMap kafka/"), "{applied:#?}");

    server.set_down(false);
    // The Lease that could not be given back runs out.
    tokio::time::advance(std::time::Duration::from_mins(5)).await;
    let again = desk.apply(&[]).await;
    if again.exit == Exit::Refused {
        assert!(again.err.contains("another run works on"), "{again:#?}");
    } else {
        assert_eq!(again.ends_with(Exit::Done).lines(), ["nothing to do"]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_not_there_at_the_start_stops_the_run() {
    let server = server();
    server.set_down(true);
    let desk = Desk::new(Memory::kraft(3)).in_kubernetes(server);
    desk.declare(&[ORDERS]);
    let stopped = desk.apply(&[]).await.ends_with(Exit::Failed);
    assert!(stopped.err.contains("failed to make sure that no other run is working"), "{stopped:#?}");
    assert_eq!(desk.kafka.calls(), [Call::Metadata]);
}

#[tokio::test(start_paused = true)]
async fn what_was_last_applied_is_remembered_in_a_configmap() {
    let desk = Desk::new(Memory::kraft(3)).in_kubernetes(server());
    desk.declare(&[ORDERS]);
    desk.apply(&[]).await.ends_with(Exit::Done);
    desk.declare(&["{name: orders}"]);
    let unset = desk.apply(&[]).await.ends_with(Exit::Done);
    assert_eq!(unset.lines()[0], "~ topic orders: retention.ms 1000000 -> default (no longer declared)");
}

#[tokio::test(start_paused = true)]
async fn a_role_that_may_not_take_the_lease_stops_the_run_with_its_words() {
    let server = server();
    server.forbid(Verb::Create, Resource::Leases);
    let desk = Desk::new(Memory::kraft(3)).in_kubernetes(server);
    desk.declare(&[ORDERS]);
    let stopped = desk.apply(&[]).await.ends_with(Exit::Failed);
    assert!(stopped.err.contains("may not create leases in namespace kafka"), "{stopped:#?}");
}
