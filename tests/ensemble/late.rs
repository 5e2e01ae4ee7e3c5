//! Changes whose result nobody knows for a while, and leaders that change while a pass looks. For `make acceptance`.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::ensemble::bed::{Bed, is_wanted};
use crate::ensemble::guard::Watcher;
use crate::live::kafka::wait::say;
use crate::live::zookeeper::{Role, Shape};

/// ZooKeeper may lose in the election what the old leader alone had written: then it is tried with another ensemble.
const TRIES: usize = 3;

#[test]
fn followers_that_stand_still_during_a_call_make_its_result_unknown_and_it_is_found_late_and_never_sent_again() {
    if !is_wanted() {
        return;
    }
    assert!(
        (0..TRIES).any(|_| is_applied_late()),
        "in none of {TRIES} tries was the change applied after the election"
    );
}

/// Whether the change was applied after the call was given up. What happens then, and what does where it was not, is as it should be.
fn is_applied_late() -> bool {
    let bed = Bed::adopted(&Shape::of(3).spares(2), 3);
    let watcher = Watcher::start(&bed.servers, &[1, 2, 3, 4]);
    bed.join(&[4, 5], Role::Participant, 5).ends_with(0);
    bed.launch(&[4]);
    bed.until_planned();
    let leader = bed.servers.await_leader(&[1, 2, 3]).unwrap();
    let followers: Vec<_> = [1, 2, 3, 4].into_iter().filter(|it| *it != leader).collect();
    let words = Bed::line(&["apply", "--once", "--timeout", "5s"]);
    let freeze = |_: &Pid| followers.iter().for_each(|it| bed.servers.freeze(*it).unwrap());
    let ran = bed.toolbox.run_and_meanwhile("ensemble.connected:1", &words, freeze);
    for it in &followers {
        bed.servers.thaw(*it).unwrap();
    }
    let sent = Instant::now();
    assert!(ran.code == Some(1) && ran.out.contains("UNKNOWN_RESULT"), "{ran:#?}");
    assert!(ran.out.contains("PROMOTE: server 4 becomes a voter"), "{ran:#?}");
    let op = bed.record()["op"].clone();
    assert_eq!((&op["target"], bed.intents()), (&4.into(), 1), "{op:#}");
    bed.servers.await_leader(&[1, 2, 3]).unwrap();
    bed.servers.await_serving(&[1, 2, 3]).unwrap();

    let is_late = bed.members(&[1, 2, 3]).contains(&4);
    let ran = if is_late { bed.pass_until(0) } else { bed.pass() };
    if is_late {
        assert!(ran.out.contains("PROMOTE of server 4 was applied: confirm and record it"), "{ran:#?}");
        assert_eq!((bed.intents(), bed.versions(1)), (1, 2), "one call, and one change");
        assert!(bed.record()["op"].is_null(), "{:#}", bed.record());
        assert_eq!(bed.record()["history"].as_array().unwrap().len(), 1);
        let next = bed.pass();
        assert!(!next.out.contains("reconfig -") && bed.intents() == 1, "{next:#?}");
    } else {
        // It may be applied still: it is waited for.
        assert!(ran.code == Some(5) && ran.out.contains("shows no effect"), "{ran:#?}");
        while bed.intents() == 1 {
            let ran = bed.pass();
            assert!(sent.elapsed() < Duration::from_secs(150), "{ran:#?}");
            std::thread::sleep(Duration::from_secs(1));
        }
        assert!(sent.elapsed() > Duration::from_secs(20), "it was sent again after {:?}", sent.elapsed());
    }
    say(&format!("the change that nobody answered was {}", if is_late { "applied late" } else { "lost" }));
    assert_eq!(bed.members(&[1, 2, 3]), [1, 2, 3, 4].into());
    watcher.ends("followers that stood still");
    bed.each_change_has_one_outcome();
    is_late
}

#[test]
fn a_leader_that_dies_while_joiners_are_measured_ends_the_pass_without_a_call() {
    if !is_wanted() {
        return;
    }
    // Between two samples of the joiner; after the last one, when all that is needed for a call was measured.
    let points = [
        ("ensemble.sampling:2", "server 4 (non-voting follower, lagging): wait until it is caught up"),
        ("ensemble.sampled:1", "the leader changed during this look"),
    ];
    for (point, why) in points {
        let bed = Bed::adopted(&Shape::of(3).spares(2), 3);
        bed.join(&[4, 5], Role::Participant, 5).ends_with(0);
        bed.launch(&[4]);
        // Without that death it would be sent.
        bed.until_planned();
        let leader = bed.servers.await_leader(&[1, 2, 3]).unwrap();
        let others: Vec<_> = [1, 2, 3].into_iter().filter(|it| *it != leader).collect();
        let dies = |_: &Pid| {
            bed.servers.stop(leader, Signal::KILL).unwrap();
            bed.servers.await_leader(&others).unwrap();
        };
        let ran = bed.toolbox.run_and_meanwhile(point, &Bed::line(&["apply", "--once"]), dies);
        assert!(matches!(ran.code, Some(4 | 5)) && ran.out.contains(why), "{point}: {ran:#?}");
        assert_eq!((bed.intents(), bed.versions(others[0])), (0, 1), "{point}: {ran:#?}");
        assert!(bed.record()["op"].is_null(), "{point}: {:#}", bed.record());
        assert_eq!(bed.members(&others), [1, 2, 3].into());
    }
}
