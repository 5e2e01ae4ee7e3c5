//! `ensemble status` of real ZooKeeper ensembles.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::ensemble::bed::is_wanted;
use crate::ensemble::status;
use crate::live::kafka::wait::say;
use crate::live::zookeeper::{Ensemble, Shape};
use crate::support::toolbox::Toolbox;

/// The longest that the page of an ensemble may take, whatever its servers do.
const STATUS_MAX: Duration = Duration::from_millis(2_500);

/// Shows the page again until it is as expected.
#[track_caller]
fn until(servers: &str, is_expected: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let ran = status(&Toolbox::alone(), servers, &["-o", "json"]);
        let page: Value = serde_json::from_str(&ran.out).unwrap();
        if is_expected(&page) {
            return page;
        }
        assert!(begun.elapsed() < Duration::from_secs(90), "{page:#}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn five_real_servers_with_one_dead_and_one_frozen_are_shown_truthfully() {
    let ensemble = Ensemble::start(&Shape::of(5)).unwrap();
    let all = [1, 2, 3, 4, 5];
    let leader = ensemble.await_leader(&all).unwrap();
    let servers = ensemble.addresses(&all);
    let page = until(&ensemble.addresses(&[1]), |page| page["healthy"] == true);
    assert_eq!(page["servers"].as_array().unwrap().len(), 5, "one server names the others");
    let others: Vec<_> = all.into_iter().filter(|&number| number != leader).collect();
    ensemble.stop(others[0], Signal::KILL).unwrap();
    ensemble.freeze(others[1]).unwrap();
    let page = until(&servers, |page| page["tolerance"]["live"] == 3);
    if is_wanted() {
        // The best of three, as other programs want the machine, too.
        let look = |_: i32| {
            let ran = status(&Toolbox::alone(), &servers, &["-o", "json"]);
            let page: Value = serde_json::from_str(&ran.out).unwrap();
            assert_eq!(page["tolerance"]["live"], 3, "{page:#}");
            ran.took
        };
        let took = (0..3).map(look).min().unwrap();
        say(&format!("status of five servers, one dead and one frozen: {} ms", took.as_millis()));
        assert!(took <= STATUS_MAX, "{took:?}");
    }
    let answer = |number: u32| page["servers"][number as usize - 1]["answer"]["answer"].clone();
    assert_eq!((answer(others[0]), answer(others[1])), ("down".into(), "silent".into()), "{page:#}");
    assert_eq!(page["healthy"], false, "the next failure stops writes");
    ensemble.thaw(others[1]).unwrap();
    until(&servers, |page| page["tolerance"]["live"] == 4 && page["healthy"] == true);
    for number in &others[2..] {
        ensemble.stop(*number, Signal::KILL).unwrap();
    }
    // The leader finds out after some ticks, and does not lead any more.
    until(&servers, |page| page["refusal"]["code"] == "E_NO_QUORUM" && page["leader"].is_null());
}

#[test]
fn a_server_that_joined_without_being_a_member_is_named_though_it_says_follower() {
    let ensemble = Ensemble::start(&Shape::of(1).spares(1)).unwrap();
    ensemble.await_leader(&[1]).unwrap();
    ensemble.launch(2).unwrap();
    ensemble.await_serving(&[2]).unwrap();
    let page =
        until(&ensemble.addresses(&[1, 2]), |page| page["servers"][1]["state"] == "non-voting follower, not a member");
    let findings = page["findings"].to_string();
    assert!(findings.contains("server 2 says `follower` and is no member"), "{findings}");
}
