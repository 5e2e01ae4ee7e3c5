//! `ensemble` of a KRaft quorum in memory: every command as a whole, answers that are lost, and what the controllers would accept
//! and must not be asked for.

use std::sync::atomic::{AtomicI64, Ordering};

use kafka_toolbox::clients::kafka::memory::{Call, Memory, Model};
use kafka_toolbox::clients::kafka::{KafkaError, codes};
use kafka_toolbox::cluster::address::Address;
use kafka_toolbox::cluster::quorum::{DirectoryId, NodeId, QuorumReplica, ReplicaKey};
use kafka_toolbox::exit::Exit;
use uuid::Uuid;

use crate::support::desk::{Desk, Said};

fn directory(number: u128) -> DirectoryId {
    DirectoryId::of(Uuid::from_u128(number)).unwrap()
}

fn time(ms: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(1_767_225_600_000 + ms).unwrap()
}

fn replica(id: i32, disk: u128) -> QuorumReplica {
    let key = ReplicaKey { id: NodeId(id), directory: Some(directory(disk)) };
    QuorumReplica { key, log_end_offset: Some(1_000), last_fetch: Some(time(0)), last_caught_up: Some(time(0)) }
}

/// A controller runs and follows, with a disk of this number.
fn starts(model: &mut Model, id: i32, disk: u128) {
    let port = u16::try_from(9_092 + id).unwrap();
    model.controllers.insert(NodeId(id), Address { host: "127.0.0.1".to_owned(), port });
    let file = model.controller_files[&NodeId(101)].clone();
    model.controller_files.insert(NodeId(id), file);
    if model.quorum.voter(NodeId(id)).is_none_or(|voter| voter.key.directory != Some(directory(disk))) {
        model.quorum.observers.push(replica(id, disk));
    }
}

/// A controller is stopped.
pub(super) fn stops(model: &mut Model, id: i32) {
    model.controller_files.remove(&NodeId(id));
    model.quorum.observers.retain(|observer| observer.key.id != NodeId(id));
    for voter in model.quorum.voters.iter_mut().filter(|voter| voter.key.id == NodeId(id)) {
        voter.last_fetch = Some(time(-60_000));
    }
}

/// Voters 101, 102 and so on, of which 101 leads. The disk of each has its number.
pub(super) fn quorum(voters: i32) -> Memory {
    let memory = Memory::kraft(1);
    memory.edit(|model| {
        model.is_controllers = true;
        for id in 101..101 + voters {
            starts(model, id, u128::from(id.unsigned_abs()));
        }
        model.quorum.voters = (101..101 + voters).map(|id| replica(id, u128::from(id.unsigned_abs()))).collect();
        model.quorum.observers.clear();
    });
    memory
}

/// Runs a verb of `ensemble` without asking.
pub(super) async fn run(desk: &Desk, verb: &[&str]) -> Said {
    let place = ["--yes", "--max-risk", "loses-data", "--bootstrap-controller", "memory:1"];
    desk.run(&[&["ensemble"], verb, &place].concat()).await
}

pub(super) async fn once(desk: &Desk) -> Said {
    run(desk, &["apply", "--once", "--rest", "1s"]).await
}

pub(super) fn voters(desk: &Desk) -> Vec<i32> {
    let mut ids: Vec<_> = desk.kafka.look(|model| model.quorum.voters.iter().map(|voter| voter.key.id.0).collect());
    ids.sort_unstable();
    ids
}

fn sent(desk: &Desk) -> Vec<Call> {
    let is_change = |call: &Call| matches!(call, Call::AddRaftVoter | Call::RemoveRaftVoter);
    desk.kafka.calls().into_iter().filter(is_change).collect()
}

/// Adopted, and two more controllers should vote.
async fn growing(memory: Memory) -> Desk {
    let desk = Desk::new(memory);
    run(&desk, &["adopt"]).await.ends_with(Exit::Done);
    desk.kafka.edit(|model| {
        starts(model, 104, 104);
        starts(model, 105, 105);
    });
    run(&desk, &["join", "104", "105", "--size", "5"]).await.ends_with(Exit::Done);
    desk
}

/// Adopted with five voters, of which the fourth and fifth should leave.
async fn shrinking(memory: Memory) -> Desk {
    let desk = Desk::new(memory);
    run(&desk, &["adopt"]).await.ends_with(Exit::Done);
    run(&desk, &["leave", "104", "105", "--size", "3"]).await.ends_with(Exit::Done);
    desk
}

#[tokio::test(start_paused = true)]
async fn a_healthy_quorum_is_adopted_once_and_needs_nothing() {
    let desk = Desk::new(quorum(3));
    let refused = once(&desk).await.ends_with(Exit::Refused);
    assert!(refused.out.contains("E_NOT_ADOPTED"), "{refused:#?}");
    run(&desk, &["adopt"]).await.ends_with(Exit::Done);
    let again = run(&desk, &["adopt"]).await.ends_with(Exit::Done);
    assert!(again.out.contains("nothing to do"), "{again:#?}");
    once(&desk).await.ends_with(Exit::Done);
    run(&desk, &["plan"]).await.ends_with(Exit::Done);
    assert_eq!(sent(&desk), []);
}

#[tokio::test(start_paused = true)]
async fn a_pass_adds_one_voter_and_the_plan_shows_every_guard_with_its_numbers() {
    let desk = growing(quorum(3)).await;
    let plan = run(&desk, &["plan"]).await.ends_with(Exit::Changes);
    assert!(plan.out.contains("ADD: controller 104") && plan.out.contains("3 of 3 samples in a row"), "{plan:#?}");
    assert_eq!(sent(&desk), []);
    once(&desk).await.ends_with(Exit::Done);
    assert_eq!((voters(&desk), sent(&desk)), (vec![101, 102, 103, 104], vec![Call::AddRaftVoter]));
    let endpoint = desk.kafka.look(|model| model.quorum.endpoints[&NodeId(104)][0].clone());
    assert_eq!((endpoint.listener.as_str(), endpoint.port), ("CONTROLLER", 9_196), "as it registered itself");
}

#[tokio::test(start_paused = true)]
async fn a_change_whose_answer_was_lost_is_found_made_and_not_sent_again() {
    let desk = growing(quorum(3).losing_the_answer(Call::AddRaftVoter, 1)).await;
    once(&desk).await.ends_with(Exit::Done);
    assert_eq!((voters(&desk), sent(&desk)), (vec![101, 102, 103, 104], vec![Call::AddRaftVoter]));
}

#[tokio::test(start_paused = true)]
async fn a_change_that_shows_no_effect_is_unknown_and_the_next_pass_waits_for_it() {
    let timed_out = KafkaError::broker(codes::REQUEST_TIMED_OUT, Some("The request timed out."));
    let desk = growing(quorum(3).failing(Call::AddRaftVoter, 1, timed_out)).await;
    let ended = once(&desk).await.ends_with(Exit::Failed);
    assert!(ended.out.contains("UNKNOWN_RESULT") && ended.out.contains("REQUEST_TIMED_OUT"), "{ended:#?}");
    let waits = once(&desk).await.ends_with(Exit::Unhealthy);
    assert!(waits.out.contains("shows no effect"), "{waits:#?}");
    assert_eq!((voters(&desk), sent(&desk)), (vec![101, 102, 103], vec![Call::AddRaftVoter]), "not sent again");
    // It is applied late: the next pass confirms and records it.
    desk.kafka.edit(|model| {
        let observer = model.quorum.observers.remove(0);
        model.quorum.voters.push(observer);
    });
    let confirmed = once(&desk).await.ends_with(Exit::Done);
    assert!(confirmed.out.contains("was applied"), "{confirmed:#?}");
    assert_eq!(sent(&desk), [Call::AddRaftVoter]);
}

#[tokio::test(start_paused = true)]
async fn what_the_controllers_refuse_is_a_refusal_by_name_and_leaves_no_open_change() {
    for (code, name) in [
        (codes::DUPLICATE_VOTER, "E_ID_CONFLICT"),
        (codes::UNSUPPORTED_VERSION, "E_STATIC_QUORUM"),
        (codes::CLUSTER_AUTHORIZATION_FAILED, "E_AUTH"),
        (codes::VOTER_NOT_FOUND, "E_CONFLICT"),
    ] {
        let desk = growing(quorum(3).failing(Call::AddRaftVoter, 1, KafkaError::broker(code, None))).await;
        let refused = once(&desk).await.ends_with(Exit::Refused);
        assert!(refused.out.contains(name), "{name}: {refused:#?}");
        once(&desk).await.ends_with(Exit::Done);
        assert_eq!(voters(&desk), [101, 102, 103, 104]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_directory_a_lagging_controller_and_one_that_did_not_register_are_not_added() {
    let refuses = async |name: &str, spoil: &dyn Fn(&mut Model)| {
        let desk = growing(quorum(3)).await;
        desk.kafka.edit(spoil);
        let said = once(&desk).await;
        assert!(said.exit != Exit::Done && said.out.contains(name), "{name}: {said:#?}");
        assert_eq!(sent(&desk), []);
    };
    refuses("E_NOT_CAUGHT_UP", &|model| {
        model.quorum.voters[0].log_end_offset = Some(9_000);
        model.quorum.voters[1].log_end_offset = Some(9_000);
        model.quorum.voters[2].log_end_offset = Some(9_000);
    })
    .await;
    refuses("E_ID_CONFLICT", &|model| {
        for observer in &mut model.quorum.observers {
            observer.key.directory = Some(directory(4_711));
        }
    })
    .await;
    refuses("has not registered itself", &|model| model.controllers.retain(|node, _| node.0 <= 103)).await;
    refuses("E_MIGRATION", &|model| model.features.zk_migration_ready = true).await;
    refuses("E_KRAFT_VERSION_MIXED", &|model| {
        model.features.supported.remove("kraft.version");
    })
    .await;
    refuses("E_NO_QUORUM", &|model| {
        stops(model, 102);
        stops(model, 103);
    })
    .await;
    refuses("E_NO_QUORUM", &|model| model.quorum.leader = None).await;
    refuses("E_MEMBERSHIP_REGRESSED", &|model| model.quorum.voters.truncate(model.quorum.voters.len() - 1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_static_quorum_is_recognised_whatever_level_it_shows_and_refused_with_the_way_to_upgrade() {
    let desk = Desk::new(quorum(3));
    desk.kafka.edit(|model| model.quorum.voters.iter_mut().for_each(|voter| voter.key.directory = None));
    let refused = run(&desk, &["adopt"]).await.ends_with(Exit::Refused);
    assert!(refused.out.contains("E_STATIC_QUORUM") && refused.out.contains("kraft.version=1"), "{refused:#?}");
}

#[tokio::test(start_paused = true)]
async fn controllers_that_answer_without_a_leader_are_no_quorum_and_nothing_is_changed() {
    let timed_out = KafkaError::broker(codes::REQUEST_TIMED_OUT, None);
    let desk = Desk::new(quorum(3).failing(Call::DescribeQuorum, 1, timed_out));
    let refused = run(&desk, &["adopt"]).await.ends_with(Exit::Refused);
    assert!(refused.out.contains("E_NO_QUORUM"), "{refused:#?}");
    run(&desk, &["adopt"]).await.ends_with(Exit::Done);
}

#[tokio::test(start_paused = true)]
async fn with_auto_join_off_a_live_controller_is_removed_and_the_leader_last() {
    let desk = shrinking(quorum(5)).await;
    desk.kafka.edit(|model| model.quorum.leader = Some(NodeId(105)));
    once(&desk).await.ends_with(Exit::Done);
    assert_eq!(voters(&desk), [101, 102, 103, 105]);
    let waits = once(&desk).await.ends_with(Exit::Unhealthy);
    assert!(waits.out.contains("since the last change"), "{waits:#?}");
}

#[tokio::test(start_paused = true)]
async fn with_auto_join_on_a_live_controller_is_stopped_first_then_removed_and_watched() {
    let memory = quorum(5);
    memory.edit(|model| {
        let on = || ("controller.quorum.auto.join.enable".to_owned(), "true".to_owned());
        model.controller_files.values_mut().for_each(|file| file.extend([on()]));
    });
    let desk = shrinking(memory).await;
    let refused = once(&desk).await.ends_with(Exit::Refused);
    assert!(refused.out.contains("E_AUTO_JOIN") && refused.out.contains("Stop the controller first"), "{refused:#?}");
    assert_eq!(sent(&desk), []);
    desk.kafka.edit(|model| stops(model, 104));
    let begun = tokio::time::Instant::now();
    once(&desk).await.ends_with(Exit::Done);
    assert!(begun.elapsed().as_secs() >= 60, "it is watched for a minute: {:?}", begun.elapsed());
    assert_eq!(voters(&desk), [101, 102, 103, 105]);
}

#[tokio::test(start_paused = true)]
async fn with_auto_join_on_a_frozen_controller_is_not_removed_and_one_whose_port_is_closed_is() {
    let memory = quorum(5);
    memory.edit(|model| {
        let on = || ("controller.quorum.auto.join.enable".to_owned(), "true".to_owned());
        model.controller_files.values_mut().for_each(|file| file.extend([on()]));
    });
    let desk = shrinking(memory).await;
    desk.kafka.edit(|model| {
        stops(model, 104);
        model.frozen_controllers.insert(NodeId(104));
    });
    let refused = once(&desk).await.ends_with(Exit::Refused);
    assert!(refused.out.contains("E_AUTO_JOIN") && refused.out.contains("its port is open"), "{refused:#?}");
    assert_eq!(sent(&desk), []);
    desk.kafka.edit(|model| model.frozen_controllers.clear());
    let done = once(&desk).await.ends_with(Exit::Done);
    assert_eq!(voters(&desk), [101, 102, 103, 105], "{done:#?}");
}

#[tokio::test(start_paused = true)]
async fn while_the_leader_does_not_say_whether_a_migration_runs_no_voter_is_changed() {
    let desk = growing(quorum(3)).await;
    desk.kafka.edit(|model| {
        model.features.finalized.insert("metadata.version".to_owned(), 21);
        model.controller_files.remove(&NodeId(101));
    });
    let refused = once(&desk).await.ends_with(Exit::Refused);
    assert!(refused.out.contains("E_MIGRATION") && refused.out.contains("is not known"), "{refused:#?}");
    assert_eq!(sent(&desk), []);
    desk.kafka.edit(|model| {
        model.features.finalized.insert("metadata.version".to_owned(), 22);
    });
    let said = once(&desk).await;
    assert!(!said.out.contains("E_MIGRATION"), "Kafka 4.0 has no ZooKeeper mode: {said:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_adds_itself_again_within_the_watch_is_named_and_shall_leave_still() {
    let memory = quorum(5);
    memory.edit(|model| {
        let on = || ("controller.quorum.auto.join.enable".to_owned(), "true".to_owned());
        model.controller_files.values_mut().for_each(|file| file.extend([on()]));
    });
    let desk = shrinking(memory).await;
    desk.kafka.edit(|model| stops(model, 104));
    let looks = desk.kafka.calls().iter().filter(|call| **call == Call::DescribeQuorum).count();
    // Some looks into the watch somebody starts it again.
    desk.kafka.will_change_before(Call::DescribeQuorum, looks + 12, |model| {
        let at = model.quorum.observers.iter().position(|observer| observer.key.id == NodeId(104)).unwrap();
        let mut voter = model.quorum.observers.remove(at);
        voter.last_fetch = Some(time(0));
        model.quorum.voters.push(voter);
    });
    let failed = once(&desk).await.ends_with(Exit::Failed);
    assert!(failed.out.contains("E_AUTO_JOIN") && failed.out.contains("added itself again"), "{failed:#?}");
    desk.kafka.edit(|model| stops(model, 104));
    tokio::time::resume();
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    tokio::time::pause();
    once(&desk).await.ends_with(Exit::Done);
    assert_eq!(voters(&desk), [101, 102, 103, 105]);
}

#[tokio::test(start_paused = true)]
async fn the_old_disk_of_a_controller_is_removed_before_its_new_disk_is_added() {
    let desk = Desk::new(quorum(3));
    run(&desk, &["adopt"]).await.ends_with(Exit::Done);
    desk.kafka.edit(|model| {
        stops(model, 102);
        starts(model, 102, 202);
    });
    let conflict = run(&desk, &["plan"]).await;
    assert_eq!(conflict.exit, Exit::Unhealthy, "nobody said that the disk is new: {conflict:#?}");
    run(&desk, &["join", "102"]).await.ends_with(Exit::Done);
    run(&desk, &["apply", "--rest", "1s"]).await.ends_with(Exit::Done);
    assert_eq!(sent(&desk), [Call::RemoveRaftVoter, Call::AddRaftVoter]);
    let voter = desk.kafka.look(|model| model.quorum.voter(NodeId(102)).unwrap().key.directory);
    assert_eq!((voters(&desk), voter), (vec![101, 102, 103], Some(directory(202))));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_where_the_leader_changed_since_the_look() {
    let desk = growing(quorum(3)).await;
    let looks = desk.kafka.calls().iter().filter(|call| **call == Call::DescribeQuorum).count();
    // Three samples and the end of the look, then the comparison right before it would be sent.
    desk.kafka.will_change_before(Call::DescribeQuorum, looks + 5, |model| model.quorum.leader_epoch += 1);
    let refused = once(&desk).await.ends_with(Exit::Refused);
    assert!(refused.out.contains("E_CONFLICT"), "{refused:#?}");
    assert_eq!(sent(&desk), []);
    once(&desk).await.ends_with(Exit::Done);
}

#[tokio::test(start_paused = true)]
async fn a_registration_without_a_controller_is_named_before_it_blocks_an_upgrade() {
    let desk = Desk::new(quorum(3));
    run(&desk, &["adopt"]).await.ends_with(Exit::Done);
    desk.kafka.edit(|model| {
        let at = Address { host: "127.0.0.1".to_owned(), port: 1 };
        model.controllers.insert(NodeId(109), at);
    });
    let plan = run(&desk, &["plan"]).await;
    assert!(plan.out.contains("controller 109 is registered, and neither votes nor follows"), "{plan:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_voter_that_runs_is_not_retired_and_a_dead_one_is_replaced() {
    let desk = Desk::new(quorum(3));
    run(&desk, &["adopt"]).await.ends_with(Exit::Done);
    let refused = run(&desk, &["retire", "103", "--reason", "its node burnt"]).await.ends_with(Exit::Refused);
    assert!(refused.out.contains("E_NOT_GONE"), "{refused:#?}");
    desk.kafka.edit(|model| {
        stops(model, 103);
        starts(model, 104, 104);
    });
    run(&desk, &["retire", "103", "--reason", "its node burnt"]).await.ends_with(Exit::Done);
    run(&desk, &["join", "104"]).await.ends_with(Exit::Done);
    once(&desk).await.ends_with(Exit::Done);
    assert_eq!(voters(&desk), [101, 102, 103, 104]);
    tokio::time::resume();
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    tokio::time::pause();
    once(&desk).await.ends_with(Exit::Done);
    assert_eq!((voters(&desk), sent(&desk)), (vec![101, 102, 104], vec![Call::AddRaftVoter, Call::RemoveRaftVoter]));
}

/// A toolbox.yaml with two names for the cluster.
fn two_names(desk: &Desk) -> String {
    let path = desk.folder().join("toolbox.yaml");
    let text = "clusters: {one: {bootstrapServers: memory:1}, second: {bootstrapServers: memory:1}}\n";
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The file with the record that this name leads to.
fn record_of(desk: &Desk, name: &str) -> std::path::PathBuf {
    desk.folder().join(format!("state/records/ensemble-{name}-{name}-controllers.json"))
}

pub(super) fn read(path: &std::path::Path) -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn one_quorum_has_one_record_whatever_name_leads_to_it_and_whatever_disks_it_has() {
    let desk = Desk::new(quorum(3));
    let file = two_names(&desk);
    let adopt = async |name: &str| run(&desk, &["adopt", "--toolbox-file", &file, "--cluster", name]).await;
    adopt("one").await.ends_with(Exit::Done);
    let refused = adopt("second").await.ends_with(Exit::Refused);
    let words = [
        "E_CONFLICT membership: it is recorded already: ",
        "ensemble-one-one-controllers.json (name one)",
        "Give --cluster one;",
    ];
    assert!(words.iter().all(|words| refused.out.contains(words)), "{refused:#?}");
    desk.kafka.edit(|model| {
        for (voter, disk) in model.quorum.voters.iter_mut().zip(900..) {
            voter.key.directory = Some(directory(disk));
        }
    });
    let refused = adopt("second").await.ends_with(Exit::Refused);
    assert!(refused.out.contains("E_CONFLICT"), "the cluster's id is the same: {refused:#?}");
    assert!(!record_of(&desk, "second").exists());
}

#[tokio::test(start_paused = true)]
async fn a_record_of_another_cluster_is_refused_by_every_verb_and_one_without_a_cluster_is_completed_by_a_pass() {
    let desk = Desk::new(quorum(3));
    let file = two_names(&desk);
    let named = ["--toolbox-file", file.as_str(), "--cluster", "one"];
    let verb = async |verb: &[&str]| run(&desk, &[verb, &named].concat()).await;
    verb(&["adopt"]).await.ends_with(Exit::Done);
    let path = record_of(&desk, "one");
    let own = desk.kafka.look(|model| model.cluster_id.clone());
    assert_eq!(read(&path)["document"]["clusterId"], *own);

    // As an older version wrote it.
    let mut old = read(&path);
    old["document"].as_object_mut().unwrap().remove("clusterId");
    std::fs::write(&path, old.to_string()).unwrap();
    verb(&["plan"]).await.ends_with(Exit::Done);
    assert!(read(&path)["document"]["clusterId"].is_null(), "a plan writes nothing");
    verb(&["apply", "--once"]).await.ends_with(Exit::Done);
    assert_eq!(read(&path)["document"]["clusterId"], *own);

    desk.kafka.edit(|model| model.cluster_id = "another".to_owned());
    let before = std::fs::read(&path).unwrap();
    let verbs: [&[&str]; 6] = [
        &["plan"],
        &["apply", "--once"],
        &["adopt"],
        &["join", "101"],
        &["leave", "101"],
        &["retire", "101", "--reason", "x"],
    ];
    for words in verbs {
        let refused = verb(words).await.ends_with(Exit::Refused);
        let said = format!("{}{}", refused.out, refused.err);
        assert!(said.contains("E_WRONG_ENSEMBLE") && said.contains(&format!("of cluster {own}, and")), "{said}");
        assert!(said.contains("memory:1 are the quorum of cluster another: check --cluster"), "{said}");
    }
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(sent(&desk), []);
}

/// By how many hours the machine's clock is wrong.
static WRONG_BY: AtomicI64 = AtomicI64::new(0);

fn wrong_clock() -> jiff::Timestamp {
    jiff::Timestamp::now() + jiff::SignedDuration::from_hours(WRONG_BY.load(Ordering::SeqCst))
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_between_two_passes_delays_the_next_change_by_one_rest_and_no_longer() {
    let desk = growing(quorum(3)).await.at(wrong_clock);
    WRONG_BY.store(24 * 365, Ordering::SeqCst);
    let first = once(&desk).await;
    assert!(first.exit == Exit::Done && sent(&desk).len() == 1, "{first:#?}");
    // The clock is right again: what was written of that change lies a year ahead.
    WRONG_BY.store(0, Ordering::SeqCst);
    let corrected = std::time::Instant::now();
    let waits = once(&desk).await.ends_with(Exit::Unhealthy);
    assert!(waits.err.contains("has times that lie in the future") && sent(&desk).len() == 1, "{waits:#?}");
    let said = loop {
        let said = once(&desk).await;
        assert!(!said.err.contains("lie in the future"), "it was corrected: {said:#?}");
        if said.exit == Exit::Done || corrected.elapsed() > std::time::Duration::from_secs(30) {
            break said;
        }
    };
    assert!(corrected.elapsed() >= std::time::Duration::from_secs(1), "not before the rest: {said:#?}");
    assert_eq!((voters(&desk), sent(&desk).len()), (vec![101, 102, 103, 104, 105], 2), "{said:#?}");
}
