//! Laws of the Lease on the in-memory server, by a clock that stands still.

use super::*;
use crate::clients::kubernetes::Identity as Caller;
use crate::clients::kubernetes::Memory;
use crate::state::identity::{ClusterRef, Purpose};

fn server() -> Arc<Memory> {
    let words = String::from;
    let (namespace, server, source) = (words("kafka"), words("memory"), words("memory"));
    Arc::new(Memory::new(Caller { namespace, pod: None, service_account: None, source, server }))
}

fn claim(holder: &str) -> Claim {
    Claim {
        name: ObjectName::new("kafka", "lock"),
        identity: Identity {
            purpose: Purpose::Topics,
            cluster: ClusterRef { id: "id-1".into(), name: Some("orders".into()) },
            owner: Some("a".into()),
        },
        holder: holder.into(),
        clock: || "2026-11-22T08:00:00Z".parse().unwrap(),
        age: elapsed,
        say: |_| {},
    }
}

/// A clock that goes with the runtime's, from the first time that this test's thread asks for it.
fn elapsed() -> Duration {
    thread_local!(static START: Instant = Instant::now());
    START.with(Instant::elapsed)
}

async fn take_as(server: &Arc<Memory>, holder: &str) -> anyhow::Result<(Held, Arc<Renewal>)> {
    let held = take(Arc::clone(server) as Arc<dyn Kubernetes>, claim(holder), Renewals::Task).await?;
    let renewal = Arc::clone(held.renewal());
    Ok((held, renewal))
}

async fn there(server: &Memory) -> Lease {
    server.lease(&claim("").name).await.unwrap().unwrap()
}

/// A Lease of a run that is dead, or that renews with a clock of its own.
async fn left_behind(server: &Memory, renewed: &str) -> Lease {
    let renewed = Some(renewed.parse().unwrap());
    let lease = Lease { renewed, ..claim("dead").taken(&Lease::new(claim("").name)) };
    server.create_lease(&lease).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_renewed_while_it_is_held_and_free_afterwards() {
    let server = server();
    let (held, renewal) = take_as(&server, "one").await.unwrap();
    let before = there(&server).await;
    assert_eq!((before.holder.as_deref(), before.duration_seconds), (Some("one"), 30));
    sleep(Duration::from_mins(5)).await;
    assert_ne!(there(&server).await.resource_version, before.resource_version);
    assert_eq!(renewal.check(), Ok(()));
    held.release().await;
    assert_eq!(there(&server).await.holder, None);
    let started = Instant::now();
    let (held, _) = take_as(&server, "two").await.unwrap();
    assert_eq!((started.elapsed(), there(&server).await.transitions), (Duration::ZERO, 1));
    held.release().await;
}

#[tokio::test(start_paused = true)]
async fn a_second_run_is_refused_with_who_holds_it_since_when_and_what_to_do() {
    let server = server();
    let (held, _) = take_as(&server, "topics-1_run").await.unwrap();
    let started = Instant::now();
    let words = take_as(&server, "two").await.unwrap_err().to_string();
    assert!(started.elapsed() <= RENEWED_EVERY + LOOKED_AT_EVERY, "{:?}", started.elapsed());
    assert_eq!(
        words,
        "another run works on the topics of cluster orders (id-1), owner a: the Lease kafka/lock is held by topics-1_run since \
         2026-11-22T08:00:00Z. Nothing was changed. Wait until it ends; if it is certain that it is dead, `kubectl \
         --namespace kafka delete lease lock`"
    );
    held.release().await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_runs_lease_is_taken_over_after_its_duration_whatever_its_clock_said() {
    for renewed in ["1990-01-01T00:00:00Z", "2026-11-22T08:00:00Z", "2099-01-01T00:00:00Z"] {
        let server = server();
        left_behind(&server, renewed).await;
        let started = Instant::now();
        let (held, _) = take_as(&server, "two").await.unwrap();
        assert!((DURATION..DURATION * 2).contains(&started.elapsed()), "{renewed}: {:?}", started.elapsed());
        assert_eq!(there(&server).await.holder.as_deref(), Some("two"));
        held.release().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_holder_whose_clock_is_decades_slow_is_not_robbed() {
    let server = server();
    let lease = left_behind(&server, "1990-01-01T00:00:00Z").await;
    let (renewed, refused) = tokio::join!(
        async {
            sleep(Duration::from_secs(20)).await;
            let renewed = Some("1990-01-01T00:00:20Z".parse().unwrap());
            server.replace_lease(&Lease { renewed, ..lease }).await
        },
        take_as(&server, "two"),
    );
    assert!(renewed.is_ok());
    assert!(refused.unwrap_err().to_string().contains("held by dead"));
}

#[tokio::test(start_paused = true)]
async fn of_many_runs_that_start_together_one_works() {
    let server = server();
    let names = ["a", "b", "c", "d", "e"];
    let mut runs = tokio::task::JoinSet::new();
    for name in names {
        let server = Arc::clone(&server);
        runs.spawn(async move { take_as(&server, name).await });
    }
    let ended = runs.join_all().await;
    let (won, lost): (Vec<_>, Vec<_>) = ended.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 4));
    assert!(lost.iter().all(|lost| lost.as_ref().unwrap_err().downcast_ref::<Stop>().is_some()));
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_cannot_renew_in_time_has_lost_its_lease_before_another_can_take_it() {
    let server = server();
    let (held, renewal) = take_as(&server, "one").await.unwrap();
    server.set_down(true);
    sleep(SAFE.saturating_sub(RENEWED_EVERY + Duration::from_secs(1))).await;
    assert_eq!(renewal.check(), Ok(()));
    let why = timeout(DURATION, renewal.until_lost()).await.expect("lost before its duration is over");
    assert!(why.contains("could not be renewed for") && why.starts_with("the lock is lost"), "{why}");
    assert!(renewal.check().is_err());
    server.set_down(false);
    sleep(Duration::from_mins(1)).await;
    assert!(renewal.check().is_err(), "lost is lost");
    held.release().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_away_for_a_moment_loses_nothing_and_nothing_is_written_once_a_renewal_is_too_old() {
    let server = server();
    let (held, renewal) = take_as(&server, "one").await.unwrap();
    server.set_down(true);
    sleep(RENEWED_EVERY * 2).await;
    server.set_down(false);
    let before = there(&server).await;
    sleep(RENEWED_EVERY * 2).await;
    assert_ne!(there(&server).await.resource_version, before.resource_version);
    assert_eq!(renewal.check(), Ok(()));
    server.set_down(true);
    let started = Instant::now();
    held.release().await;
    assert!(started.elapsed() <= RELEASE_MAX + RENEWAL_MAX);
}

#[tokio::test(start_paused = true)]
async fn a_right_that_was_taken_away_loses_the_lease_at_once() {
    use crate::clients::kubernetes::{Resource, Verb};
    let server = server();
    let (held, renewal) = take_as(&server, "one").await.unwrap();
    server.forbid(Verb::Update, Resource::Leases);
    sleep(RENEWED_EVERY + Duration::from_secs(1)).await;
    let why = renewal.lost().unwrap();
    assert!(why.contains("may not be renewed any more"), "{why}");
    held.release().await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_of_another_cluster_under_the_same_name_is_refused_and_names_both() {
    let server = server();
    let (held, _) = take_as(&server, "one").await.unwrap();
    held.release().await;
    let cluster = ClusterRef { id: "id-2".into(), name: Some("orders".into()) };
    let other = Claim { identity: Identity { cluster, ..claim("two").identity }, ..claim("two") };
    let refused = take(Arc::clone(&server) as Arc<dyn Kubernetes>, other, Renewals::Task).await.unwrap_err();
    let words = refused.to_string();
    assert!(words.contains("orders (id-1)") && words.contains("orders (id-2)"), "{words}");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_lost_its_lease_knows_and_leaves_it_to_the_other() {
    let server = server();
    let (held, renewal) = take_as(&server, "one").await.unwrap();
    let taken = Lease { holder: Some("two".into()), ..there(&server).await };
    server.replace_lease(&taken).await.unwrap();
    sleep(RENEWED_EVERY * 2).await;
    let why = renewal.lost().unwrap();
    assert!(why.starts_with("the lock is lost: another run took over, the Lease kafka/lock is held by two"), "{why}");
    held.release().await;
    assert_eq!(there(&server).await.holder.as_deref(), Some("two"));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_dropped_gives_its_lease_back() {
    let server = server();
    drop(take_as(&server, "one").await.unwrap());
    sleep(LOOKED_AT_EVERY).await;
    assert_eq!(there(&server).await.holder, None);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_away_or_a_missing_role_stops_the_run_before_it_starts() {
    use crate::clients::kubernetes::{Resource, Verb};
    let server = server();
    server.set_down(true);
    let words = take_as(&server, "one").await.unwrap_err().to_string();
    assert!(words.contains("could not be reached"), "{words}");
    server.set_down(false);
    server.forbid(Verb::Create, Resource::Leases);
    let words = take_as(&server, "one").await.unwrap_err().to_string();
    assert!(words.contains("may not create leases in namespace kafka"), "{words}");
}

/// The lock of restarts of one cluster, under a name for it.
fn disruption(name: &str, holder: &str) -> Claim {
    let cluster = ClusterRef { id: "id-1".into(), name: Some(name.into()) };
    let identity = Identity { purpose: Purpose::Disruption, cluster, owner: None };
    Claim { name: ObjectName::new("kafka", identity.object_name()), identity, ..claim(holder) }
}

#[tokio::test(start_paused = true)]
async fn two_names_for_one_cluster_lead_to_one_lock() {
    let server = server();
    let door = || Arc::clone(&server) as Arc<dyn Kubernetes>;
    let held = take(door(), disruption("main", "one"), Renewals::Task).await.unwrap();
    let words = take(door(), disruption("orders", "two"), Renewals::Task).await.unwrap_err().to_string();
    assert!(words.contains("the Lease kafka/toolbox-disruption-main is held by one"), "{words}");
    let own = server.lease(&disruption("orders", "").name).await.unwrap().unwrap();
    assert_eq!(own.holder, None, "what was taken is given back");
    held.release().await;
    let held = take(door(), disruption("orders", "two"), Renewals::Task).await.unwrap();
    held.release().await;
}

#[tokio::test(start_paused = true)]
async fn locks_of_other_clusters_purposes_and_owners_are_not_in_the_way() {
    let server = server();
    let door = || Arc::clone(&server) as Arc<dyn Kubernetes>;
    let other_cluster = ClusterRef { id: "id-2".into(), name: Some("second".into()) };
    let identity = Identity { cluster: other_cluster, ..disruption("main", "").identity };
    let name = ObjectName::new("kafka", identity.object_name());
    let second = take(door(), Claim { name, identity, ..claim("second") }, Renewals::Task).await.unwrap();
    let (topics, _) = take_as(&server, "topics").await.unwrap();
    let held = take(door(), disruption("main", "one"), Renewals::Task).await.unwrap();
    server.forbid(crate::clients::kubernetes::Verb::List, crate::clients::kubernetes::Resource::Leases);
    let of_owner = Claim { name: ObjectName::new("kafka", "b"), ..claim("b") };
    let b = take(door(), of_owner, Renewals::Task).await.unwrap();
    let words = take(door(), disruption("third", "x"), Renewals::Task).await.unwrap_err().to_string();
    assert!(words.contains("may not list leases"), "what can't be read counts as held: {words}");
    for held in [second, topics, held, b] {
        held.release().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_runs_lease_under_another_name_is_taken_over_and_can_not_be_renewed() {
    let server = server();
    let door = || Arc::clone(&server) as Arc<dyn Kubernetes>;
    let dead = disruption("main", "dead");
    let dead = server.create_lease(&dead.taken(&Lease::new(dead.name.clone()))).await.unwrap();
    let started = Instant::now();
    let held = take(door(), disruption("orders", "two"), Renewals::Task).await.unwrap();
    assert!(started.elapsed() >= DURATION, "{:?}", started.elapsed());
    let now = server.lease(&dead.name).await.unwrap().unwrap();
    assert_eq!(now.holder, None);
    assert!(server.replace_lease(&dead).await.is_err(), "a holder that wakes up does not renew it");
    held.release().await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_under_another_name_that_the_role_does_not_name_is_left_and_the_command_that_removes_it_is_said() {
    use crate::clients::kubernetes::{Resource, Verb};
    for verb in [Verb::Get, Verb::Update] {
        let server = server();
        let door = || Arc::clone(&server) as Arc<dyn Kubernetes>;
        let dead = disruption("main", "dead");
        let left = server.create_lease(&dead.taken(&Lease::new(dead.name.clone()))).await.unwrap();
        server.forbid_object(verb, Resource::Leases, dead.name.clone());
        let refused = take(door(), disruption("orders", "two"), Renewals::Task).await.unwrap_err();
        assert_eq!(refused.downcast_ref::<Stop>().unwrap().exit, crate::exit::Exit::Refused);
        let who = server.identity().asker();
        assert_eq!(
            refused.to_string(),
            format!(
                "another run works, or has died, on the restarts and membership changes of cluster orders (id-1): the Lease \
                 kafka/toolbox-disruption-main is held by dead since 2026-11-22T08:00:00Z, was last renewed at \
                 2026-11-22T08:00:00Z, and can't be taken over because the Role of {who} does not name it. Nothing was changed. \
                 Wait until that run ends; if it is certain that it is dead, `kubectl --namespace kafka delete lease \
                 toolbox-disruption-main`"
            )
        );
        let found = server.leases("kafka", &format!("{COMPONENT}={RUN_LOCK}")).await.unwrap();
        let holders: Vec<_> = found.iter().map(|lease| lease.holder.as_deref()).collect();
        assert_eq!(holders, [Some("dead"), None], "what was taken is given back, and the other one is left: {verb}");
        assert_eq!(found[0], left);
    }
}
