//! The lock on a cluster in memory, by a clock that tests move: who is refused, what counts as a renewal, what is a loss.

use std::cell::Cell;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;
use tokio::time::sleep;

use super::take::acquire;
use super::*;
use crate::clients::kafka::KafkaError;
use crate::clients::kafka::codes;
use crate::clients::kafka::lock_group::Join;
use crate::clients::kafka::lock_group::Joining;
use crate::clients::kafka::memory::Call;
use crate::clients::kafka::memory::Memory;
use crate::clients::kafka::memory::Model;
use crate::clients::kafka::{Groups, Kafka};
use crate::cluster::broker::BrokerId;
use crate::state::clock::boot_clock;

const GROUP: &str = "toolbox-lock-moves";

thread_local! {
    static STARTED: RefCell<Option<Instant>> = const { RefCell::new(None) };
    /// How long this machine has slept.
    static SLEPT: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// The runtime's paused time, and the time of sleep. Each test has a thread of its own.
fn clock() -> Duration {
    let started = STARTED.with_borrow_mut(|started| *started.get_or_insert_with(Instant::now));
    started.elapsed() + SLEPT.get() + Duration::from_secs(1_000)
}

fn cluster(change: impl FnOnce(&mut Model)) -> Arc<Memory> {
    let kafka = Memory::kraft(3);
    kafka.edit(|model| {
        model.coordinators.clock = clock;
        change(model);
    });
    Arc::new(kafka)
}

fn member(pod: &str, place: &str) -> Member {
    Member {
        host: "node-1".into(),
        pod: Some(format!("kafka/{pod}")),
        pid: 7,
        boot_id: "boot".into(),
        run_id: uuid::Uuid::nil(),
        command: "reassign execute".into(),
        since: "2026-11-22T08:00:00.7Z".parse().unwrap(),
        place: place.into(),
    }
}

fn claim(pod: &str, place: &str) -> Claim {
    Claim { group: GROUP.into(), member: member(pod, place), known_dead: None, clock }
}

/// Takes the lock; the renewals run in this runtime, whose time a test moves. What was said comes with it.
async fn take_as(kafka: &Arc<Memory>, claim: Claim) -> (Result<Held, LockError>, Vec<String>) {
    let (kafka, said) = (Arc::clone(kafka) as Arc<dyn Kafka>, Mutex::new(Vec::new()));
    let say = |text: &str| said.lock().unwrap().push(text.to_owned());
    let taken = acquire(&kafka, &claim, &say).await.map(|renewer| {
        let (held, work) = renew::renewals(renewer);
        tokio::spawn(work);
        held
    });
    (taken, said.into_inner().unwrap())
}

async fn held(kafka: &Arc<Memory>) -> Held {
    take_as(kafka, claim("one", "ConfigMap a")).await.0.unwrap()
}

async fn seconds(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

fn is_stale(held: &Held) -> bool {
    matches!(held.freshness(), Freshness::Stale { .. })
}

#[tokio::test(start_paused = true)]
async fn a_lock_is_renewed_while_it_is_held_and_free_afterwards() {
    let kafka = cluster(|_| {});
    let one = held(&kafka).await;
    let condition = one.condition();
    seconds(600).await;
    assert_eq!((one.freshness(), condition()), (Freshness::Fresh, Ok(())));
    assert_eq!(kafka.live_groups().await.unwrap()[0].label(), "lock group toolbox-lock-moves");
    let started = Instant::now();
    one.release().await;
    assert_eq!(condition(), Err("the lock `toolbox-lock-moves` is lost: this run gave it back".into()));
    let two = take_as(&kafka, claim("two", "ConfigMap b")).await.0.unwrap();
    assert!(started.elapsed() < Duration::from_secs(1), "nobody waits after a release");
    two.release().await;
}

#[tokio::test(start_paused = true)]
async fn a_second_run_is_refused_at_once_with_host_pod_run_and_place() {
    let kafka = cluster(|_| {});
    let one = held(&kafka).await;
    let started = Instant::now();
    let (refused, said) = take_as(&kafka, claim("two", "ConfigMap b")).await;
    assert_eq!((started.elapsed(), said.len()), (Duration::ZERO, 0));
    let words = refused.unwrap_err().to_string();
    let expected = "another run holds the lock `toolbox-lock-moves` of this cluster: pod kafka/one (`toolbox reassign \
                    execute`, run 00000000-0000-0000-0000-000000000000) since 2026-11-22T08:00:01Z; its record is in \
                    ConfigMap a";
    assert_eq!(words, expected);
    seconds(10).await;
    assert_eq!(one.freshness(), Freshness::Fresh, "the one who holds it notices nothing");
}

#[tokio::test(start_paused = true)]
async fn of_two_that_begin_together_one_is_the_holder() {
    let kafka = cluster(|model| model.coordinators.initial_delay = Duration::from_secs(3));
    let (one, two) = tokio::join!(take_as(&kafka, claim("one", "a")), take_as(&kafka, claim("two", "b")));
    let (held, refused) = match (one.0, two.0) {
        (Ok(held), Err(refused)) | (Err(refused), Ok(held)) => (held, refused),
        both => panic!("{both:?}"),
    };
    assert!(matches!(refused, LockError::Held { .. }), "{refused}");
    seconds(60).await;
    assert_eq!(held.freshness(), Freshness::Fresh);
}

#[tokio::test(start_paused = true)]
async fn one_that_was_killed_is_waited_for_where_its_record_is_ours_and_not_elsewhere() {
    let kafka = cluster(|_| {});
    drop(held(&kafka).await);
    seconds(1).await;
    let (elsewhere, _) = take_as(&kafka, claim("two", "ConfigMap b")).await;
    assert!(matches!(elsewhere, Err(LockError::Held { .. })), "{elsewhere:?}");
    let (here, said) = take_as(&kafka, claim("two", "ConfigMap a")).await;
    here.unwrap().release().await;
    let [said] = &said[..] else { panic!("{said:?}") };
    assert!(said.ends_with("it may have ended just now: waiting 18 s at most"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn one_that_lives_in_the_same_place_is_waited_for_18_s_and_then_refuses() {
    let kafka = cluster(|_| {});
    let one = held(&kafka).await;
    let started = Instant::now();
    let (refused, said) = take_as(&kafka, claim("two", "ConfigMap a")).await;
    assert!(matches!(refused, Err(LockError::Held { .. })), "{refused:?}");
    assert_eq!((started.elapsed().as_secs(), said.len()), (18, 1));
    assert_eq!(one.freshness(), Freshness::Fresh);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_known_to_be_dead_is_removed_from_the_group() {
    let kafka = cluster(|_| {});
    let one = held(&kafka).await;
    let dead = one.member_id().to_owned();
    drop(one);
    let started = Instant::now();
    let (two, _) = take_as(&kafka, Claim { known_dead: Some(dead), ..claim("two", "ConfigMap b") }).await;
    assert!(started.elapsed() < Duration::from_secs(1));
    assert_eq!(two.unwrap().freshness(), Freshness::Fresh);
}

#[tokio::test(start_paused = true)]
async fn without_renewals_nothing_is_sent_after_ten_seconds_and_one_that_comes_back_in_time_goes_on() {
    let kafka = cluster(|_| {});
    let one = held(&kafka).await;
    seconds(1).await;
    kafka.go_away();
    seconds(8).await;
    assert_eq!(one.freshness(), Freshness::Fresh);
    seconds(4).await;
    assert!(is_stale(&one), "{:?}", one.freshness());
    let why = (one.condition())().unwrap_err();
    assert!(why.starts_with("the lock `toolbox-lock-moves` was last renewed 1"), "{why}");
    kafka.come_back();
    seconds(1).await;
    assert_eq!(one.freshness(), Freshness::Fresh, "the group has it still, and nobody else could have had it");
}

#[tokio::test(start_paused = true)]
async fn one_that_comes_back_too_late_has_lost_the_lock_and_says_why() {
    let kafka = cluster(|_| {});
    let one = held(&kafka).await;
    let lost = tokio::spawn(one.lost());
    kafka.go_away();
    seconds(20).await;
    assert!(is_stale(&one));
    kafka.come_back();
    let why = lost.await.unwrap();
    assert_eq!(why, "the coordinator has removed this run from the group (UNKNOWN_MEMBER_ID (25))");
    assert_eq!(one.freshness(), Freshness::Lost { why });
    let two = held(&kafka).await;
    one.release().await;
    seconds(5).await;
    assert_eq!(two.freshness(), Freshness::Fresh, "one that has lost the lock does not take it from the next one");
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_slept_sends_nothing_before_it_has_asked_the_group() {
    let kafka = cluster(|_| {});
    let one = held(&kafka).await;
    SLEPT.set(Duration::from_secs(11));
    assert!(is_stale(&one));
    seconds(4).await;
    assert_eq!(one.freshness(), Freshness::Fresh);
    SLEPT.set(Duration::from_hours(1));
    assert!(is_stale(&one));
    seconds(4).await;
    assert!(matches!(one.freshness(), Freshness::Lost { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_no_other_broker_confirms_does_not_count() {
    let kafka = cluster(|_| {});
    let one = held(&kafka).await;
    let at = kafka.lock_groups().coordinator(GROUP, Duration::ZERO).await.unwrap();
    kafka.edit(|model| {
        let others: Vec<_> = model.brokers.keys().copied().filter(|broker| *broker != at).collect();
        for broker in others {
            model.stop_broker(broker.0);
        }
    });
    seconds(13).await;
    assert!(is_stale(&one), "the coordinator goes on answering: {:?}", one.freshness());
    kafka.edit(|model| (1..=3).for_each(|broker| model.start_broker(broker)));
    seconds(1).await;
    assert_eq!(one.freshness(), Freshness::Fresh);
}

#[tokio::test(start_paused = true)]
async fn in_a_cluster_of_one_broker_its_own_word_is_enough() {
    let kafka = Memory::kraft(1);
    kafka.edit(|model| model.coordinators.clock = clock);
    let one = held(&Arc::new(kafka)).await;
    seconds(60).await;
    assert_eq!(one.freshness(), Freshness::Fresh);
}

#[tokio::test(start_paused = true)]
async fn a_holder_follows_its_group_to_another_coordinator() {
    let kafka = cluster(|_| {});
    let one = held(&kafka).await;
    let at = kafka.lock_groups().coordinator(GROUP, Duration::ZERO).await.unwrap();
    let other = [1, 2, 3].map(BrokerId).into_iter().find(|broker| *broker != at);
    kafka.edit(|model| model.coordinators.named_by_others = other);
    for _ in 0..40 {
        sleep(Duration::from_millis(100)).await;
        if one.freshness() != Freshness::Fresh {
            break;
        }
    }
    assert!(is_stale(&one), "it pauses until the one that the others name has answered");
    seconds(1).await;
    assert_eq!(one.freshness(), Freshness::Fresh);
}

#[tokio::test(start_paused = true)]
async fn one_that_has_to_join_again_stays_the_leader_and_pauses_meanwhile() {
    let kafka = cluster(|_| {});
    let one = held(&kafka).await;
    let before = one.generation();
    let slow = kafka.lock_groups();
    let join = Join {
        group: GROUP.into(),
        member_id: None,
        metadata: "not ours".into(),
        session: Duration::from_secs(10),
        rebalance: Duration::from_secs(10),
    };
    let at = slow.coordinator(GROUP, Duration::ZERO).await.unwrap();
    let Joining::Named(id) = slow.join(at, &join, Duration::ZERO).await.unwrap() else { panic!("no id") };
    let join = Join { member_id: Some(id.clone()), ..join };
    let Joining::Joined(joined) = slow.join(at, &join, Duration::from_mins(1)).await.unwrap() else { panic!("again") };
    assert_eq!(joined.leader, one.member_id());
    seconds(4).await;
    assert_eq!((one.freshness(), one.generation()), (Freshness::Fresh, before + 1));
    slow.leave(at, GROUP, &id, Duration::ZERO).await.unwrap();
    seconds(4).await;
    assert_eq!((one.freshness(), one.generation()), (Freshness::Fresh, before + 2));
}

#[tokio::test(start_paused = true)]
async fn codes_that_end_a_membership_lose_the_lock_and_codes_that_move_it_pause() {
    let cases = [
        (codes::ILLEGAL_GENERATION, true),
        (codes::UNKNOWN_MEMBER_ID, true),
        (codes::GROUP_AUTHORIZATION_FAILED, true),
        (codes::COORDINATOR_LOAD_IN_PROGRESS, false),
        (codes::COORDINATOR_NOT_AVAILABLE, false),
        (codes::NOT_COORDINATOR, false),
        (codes::REQUEST_TIMED_OUT, false),
    ];
    for (code, is_lost) in cases {
        let kafka = Memory::kraft(3).failing(Call::Heartbeat, 2, KafkaError::broker(code, None));
        kafka.edit(|model| model.coordinators.clock = clock);
        let one = held(&Arc::new(kafka)).await;
        sleep(Duration::from_millis(6_100)).await;
        let now = one.freshness();
        assert_eq!(matches!(now, Freshness::Lost { .. }), is_lost, "{code}: {now:?}");
        assert_eq!(is_stale(&one), (14..=16).contains(&code), "{code}: {now:?}");
        seconds(1).await;
        assert_eq!(one.freshness() == Freshness::Fresh, !is_lost, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn sessions_keep_to_the_limits_of_the_brokers() {
    for (least, most, trusted_for) in [(20, 60, 13), (2, 9, 6)] {
        let limits = (Duration::from_secs(least), Duration::from_secs(most));
        let kafka = cluster(|model| model.coordinators.session_limits = limits);
        let one = held(&kafka).await;
        kafka.go_away();
        seconds(trusted_for - 1).await;
        assert_eq!(one.freshness(), Freshness::Fresh, "{least} to {most} s");
        seconds(2).await;
        assert!(is_stale(&one), "{least} to {most} s");
    }
}

#[tokio::test(start_paused = true)]
async fn the_topic_that_the_first_lock_creates_is_said_once() {
    let kafka = cluster(|_| {});
    let (one, said) = take_as(&kafka, claim("one", "a")).await;
    assert_eq!(said, ["the lock needs the internal topic `__consumer_offsets`, which the cluster has just created"]);
    one.unwrap().release().await;
    assert!(take_as(&kafka, claim("one", "a")).await.1.is_empty());
}

#[tokio::test(start_paused = true)]
async fn where_the_cluster_can_not_keep_a_lock_the_refusal_says_why_and_which_other_to_choose() {
    let no_right = KafkaError::broker(codes::GROUP_AUTHORIZATION_FAILED, None);
    let kafka = Arc::new(Memory::kraft(3).failing(Call::FindCoordinator, 1, no_right));
    let words = take_as(&kafka, claim("one", "a")).await.0.unwrap_err().to_string();
    assert!(words.contains("no right to the group") && words.contains("`--lock file`"), "{words}");

    let kafka = cluster(|_| {});
    held(&kafka).await.release().await;
    kafka.edit(|model| model.topics.values_mut().for_each(|topic| topic.partitions[0].leader = None));
    let words = take_as(&kafka, claim("one", "a")).await.0.unwrap_err().to_string();
    assert!(words.contains("has no coordinator") && words.contains("may be offline"), "{words}");
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_does_not_say_who_it_is_holds_the_lock_all_the_same() {
    let kafka = cluster(|_| {});
    let groups = kafka.lock_groups();
    let at = groups.coordinator(GROUP, Duration::ZERO).await.unwrap();
    let session = Duration::from_secs(10);
    let mut join =
        Join { group: GROUP.into(), member_id: None, metadata: "{\"host\": 1}".into(), session, rebalance: session };
    let Joining::Named(id) = groups.join(at, &join, session).await.unwrap() else { panic!("no id") };
    join.member_id = Some(id);
    let Joining::Joined(joined) = groups.join(at, &join, session).await.unwrap() else { panic!("again") };
    groups.sync(at, &joined.membership, take::assignments(&joined), session).await.unwrap();
    let words = take_as(&kafka, claim("one", "a")).await.0.unwrap_err().to_string();
    assert!(words.ends_with("at 127.0.0.1, which does not say who it is"), "{words}");
}

#[test]
fn metadata_is_bounded_and_what_is_shown_of_it_is_plain() {
    let long = Member { place: "p".repeat(100_000), command: "\u{1b}[31m\n".repeat(1_000), ..member("one", "") };
    let encoded = long.encode().unwrap();
    assert!(encoded.len() <= 4_096, "{}", encoded.len());
    let holder =
        Holder { member_id: "m".into(), client_host: "h".into(), member: serde_json::from_slice(&encoded).ok() };
    let shown = holder.to_string();
    assert!(holder.member.is_some() && shown.len() < 1_000 && !shown.contains(['\n', '\u{1b}']), "{shown}");
}

#[tokio::test]
async fn renewals_run_on_a_thread_of_their_own() {
    let memory = Memory::kraft(3);
    memory.edit(|model| model.coordinators.session_limits = (Duration::ZERO, Duration::from_millis(500)));
    let memory: Arc<dyn Kafka> = Arc::new(memory);
    let held = take(&memory, Claim { clock: boot_clock, ..claim("one", "a") }, &|_| {}).await.unwrap();
    // This runtime has one thread, and it is blocked for more than a session.
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(held.freshness(), Freshness::Fresh);
    held.release().await;
    assert!(memory.live_groups().await.unwrap().is_empty(), "it has left");
}
