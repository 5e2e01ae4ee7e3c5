//! A broker that is back and copies for a long time, as under a replication throttle: the next one is not stopped before it lacks
//! nothing.

use proptest::prelude::*;

use crate::cluster::broker::BrokerId;
use crate::commands::rollout::plan::standing::{Standing, of_broker};
use crate::commands::rollout::plan::tests::unit;
use crate::commands::rollout::plan::{Next, Unit, next};
use crate::commands::rollout::verdict::broker::may_stop;
use crate::commands::rollout::verdict::seen::Sample;
use crate::commands::rollout::verdict::tests::scene::{partition, sample};
use crate::commands::rollout::verdict::{Answer, Terms, Why};

/// Brokers 1 to 3 with three partitions, of which broker 1 has caught up with this many; min ISR is 2.
fn recovering(caught_up: usize) -> Sample {
    let isr = |number: usize| if number < caught_up { vec![2, 3, 1] } else { vec![2, 3] };
    let partitions = (0..3).map(|number| partition(2, &[1, 2, 3], &isr(number))).collect();
    sample(&[1, 2, 3], 2, partitions)
}

/// What a roll that has restarted broker 1 does next.
fn after(sample: &Sample) -> Next {
    let stands = |id: i32| of_broker(BrokerId(id), sample, Ok(true));
    let units = [1, 2, 3].map(|id| Unit { is_done: id == 1, standing: stands(id), ..unit(id) });
    next(&units, None, None)
}

/// Field bug: restarts every eighty seconds, of brokers that each needed twenty minutes to catch up.
#[test]
fn a_broker_that_recovers_slowly_keeps_the_next_one_from_being_stopped_until_its_last_replica_is_in_sync() {
    // However often a throttled recovery without progress is looked at, the answer is the same.
    for caught_up in [0, 0, 0, 1, 1, 2, 2] {
        let sample = recovering(caught_up);
        let Next::Wait(why) = after(&sample) else {
            panic!("with {caught_up} of 3 replicas in sync another one is tried")
        };
        let missing = format!("{} of 3 replicas are not in sync: t-{caught_up}", 3 - caught_up);
        assert!(why.contains("broker 1 was restarted and is not back") && why.contains(&missing), "{why}");
    }
    assert_eq!(after(&recovering(3)), Next::Try(1), "in this very look, and not before");
}

#[test]
fn whoever_asks_without_a_roll_is_refused_the_next_one_too_and_gets_the_partitions_by_name() {
    for caught_up in 0..3 {
        let sample = Sample { seen_by: BrokerId(3), ..recovering(caught_up) };
        let verdict = may_stop(BrokerId(2), &sample, &Terms::default());
        assert_eq!((verdict.answer, verdict.blockers_count), (Answer::Wait, 3 - caught_up));
        let blocked = |at: usize| (verdict.blockers[at].partition, verdict.blockers[at].why);
        assert_eq!(blocked(0), (i32::try_from(caught_up).unwrap(), Why::WouldFallBelow));
    }
    let sample = Sample { seen_by: BrokerId(3), ..recovering(3) };
    assert!(may_stop(BrokerId(2), &sample, &Terms::default()).may_stop());
}

#[test]
fn a_roll_that_is_run_again_waits_for_the_same_broker() {
    // Killed while broker 1 copies: the next run knows from the record, or from the pod's revision, that it is done.
    let sample = recovering(1);
    assert!(matches!(after(&sample), Next::Wait(why) if why.contains("broker 1")));
    let forgotten = [1, 2, 3].map(|id| Unit { standing: of_broker(BrokerId(id), &sample, Ok(true)), ..unit(id) });
    assert_eq!(next(&forgotten, None, None), Next::Try(0), "even without it nobody else is next");
}

proptest! {
    /// Recovery goes back and forth as a throttle has it: whichever replicas are missing, nobody else is stopped.
    #[test]
    fn while_any_replica_is_missing_nobody_else_is_stopped(missing in proptest::collection::btree_set(0_i32..3, 1..4)) {
        let isr = |number: i32| if missing.contains(&number) { vec![2, 3] } else { vec![2, 3, 1] };
        let sample = sample(&[1, 2, 3], 1, (0..3).map(|number| partition(3, &[1, 2, 3], &isr(number))).collect());
        // Even with a minimum of 1, where each of the others alone would be allowed to stop.
        let verdict = may_stop(BrokerId(2), &Sample { seen_by: BrokerId(3), ..sample.clone() }, &Terms::default());
        prop_assert!(verdict.may_stop());
        prop_assert!(matches!(of_broker(BrokerId(1), &sample, Ok(true)), Standing::Behind(_)));
        prop_assert!(matches!(after(&sample), Next::Wait(_)));
    }
}
