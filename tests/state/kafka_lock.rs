//! The lock in the cluster, on each kind of cluster: two that reach it exclude each other, from wherever they come.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka_toolbox::clients::kafka::Kafka;
use kafka_toolbox::cluster::broker::BrokerId;
use kafka_toolbox::state::clock::boot_clock;
use kafka_toolbox::state::lock::kafka::{Claim, Freshness, Held, LockError, Member, take};

use crate::clients::kafka::contract::until;
use crate::clients::kafka::live::{PATIENT, open, wait};
use crate::live::kafka::{Cluster, Kind};

/// A claim of one run whose record is somewhere.
pub(super) fn claim(group: &str, host: &str, place: &str) -> Claim {
    let member = Member {
        host: host.to_owned(),
        pod: None,
        pid: std::process::id(),
        boot_id: "boot".to_owned(),
        run_id: uuid::Uuid::now_v7(),
        command: "reassign execute".to_owned(),
        since: jiff::Timestamp::now(),
        place: place.to_owned(),
    };
    Claim { group: group.to_owned(), member, known_dead: None, clock: boot_clock }
}

/// A client of its own.
pub(super) fn client(bootstrap: &str) -> Arc<dyn Kafka> {
    Arc::new(open(bootstrap, PATIENT))
}

/// Takes the lock; with it comes what was said.
pub(super) async fn take_as(kafka: &Arc<dyn Kafka>, claim: Claim) -> (Result<Held, LockError>, Vec<String>) {
    let said = Mutex::new(Vec::new());
    let taken = take(kafka, claim, &|text| said.lock().unwrap().push(text.to_owned())).await;
    (taken, said.into_inner().unwrap())
}

/// Who coordinates a group, as one broker says.
pub(super) async fn coordinator(kafka: &Arc<dyn Kafka>, group: &str) -> BrokerId {
    let groups = kafka.lock_groups();
    until("the coordinator", async || groups.coordinator(group, Duration::from_secs(5)).await.ok()).await
}

/// Waits until a lock is fresh, and fails if it is lost.
pub(super) async fn await_fresh(held: &Held) {
    until("a fresh lock", async || match held.freshness() {
        Freshness::Fresh => Some(()),
        Freshness::Stale { .. } => None,
        Freshness::Lost { why } => panic!("it is lost: {why}"),
    })
    .await;
}

async fn exclude_each_other(kind: Kind, cluster: &Cluster) {
    let (one, two) = (client(&cluster.bootstrap()), client(&cluster.bootstrap()));
    let group = "toolbox-lock-moves";
    let held = take_as(&one, claim(group, "host-1", "folder /a on host-1")).await.0.unwrap();
    assert_eq!(held.freshness(), Freshness::Fresh, "{}", kind.name());
    let refused = take_as(&two, claim(group, "host-2", "folder /b on host-2")).await.0.unwrap_err().to_string();
    let words = format!("process {} on host-1 (`toolbox reassign execute`, run ", std::process::id());
    assert!(refused.contains(&words) && refused.ends_with("its record is in folder /a on host-1"), "{refused}");
    // Another lock is another group.
    let other = take_as(&two, claim("toolbox-lock-throttle", "host-2", "folder /b on host-2")).await.0.unwrap();
    other.release().await;

    // A member that is known to be dead is removed; one that gives its lock back lets the next one in at once.
    let dead = held.member_id().to_owned();
    drop(held);
    let claimed = Claim { known_dead: Some(dead), ..claim(group, "host-2", "folder /b on host-2") };
    let held = take_as(&two, claimed).await.0.unwrap();
    held.release().await;
    let (one, two) = tokio::join!(
        take_as(&one, claim(group, "host-1", "folder /a on host-1")),
        take_as(&two, claim(group, "host-2", "folder /b on host-2"))
    );
    let (held, refused) = match (one.0, two.0) {
        (Ok(held), Err(refused)) | (Err(refused), Ok(held)) => (held, refused),
        both => panic!("{}: {both:?}", kind.name()),
    };
    assert!(matches!(refused, LockError::Held { .. }), "{refused}");
    await_fresh(&held).await;
    held.release().await;
}

#[test]
fn two_runs_that_reach_one_cluster_exclude_each_other() {
    for kind in Kind::ALL {
        let cluster = Cluster::shared(kind);
        wait(exclude_each_other(kind, cluster));
    }
}
