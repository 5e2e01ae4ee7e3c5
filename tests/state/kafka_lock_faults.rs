//! What happens to a lock when its coordinator freezes, moves, or is cut off from the controller.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_toolbox::clients::kafka::lock_group::Membership;
use kafka_toolbox::clients::kafka::{Factor, Kafka, codes};
use kafka_toolbox::cluster::broker::BrokerId;
use kafka_toolbox::cluster::topic::TopicPartition;
use kafka_toolbox::state::lock::kafka::{Freshness, Held, LockError, OFFSETS_TOPIC};

use super::kafka_lock::{await_fresh, claim, client, coordinator, take_as};
use super::kafka_lock_frozen::{FROZEN_USUALLY, frozen_for};
use crate::clients::kafka::contract::{name, until};
use crate::clients::kafka::live::wait;
use crate::live::kafka::{Cluster, Kind, Relay, Shape};

const GROUP: &str = "toolbox-lock-moves";

/// Longest wait for a failover, and for what comes after it.
const LIMIT: Duration = Duration::from_mins(2);

const CALL: Duration = Duration::from_secs(5);

/// Tries to take a lock that is held, again and again, until told to end: it may succeed only where the holder does not
/// believe in its lock any more.
async fn challenge(kafka: &Arc<dyn Kafka>, held: &Held, is_over: impl Fn() -> bool) {
    while !is_over() {
        match take_as(kafka, claim(GROUP, "challenger", "elsewhere")).await.0 {
            Ok(won) => {
                assert_ne!(held.freshness(), Freshness::Fresh, "two hold the lock");
                won.release().await;
            }
            // While a broker is frozen, no answer is one, too: what is not taken is not held by two.
            Err(LockError::Held { .. } | LockError::Unsettled { .. } | LockError::Kafka { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Waits until a lock has been stale and has an end: fresh again, or lost.
async fn stale_and_then(held: &Held) -> Freshness {
    let started = Instant::now();
    let mut was_stale = false;
    loop {
        match held.freshness() {
            Freshness::Stale { .. } => was_stale = true,
            Freshness::Fresh if !was_stale => {}
            end => return end,
        }
        assert!(started.elapsed() < LIMIT, "{:?}", held.freshness());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn holds_through_a_frozen_coordinator(kind: Kind) {
    // The default delay of first joins; a failover that takes longer than a lock stays fresh.
    let shape = Shape::racks(&["a", "b", "c"]).property("group.initial.rebalance.delay.ms", "3000").property(
        if kind.has_zookeeper() { "zookeeper.session.timeout.ms" } else { "broker.session.timeout.ms" },
        "14000",
    );
    let cluster = Cluster::start(kind, &shape).unwrap();
    let (kafka, other) = (client(&cluster.bootstrap()), client(&cluster.bootstrap()));
    wait(async {
        let started = Instant::now();
        let (held, said) = take_as(&kafka, claim(GROUP, "holder", "here")).await;
        let (held, took) = (held.unwrap(), started.elapsed());
        assert!(took >= Duration::from_secs(3), "a first join waits for others: {took:?}");
        // Old brokers create it when they are asked whether it is there: then it is there.
        assert!(said.len() == 1 || kind.has_zookeeper() && said.is_empty(), "{}: {said:?}", kind.name());
        let words = "the lock needs the internal topic `__consumer_offsets`";
        assert!(said.iter().all(|said| said.starts_with(words)), "{said:?}");

        let at = coordinator(&other, GROUP).await;
        cluster.freeze(at.0).unwrap();
        let ended = std::cell::Cell::new(false);
        let watching = async {
            let end = stale_and_then(&held).await;
            ended.set(true);
            end
        };
        let (end, ()) = tokio::join!(watching, challenge(&other, &held, || ended.get()));
        cluster.thaw(at.0).unwrap();
        // The group was kept by the other replicas, and nobody else was in it: it goes on with the same member.
        assert_eq!(end, Freshness::Fresh, "{}", kind.name());
        cluster.await_brokers(&[1, 2, 3]).unwrap();
        moves_with_its_partition(&other, &held).await;
        held.release().await;
    });
}

/// All of the offsets topic is moved away from the coordinator: the holder follows.
async fn moves_with_its_partition(kafka: &Arc<dyn Kafka>, held: &Held) {
    await_fresh(held).await;
    let (generation, at) = (held.generation(), coordinator(kafka, GROUP).await);
    let others: Vec<_> = [1, 2, 3].map(BrokerId).into_iter().filter(|broker| *broker != at).collect();
    let partition = |partition| TopicPartition { topic: name(OFFSETS_TOPIC), partition };
    let targets: Vec<_> = (0..4).map(|number| (partition(number), Some(others.clone()))).collect();
    assert_eq!(kafka.alter_reassignments(&targets, Factor::MayChange).await, vec![Ok(()); 4]);
    let groups = kafka.lock_groups();
    until("another coordinator", async || {
        let named = groups.coordinator(GROUP, CALL).await.ok()?;
        groups.describe_lock(named, GROUP, CALL).await.ok().filter(|_| named != at)
    })
    .await;
    let refused = take_as(kafka, claim(GROUP, "challenger", "elsewhere")).await.0;
    assert!(matches!(refused, Err(LockError::Held { .. })), "{refused:?}");
    // Renewals at the new one, at least one of them later than now.
    tokio::time::sleep(Duration::from_secs(4)).await;
    await_fresh(held).await;
    assert_eq!(held.generation(), generation, "nothing was rebalanced");
}

/// On one kind of cluster; `make acceptance` takes all of them.
#[test]
fn a_holder_pauses_while_its_coordinator_is_frozen_and_follows_its_group_elsewhere() {
    let kinds = if frozen_for() > FROZEN_USUALLY { &Kind::ALL[..] } else { &[Kind::Kafka43Kraft] };
    kinds.iter().copied().for_each(holds_through_a_frozen_coordinator);
}

/// In ZooKeeper mode a broker that has lost ZooKeeper is dead to the controller, and answers its clients as before.
#[test]
fn renewals_of_a_coordinator_that_is_cut_off_from_the_controller_do_not_count() {
    let relay = Relay::start(&[1, 2, 3]).unwrap();
    let shape = Shape { relay: Some(relay.clone()), ..Shape::racks(&["a", "b", "c"]) };
    let cluster =
        Cluster::start(Kind::Kafka39Zookeeper, &shape.property("zookeeper.session.timeout.ms", "6000")).unwrap();
    let (kafka, other) = (client(&cluster.bootstrap()), client(&cluster.bootstrap()));
    wait(async {
        let controller = BrokerId(cluster.controller().unwrap());
        let groups = other.lock_groups();
        let candidates: Vec<_> = (0..20).map(|number| format!("toolbox-lock-{number}")).collect();
        let mut found = None;
        for group in &candidates {
            let at = coordinator(&other, group).await;
            found = found.or((at != controller).then_some((group.clone(), at)));
        }
        let (group, old) = found.unwrap();
        let held = take_as(&kafka, claim(&group, "holder", "here")).await.0.unwrap();
        let member = held.member_id().to_owned();
        let membership = Membership { group: group.clone(), member_id: member.clone(), generation: held.generation() };

        relay.cut(old.0);
        let new = until("another coordinator", async || {
            let named = groups.confirmed_coordinator(&group, old, CALL).await.ok().filter(|named| *named != old)?;
            groups.describe_lock(named, &group, CALL).await.ok().map(|_| named)
        })
        .await;
        assert_eq!(groups.heartbeat(old, &membership, CALL).await, Ok(()), "the old one goes on answering");
        groups.leave(new, &group, &member, CALL).await.unwrap();
        // The next run may be told of the old one, too: two brokers have to agree before it joins. It is there at once, as
        // the member was removed by force and not by the end of its session.
        let next = take_as(&other, claim(&group, "next", "elsewhere")).await.0.unwrap();
        let why = tokio::time::timeout(Duration::from_secs(15), held.lost()).await.expect("it is lost in time");
        assert!(why.contains("UNKNOWN_MEMBER_ID"), "{why}");
        let renewed = groups.heartbeat(old, &membership, CALL).await.err().and_then(|error| error.code());
        assert_ne!(renewed, Some(codes::ILLEGAL_GENERATION), "the old one still knows nothing of it");
        await_fresh(&next).await;
        next.release().await;
    });
}
