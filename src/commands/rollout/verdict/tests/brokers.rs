//! Whether a broker may stop.

use crate::cluster::broker::BrokerId;
use crate::cluster::metadata::Reassignment;
use crate::cluster::quorum::QuorumState;
use crate::cluster::topic::{Partition, TopicPartition};
use crate::commands::rollout::plan::standing::{Standing, of_broker};
use crate::commands::rollout::verdict::broker::may_stop;
use crate::commands::rollout::verdict::seen::Sample;
use crate::commands::rollout::verdict::tests::scene::{ME, ids, name, partition, sample};
use crate::commands::rollout::verdict::{Answer, NAMED_MAX, ReasonCode, Terms, Verdict, Why};

fn judged(sample: &Sample) -> Verdict {
    may_stop(ME, sample, &Terms::default())
}

fn one(min_isr: usize, partition: Partition) -> Verdict {
    judged(&sample(&[1, 2, 3], min_isr, vec![partition]))
}

fn codes(verdict: &Verdict) -> Vec<ReasonCode> {
    verdict.reasons.iter().map(|reason| reason.code).collect()
}

#[test]
fn a_broker_may_stop_while_enough_others_are_in_sync() {
    assert!(one(2, partition(1, &[1, 2, 3], &[1, 2, 3])).may_stop());
    assert!(one(2, partition(2, &[1, 2, 3], &[2, 3])).may_stop(), "it is not in the ISR, and two others are");
    assert!(one(1, partition(1, &[1, 2, 3], &[1, 2])).may_stop());
}

#[test]
fn a_partition_that_would_fall_below_its_minimum_blocks_and_is_named_with_its_numbers() {
    let verdict = one(2, partition(1, &[1, 2, 3], &[1, 2]));
    assert_eq!((verdict.answer, verdict.blockers_count), (Answer::Wait, 1));
    let blocker = &verdict.blockers[0];
    assert_eq!((blocker.why, &blocker.isr, blocker.min_isr), (Why::WouldFallBelow, &ids(&[1, 2]), 2));
    let json = serde_json::to_value(blocker).unwrap();
    assert_eq!(json["minIsr"], 2);
    assert_eq!((json["topic"].as_str(), json["why"].as_str()), (Some("t"), Some("would_fall_below")));
}

#[test]
fn a_partition_below_its_minimum_blocks_even_where_the_broker_is_not_in_its_isr() {
    let verdict = one(2, partition(2, &[1, 2, 3], &[2]));
    assert_eq!((verdict.answer, verdict.blockers[0].why), (Answer::Wait, Why::IsBelow));
    let elsewhere = one(2, partition(2, &[2, 3], &[2]));
    assert!(elsewhere.may_stop(), "it has no replica there: {elsewhere:?}");
}

#[test]
fn a_broker_in_the_isr_that_is_down_does_not_count() {
    let seen = sample(&[1, 2, 4], 2, vec![partition(1, &[1, 2, 3], &[1, 2, 3])]);
    let terms = Terms { ignored: [BrokerId(3)].into(), ..Terms::default() };
    assert_eq!(may_stop(ME, &seen, &terms).blockers[0].why, Why::WouldFallBelow);
    let failed = Partition { offline: ids(&[3]), ..partition(1, &[1, 2, 3], &[1, 2, 3]) };
    assert_eq!(one(2, failed).blockers[0].why, Why::WouldFallBelow, "its log dir failed");
}

#[test]
fn no_more_replicas_than_the_minimum_is_unavoidable_and_a_single_one_must_be_accepted() {
    let two = one(2, partition(1, &[1, 2], &[1, 2]));
    assert_eq!((two.answer, two.unavoidable[0].why), (Answer::MayStop, Why::NoSpareReplica));
    let capped = one(3, partition(1, &[1, 2], &[1, 2]));
    assert_eq!((capped.answer, capped.unavoidable[0].min_isr), (Answer::MayStop, 2), "the minimum is capped");
    let behind = one(2, partition(1, &[1, 2], &[1]));
    assert_eq!((behind.answer, behind.blockers[0].why), (Answer::Wait, Why::IsBelow), "that one heals by waiting");

    let single = sample(&[1, 2, 3], 1, vec![partition(1, &[1], &[1])]);
    let refused = judged(&single);
    assert_eq!((refused.answer, codes(&refused)), (Answer::Refused, vec![ReasonCode::Unavailable]));
    assert!(refused.words().contains("--accept-unavailable"), "{}", refused.words());
    let accepted = may_stop(ME, &single, &Terms { accepts_unavailable: true, ..Terms::default() });
    assert_eq!((accepted.answer, accepted.unavoidable[0].why), (Answer::MayStop, Why::OnlyReplica));
    assert!(may_stop(ME, &single, &Terms { accepted_topics: [name("t")].into(), ..Terms::default() }).may_stop());
    assert!(!may_stop(ME, &single, &Terms { accepted_topics: [name("u")].into(), ..Terms::default() }).may_stop());
}

#[test]
fn a_broker_without_partitions_may_stop() {
    assert!(judged(&sample(&[1, 2, 3], 2, Vec::new())).may_stop());
}

#[test]
fn a_partition_without_a_leader_anywhere_blocks_and_says_whom_it_waits_for() {
    let verdict = judged(&sample(&[1, 2, 3], 1, vec![partition(-1, &[2, 3], &[3])]));
    assert_eq!((verdict.blockers[0].why, &verdict.blockers[0].waits_for), (Why::Offline, &ids(&[3])));
    let mut elr = sample(&[1, 2, 3], 2, vec![partition(-1, &[1, 2, 3], &[])]);
    elr.eligible = vec![(TopicPartition { topic: name("t"), partition: 0 }, ids(&[1, 3]))];
    let verdict = judged(&elr);
    assert_eq!((verdict.answer, &verdict.blockers[0].waits_for), (Answer::Wait, &ids(&[1, 3])));
}

#[test]
fn a_partition_that_only_the_broker_itself_could_lead_does_not_keep_it_from_a_restart() {
    let failed = Partition { offline: ids(&[1]), ..partition(-1, &[1], &[1]) };
    let verdict = one(1, failed);
    assert_eq!((verdict.answer, verdict.unavoidable[0].why), (Answer::MayStop, Why::OfflineHere));
    let elected = one(1, partition(-1, &[1, 2], &[1]));
    assert_eq!(elected.blockers[0].why, Why::Offline, "its copy is there: it is elected soon");
}

#[test]
fn an_unknown_minimum_wants_every_replica() {
    let mut seen = sample(&[1, 2, 3], 1, vec![partition(1, &[1, 2, 3], &[1, 2, 3])]);
    seen.minimums.clear();
    assert_eq!(judged(&seen).blockers[0].why, Why::WouldFallBelow);
}

#[test]
fn other_brokers_that_are_out_block_unless_they_are_gone_for_good() {
    let healthy = || vec![partition(2, &[2, 3], &[2, 3])];
    let out = sample(&[1, 2], 1, healthy());
    assert_eq!(codes(&judged(&out)), [ReasonCode::OthersOut]);
    assert!(may_stop(ME, &out, &Terms { ignored: [BrokerId(3)].into(), ..Terms::default() }).may_stop());
    let expected = Terms { expected: [BrokerId(1), BrokerId(4)].into(), ..Terms::default() };
    let verdict = may_stop(ME, &sample(&[1, 2, 3], 1, healthy()), &expected);
    assert!(verdict.words().contains("not registered: 4"), "{}", verdict.words());
    let mut fenced = sample(&[1, 2, 3], 1, healthy());
    fenced.fenced = Some([BrokerId(3)].into());
    assert_eq!(codes(&judged(&fenced)), [ReasonCode::OthersOut]);
}

#[test]
fn a_broker_that_is_not_registered_may_recover_its_log_and_is_left_alone_unless_its_process_is_gone() {
    let seen = sample(&[2, 3], 2, vec![partition(2, &[1, 2, 3], &[2, 3]), partition(-1, &[1], &[1])]);
    let verdict = judged(&seen);
    assert!(codes(&verdict).contains(&ReasonCode::NotRegistered), "{verdict:?}");
    let gone = Terms { is_process_gone: true, ..Terms::default() };
    let verdict = may_stop(ME, &seen, &gone);
    assert_eq!((verdict.answer, verdict.unavoidable[0].why), (Answer::MayStop, Why::OfflineHere), "{verdict:?}");
    assert_eq!(codes(&may_stop(BrokerId(9), &seen, &gone)), [ReasonCode::NotKnown]);
}

#[test]
fn moves_wait_and_the_view_of_the_broker_itself_is_not_believed() {
    let mut seen = sample(&[1, 2, 3], 2, vec![partition(1, &[1, 2, 3], &[1, 2, 3])]);
    let moved = Reassignment { replicas: ids(&[2, 3]), adding: ids(&[3]), removing: Vec::new() };
    seen.moves = vec![(TopicPartition { topic: name("u"), partition: 0 }, moved)];
    assert_eq!(codes(&judged(&seen)), [ReasonCode::Moves]);
    assert!(may_stop(ME, &seen, &Terms { moves_max: 1, ..Terms::default() }).may_stop());
    seen.moves.clear();
    seen.seen_by = ME;
    assert_eq!(codes(&judged(&seen)), [ReasonCode::OwnView]);
}

#[test]
fn a_broker_that_is_not_back_stands_the_same_whoever_is_asked() {
    let mut seen = sample(&[1, 3], 2, Vec::new());
    let stands = |sample: &Sample| of_broker(BrokerId(2), sample, Err("it is not listed"));
    let (by_two, Standing::Out(why)) = (stands(&seen), stands(&seen)) else { panic!("{:?}", stands(&seen)) };
    assert!(why.contains("do not list it"), "{why}");
    seen.seen_by = BrokerId(3);
    assert_eq!(stands(&seen), by_two, "a roll prints a line only when the state changes");
}

#[test]
fn the_active_controller_is_marked_to_be_stopped_last() {
    let mut seen = sample(&[1, 2, 3], 2, Vec::new());
    seen.view.controller = Some(ME);
    assert!(judged(&seen).is_active);
    // In KRaft metadata name some broker: the quorum decides, and without a leader nothing stops.
    seen.quorum = Some(QuorumState::default());
    assert_eq!(codes(&judged(&seen)), [ReasonCode::NoLeader]);
    assert!(!judged(&seen).is_active);
}

#[test]
fn many_partitions_are_counted_and_the_first_named() {
    let verdict = judged(&sample(&[1, 2, 3], 2, vec![partition(1, &[1, 2, 3], &[1, 2]); NAMED_MAX + 7]));
    assert_eq!((verdict.blockers_count, verdict.blockers.len()), (NAMED_MAX + 7, NAMED_MAX));
}
